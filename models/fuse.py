"""Ending waits from outside, with an error of one's choice.

Cancelling a task would look like its client leaving. A fuse is armed only around single waits and
never around a `yield`, so its error can only come up where the wait is (PEP 789).
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeVar

Item = TypeVar("Item")


class Fuse:
    """Waits may stand under it; `blow` ends them and every later one."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self._scopes: set[asyncio.Timeout] = set()

    def blow(self, error: Exception) -> None:
        """Raise the error wherever something waits under the fuse, now and from now on."""
        if self.error is not None:
            return
        self.error = error
        now = asyncio.get_running_loop().time()
        for scope in self._scopes:
            if not scope.expired():
                scope.reschedule(now)

    @asynccontextmanager
    async def waiting(self) -> AsyncIterator[None]:
        """Put the block under the fuse; it must not yield.

        Raises:
            Exception: what the fuse was blown with.

        """
        if self.error is not None:
            raise self.error
        scope = asyncio.timeout(None)
        try:
            async with scope:
                self._scopes.add(scope)
                yield
        except TimeoutError:
            if scope.expired() and self.error is not None:
                raise self.error from None
            raise
        finally:
            self._scopes.discard(scope)

    async def each(self, items: AsyncIterator[Item]) -> AsyncIterator[Item]:
        """Yield the items, waiting for each under the fuse."""
        while True:
            try:
                async with self.waiting():
                    item = await anext(items)
            except StopAsyncIteration:
                return
            yield item
