"""A source runs a few items ahead of its consumer, and stops when it is told to."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from server.feed import AHEAD, Feed


class Source:
    """Numbers without end, or up to a failure; `given` is how many have been taken."""

    def __init__(self, *, fails_after: int | None = None) -> None:
        self.given = 0
        self.stopped = False
        self._fails_after = fails_after

    async def numbers(self) -> AsyncGenerator[int, None]:
        try:
            while self.given != self._fails_after:
                self.given += 1
                yield self.given
            raise ValueError("the source broke")
        finally:
            self.stopped = True


async def pause() -> None:
    for _ in range(10 * AHEAD):
        await asyncio.sleep(0)


async def test_a_source_waits_for_a_consumer_that_does_not_read():
    source = Source()
    feed = Feed(source.numbers())
    await pause()
    assert source.given == AHEAD + 1  # one more is in its hand
    async with aclosing(feed.items(patience=lambda: 5.0)) as items:
        assert [await anext(items) for _ in range(100)] == list(range(1, 101))
    await feed.close()
    assert source.stopped


async def test_a_source_that_waits_for_its_consumer_can_be_stopped():
    source = Source()
    feed = Feed(source.numbers())
    await pause()
    async with asyncio.timeout(1):
        await feed.close()
    assert source.stopped


async def test_a_failure_that_finds_no_room_does_not_hold_up_the_end():
    source = Source(fails_after=AHEAD)
    feed = Feed(source.numbers())
    await pause()
    assert source.stopped
    async with asyncio.timeout(1):
        await feed.close()


async def test_a_failure_comes_after_all_that_came_before_it():
    feed = Feed(Source(fails_after=3 * AHEAD).numbers())
    got = []
    with pytest.raises(ValueError, match="broke"):
        async for item in feed.items(patience=lambda: 5.0):
            got.append(item)  # noqa: PERF401  # what came before the failure is the claim
    assert got == list(range(1, 3 * AHEAD + 1))
    await feed.close()


async def test_settling_may_take_more_than_there_is_room_for():
    feed = Feed(Source().numbers())
    assert await feed.settle(lambda item: item == 5 * AHEAD, grace_s=5.0)
    async with aclosing(feed.items(patience=lambda: 5.0)) as items:
        assert [await anext(items) for _ in range(6 * AHEAD)] == list(range(1, 6 * AHEAD + 1))
    await feed.close()
