"""Holds the retriever: opened at start, tried again when it could not be opened.

A gateway without principles is not ready. It still answers `draft` requests, says why it cannot
review, and mends itself once `principles build` has been run.
"""

import asyncio
import time
from collections.abc import Callable

from models.errors import EmbedderError
from retrieval.errors import RetrievalError
from retrieval.retriever import Retriever
from server.errors import NotReady

RETRY_S = 5.0


class Shelf:
    """The retriever, or the reason why there is none. `open_it` blocks and raises what it must."""

    def __init__(self, open_it: Callable[[], Retriever]) -> None:
        self._open_it = open_it
        self._retriever: Retriever | None = None
        self._tried_at = float("-inf")
        self._opening = asyncio.Lock()
        self.problem: str | None = "not opened yet"

    async def retriever(self) -> Retriever:
        """Return the retriever.

        Raises:
            NotReady: there is none, and why.

        """
        async with self._opening:
            if self._retriever is None and time.monotonic() - self._tried_at > RETRY_S:
                await asyncio.to_thread(self._open)
                self._tried_at = time.monotonic()
        if self._retriever is None:
            raise NotReady(self.problem or "no principles")
        return self._retriever

    def _open(self) -> None:
        try:
            self._retriever = self._open_it()
        except (RetrievalError, EmbedderError) as error:
            self.problem = str(error)
        else:
            self.problem = None
