"""A source of items that runs in a task of its own, so that its consumer can wait with a clock.

A response must be able to say "still here" while the loop is silent, to answer with a real HTTP
status if the loop fails at once, and to stop the loop the moment its client has gone. It runs a few
items ahead and no more: what a slow client has not read yet stays with the model server, not here.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Generic, TypeVar

Item = TypeVar("Item")

AHEAD = 16
"""Items that may wait for the consumer."""


@dataclass(frozen=True, slots=True)
class _Ended:
    error: Exception | None = None


class Feed(Generic[Item]):
    """The items of a generator, as they come. `close` must be called."""

    def __init__(self, source: AsyncGenerator[Item, None]) -> None:
        self._queue: asyncio.Queue[Item | _Ended] = asyncio.Queue(AHEAD)
        self._early: list[Item | _Ended] = []
        self._task = asyncio.create_task(self._pump(source))

    async def settle(self, enough: Callable[[Item], bool], *, grace_s: float) -> bool:
        """Wait until an item is `enough`, the source ends, or the grace is over.

        Return whether it was not the grace that ended. Items that came meanwhile are kept for
        `items`.

        Raises:
            Exception: what the source raised, if it failed within the grace.

        """
        try:
            async with asyncio.timeout(grace_s):
                while True:
                    item = await self._queue.get()
                    if isinstance(item, _Ended) and item.error is not None:
                        raise item.error
                    self._early.append(item)
                    if isinstance(item, _Ended) or enough(item):
                        return True
        except TimeoutError:
            return False

    async def items(self, *, patience: Callable[[], float]) -> AsyncGenerator[Item | None, None]:
        """Yield the items, and None whenever nothing came for `patience()` seconds.

        Raises:
            Exception: what the source raised.

        """
        while True:
            item = await self._next(patience())
            if not isinstance(item, _Ended):
                yield item
            elif item.error is not None:
                raise item.error
            else:
                return

    async def close(self) -> None:
        """Stop the source and wait until it has stopped."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _next(self, within_s: float) -> Item | _Ended | None:
        if self._early:
            return self._early.pop(0)
        try:
            async with asyncio.timeout(within_s):
                return await self._queue.get()
        except TimeoutError:
            return None

    async def _pump(self, source: AsyncGenerator[Item, None]) -> None:
        try:
            async with aclosing(source):
                async for item in source:
                    await self._queue.put(item)
        except Exception as error:  # noqa: BLE001  # carried over, and raised, to the consumer
            await self._queue.put(_Ended(error))
        else:
            await self._queue.put(_Ended())
