"""What happens when more is asked than can be answered.

    python -m benchmarks.overload [SECONDS [standard]]

A model server of fixed capacity (a fake one, so that nothing but the gateway is measured) behind
the gateway, on loopback. Its capacity in whole reviews is measured by a closed loop first; then
requests come at multiples of that, at random times and whether or not earlier ones were answered,
as patients do. Goodput is answers a second that came whole and in time. With `standard` as the
operator's minimum no review may give way, so that goodput rests on admission alone.
"""

import asyncio
import math
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from revision.policy import Mode
from tests.fakes.embedder import HashingEmbedder
from tests.fakes.library import SIGNS, open_library
from tests.fakes.vllm import REVISED, Body, FakeVLLM, Reply, lacks
from tests.server.gateway import Gateway, serving

SLOTS = 8
SECONDS_OF = {"draft": 0.2, "rubric": 0.2, "critique": 0.1, "revise": 0.2, "judge": 0.02}
"""Seconds that a step's call holds one of the engine's slots."""
FACTORS = (0.5, 1.0, 2.0, 4.0)
DEADLINE_MS = 20_000
QUEUE_S = 5.0
QUEUE_LENGTH = 32
SEED = 5
OK = 200


class Engine(FakeVLLM):
    """A model server that works on so many calls at a time; the others wait in it."""

    def __init__(self, slots: int = SLOTS) -> None:
        super().__init__({"judge": lacks(SIGNS, unless=REVISED)})
        self._slots = asyncio.Semaphore(slots)

    async def _play(
        self, request: web.Request, step: str, body: Body, reply: Reply
    ) -> web.StreamResponse:
        async with self._slots:
            await asyncio.sleep(SECONDS_OF.get(step, 0.05))
            return await super()._play(request, step, body, reply)


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What one rate of requests gave; `how` counts how the answers ended."""

    factor: float
    seconds: float
    latencies: tuple[float, ...]
    refusals: tuple[float, ...]
    how: Counter[str]

    @property
    def goodput(self) -> float:
        """Answers a second."""
        return len(self.latencies) / self.seconds

    def line(self) -> str:
        """Return a row of the report."""
        ends = ", ".join(f"{count} {name}" for name, count in self.how.most_common())
        return (
            f"| {self.factor:g} | {self.goodput:.1f} | {at(self.latencies, 0.5):.1f} "
            f"({at(self.latencies, 0.99):.1f}) | {len(self.refusals)} "
            f"({at(self.refusals, 0.99):.1f}) | {ends} |"
        )


def at(values: Sequence[float], share: float) -> float:
    """Return the quantile, 0 where there are no values."""
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(share * len(ranked)))] if ranked else 0.0


async def capacity(gateway: Gateway, seconds: float) -> float:
    """Return whole reviews a second with as many clients as the engine has slots."""
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    answered = 0

    async def client() -> None:
        nonlocal answered
        while loop.time() < until:
            reply = await gateway.chat(revision={"deadline_ms": DEADLINE_MS})
            answered += reply.status == OK

    await asyncio.gather(*(client() for _ in range(SLOTS)))
    return answered / (loop.time() - until + seconds)


async def load(gateway: Gateway, factor: float, rate: float, seconds: float) -> Load:
    """Send requests at `rate` a second for so long, and wait for the last answer."""
    loop, chance = asyncio.get_running_loop(), random.Random(SEED)  # noqa: S311  # no secret
    latencies: list[float] = []
    refusals: list[float] = []
    how: Counter[str] = Counter()

    async def one() -> None:
        began = loop.time()
        reply = await gateway.chat(revision={"deadline_ms": DEADLINE_MS})
        took = loop.time() - began
        if reply.status == OK:
            latencies.append(took)
            how[f"`{reply.revision['mode']}` {reply.revision['stop_reason']}"] += 1
        else:
            refusals.append(took)
            how[str(reply.status)] += 1

    started, due = loop.time(), 0.0
    async with asyncio.TaskGroup() as group:
        while (due := due - math.log(chance.random()) / rate) < seconds:
            await asyncio.sleep(max(0.0, started + due - loop.time()))
            group.create_task(one())
    return Load(
        factor=factor,
        seconds=loop.time() - started,
        latencies=tuple(latencies),
        refusals=tuple(refusals),
        how=how,
    )


async def measure(
    seconds: float, factors: Sequence[float] = FACTORS, *, minimum_mode: Mode = "draft"
) -> tuple[float, list[Load]]:
    """Return the capacity in reviews a second, and what each multiple of it gave."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        library = open_library(folder, HashingEmbedder())
        wishes = {
            "calls_at_once": SLOTS,
            "queue_length": QUEUE_LENGTH,
            "queue_s": QUEUE_S,
            "minimum_mode": minimum_mode,
        }
        async with Engine() as engine, serving(engine, library, folder, **wishes) as gateway:
            whole = await capacity(gateway, seconds / 2)
            return whole, [await load(gateway, one, one * whole, seconds) for one in factors]


def main() -> None:
    """Print the report."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 20.0
    minimum: Mode = "standard" if "standard" in sys.argv[2:] else "draft"
    whole, loads = asyncio.run(measure(seconds, minimum_mode=minimum))
    print(f"capacity: {whole:.1f} whole reviews a second\n")
    print("| times capacity | answers/s | s, median (p99) | refused (s, p99) | how they ended |")
    print("|--:|--:|--:|--:|---|")
    for one in loads:
        print(one.line())


if __name__ == "__main__":
    main()
