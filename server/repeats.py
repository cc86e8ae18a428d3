"""A request that is sent again while its first copy is being answered joins it.

An SDK that is given an `Idempotency-Key` sends it with a request and all its retries. Without this,
a client whose patience ends before the loop does would start the loop again each time. An SDK hangs
up and asks again about half a second later, so the work of a request with a key outlives its client
for a moment; it still ends within a second of the last one leaving. Nothing is kept once the answer
has been given, and only whole answers are shared.
"""

import asyncio
import hashlib
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from server.departure import or_gone
from server.tenant import tenant_of

HEADER = "idempotency-key"
LINGER_S = 0.7
LONGEST_KEY = 255

Key = tuple[str, str, str, bytes]


@dataclass(slots=True, kw_only=True, eq=False)
class _Shared:
    """An answer being made, the request that began it, and how many wait for it."""

    task: asyncio.Task[Response]
    first: Request
    waiting: int = 0
    end: asyncio.TimerHandle | None = None


class Repeats:
    """The answers being made, by whose they are, their key and their body."""

    def __init__(self) -> None:
        self._shared: dict[Key, _Shared] = {}

    async def once(
        self, request: Request, work: Callable[[], Coroutine[Any, Any, Response]]
    ) -> Response:
        """Return what the work returns, or what the same request's work returns that runs already.

        Raises:
            ClientGone: the client left first.

        """
        key = await _key(request)
        if key is None:
            return await or_gone(request, work())
        shared = self._shared.get(key)
        if shared is None:
            shared = self._shared[key] = _Shared(task=asyncio.create_task(work()), first=request)
        if shared.end is not None:
            shared.end.cancel()
        shared.waiting += 1
        try:
            return await or_gone(request, _result(shared.task))
        finally:
            if (revision_id := getattr(shared.first.state, "revision_id", None)) is not None:
                request.state.revision_id = revision_id
            shared.waiting -= 1
            if not shared.waiting:
                self._leave(key, shared)

    def _leave(self, key: Key, shared: _Shared) -> None:
        """Forget an answer that was given; give one that is still made a moment more."""
        if shared.task.done() and shared.end is None:
            self._drop(key, shared)
        else:
            loop = asyncio.get_running_loop()
            shared.end = loop.call_later(LINGER_S, self._drop, key, shared)

    def _drop(self, key: Key, shared: _Shared) -> None:
        self._shared.pop(key, None)
        shared.task.cancel()
        if shared.task.done() and not shared.task.cancelled():
            shared.task.exception()  # nobody is left to raise it to


async def _result(task: asyncio.Task[Response]) -> Response:
    return await asyncio.shield(task)


async def _key(request: Request) -> Key | None:
    """Return what a repetition of the request has in common with it; None if it names no key."""
    name = request.headers.get(HEADER, "")
    if not 0 < len(name) <= LONGEST_KEY:
        return None
    body = hashlib.sha256(await request.body()).digest()
    return (request.url.path, tenant_of(request), name, body)
