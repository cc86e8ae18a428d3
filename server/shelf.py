"""Holds the retriever: opened at start, opened anew when its files change.

A gateway without principles is not ready. It still answers `draft` requests, says why it cannot
review, and mends itself once `principles build` has been run. A gateway that has principles keeps
them until a changed library has been read, checked and opened as a whole: requests under way go on
with the snapshot they began with, and a library that cannot be used changes nothing.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Hashable

from models.errors import EmbedderError
from retrieval.errors import RetrievalError
from retrieval.retriever import Retriever
from server.errors import NotReady

RETRY_S = 5.0
"""How long a library that could not be opened is left alone."""

LOOK_S = 1.0
"""How often, at most, the files are looked at."""

log = logging.getLogger("clinalign")


def _unchanging() -> Hashable:
    return None


class Shelf:
    """The retriever, or the reason why there is none.

    Args:
        open_it: returns the retriever; blocks for seconds, raises what it must.
        signature: returns what changes when the library's files do; cheap.

    """

    def __init__(
        self, open_it: Callable[[], Retriever], signature: Callable[[], Hashable] = _unchanging
    ) -> None:
        self._open_it = open_it
        self._signature = signature
        self._retriever: Retriever | None = None
        self._opened_from: Hashable = None
        self._tried_at = float("-inf")
        self._looked_at = float("-inf")
        self._opening = asyncio.Lock()
        self._renewal: asyncio.Task[None] | None = None
        self.problem: str | None = "not opened yet"
        """Why there is no retriever, or why a changed library is not in use."""

    async def retriever(self) -> Retriever:
        """Return the retriever.

        Raises:
            NotReady: there is none, and why.

        """
        if self._retriever is None:
            await self._open_first()
        elif self._renewal is None and time.monotonic() - self._looked_at > LOOK_S:
            self._looked_at = time.monotonic()
            self._renewal = asyncio.create_task(self._renew())
        if self._retriever is None:
            raise NotReady(self.problem or "no principles")
        return self._retriever

    async def settled(self) -> None:
        """Wait until the files have been looked at, and what has changed is in use or refused."""
        if self._renewal is not None:
            await self._renewal

    async def _open_first(self) -> None:
        async with self._opening:
            if self._retriever is None and time.monotonic() - self._tried_at > RETRY_S:
                try:
                    await asyncio.to_thread(self._open)
                finally:
                    self._tried_at = time.monotonic()

    async def _renew(self) -> None:
        """Look, off the event loop: files may lie on a slow disk."""
        try:
            changed = await asyncio.to_thread(self._open_if_changed)
        finally:
            self._renewal = None
        if changed and self.problem is None and self._retriever is not None:
            found = self._retriever
            log.info(
                "changed library in use principles=%d rubrics=%d",
                len(found.library),
                len(found.bank),
            )
        elif changed:
            log.error("changed library not in use, the earlier one stays: %s", self.problem)

    def _open_if_changed(self) -> bool:
        try:
            if self._signature() == self._opened_from:
                return False
        except OSError as error:
            known, self.problem = self.problem, f"the files cannot be looked at: {error.strerror}"
            return known != self.problem
        self._open()
        return True

    def _open(self) -> None:
        try:
            # Noted before: files that change while they are read are then read once more.
            self._opened_from = self._signature()
            self._retriever = self._open_it()
        except (RetrievalError, EmbedderError) as error:
            self.problem = str(error)
        except (OSError, RuntimeError, ValueError, MemoryError) as error:
            # FAISS and torch raise these; their text may hold paths, and helps nobody.
            self.problem = f"the library cannot be opened ({type(error).__name__})"
        else:
            self.problem = None
