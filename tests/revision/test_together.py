"""Running generators side by side."""

import asyncio
from contextlib import aclosing

import pytest

from revision.together import together


async def count(name, times, pause=0.0):
    for number in range(times):
        await asyncio.sleep(pause)
        yield f"{name}{number}"


async def fail(after=0.0):
    await asyncio.sleep(after)
    yield "before"
    raise ValueError("broken")


async def test_all_items_come_in_each_sources_order():
    seen = [item async for item in together(count("a", 3), count("b", 3, 0.01))]
    assert [item for item in seen if item.startswith("a")] == ["a0", "a1", "a2"]
    assert [item for item in seen if item.startswith("b")] == ["b0", "b1", "b2"]


async def test_items_come_as_they_are_made():
    seen = [item async for item in together(count("slow", 1, 0.05), count("fast", 2))]
    assert seen == ["fast0", "fast1", "slow0"]


async def closing(done):
    try:
        while True:
            await asyncio.sleep(0.01)
            yield "tick"
    finally:
        await asyncio.sleep(0)
        done.set()


async def test_a_failing_source_ends_the_others_and_is_raised():
    done = asyncio.Event()
    with pytest.raises(ValueError, match="broken"):
        async with aclosing(together(closing(done), fail(0.02))) as both:
            async for _ in both:
                pass
    assert done.is_set()


async def test_closing_early_waits_until_the_sources_have_closed():
    done = asyncio.Event()
    async with aclosing(together(closing(done))) as source:
        async for _ in source:
            break
    assert done.is_set()
    assert len(asyncio.all_tasks()) == 1
