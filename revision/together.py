"""Running asynchronous generators side by side, as one.

The loop drafts and prepares the rubric at the same time and tells of both as they go. Yielding
from inside a task group is not safe (PEP 789): a consumer that stops would leave it half open.
Here the sources run in tasks of their own and only their values cross.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import TypeVar

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class _Ended:
    error: Exception | None = None


async def together(*sources: AsyncGenerator[Item, None]) -> AsyncGenerator[Item, None]:
    """Yield the sources' items as they come, until all have ended.

    The first source that fails ends the others, and its error is raised here. Closing this
    generator ends all of them, and waits until they have.
    """
    queue: asyncio.Queue[Item | _Ended] = asyncio.Queue()

    async def drain(source: AsyncGenerator[Item, None]) -> None:
        try:
            async with aclosing(source):
                async for item in source:
                    queue.put_nowait(item)
        except Exception as error:  # noqa: BLE001  # carried over, and raised, below
            queue.put_nowait(_Ended(error))
        else:
            queue.put_nowait(_Ended())

    tasks = [asyncio.create_task(drain(source)) for source in sources]
    running = len(tasks)
    try:
        while running:
            item = await queue.get()
            if not isinstance(item, _Ended):
                yield item
            elif item.error is not None:
                raise item.error
            else:
                running -= 1
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
