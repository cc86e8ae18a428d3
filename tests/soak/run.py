"""Load with faults for a long time, and then the question whether anything is left behind.

    python -m tests.soak.run [--minutes N] [--rate N] [--seed N]

A tenth each of the requests is cancelled, fails and is slow; streamed and whole, all modes, both
APIs, some sent twice under one key; one of the two replicas dies every few seconds and comes back.
Every request must get an answer or the right error (`asks.complaint`), and in the end the gateway,
in a process of its own, must hold what it held in the beginning: descriptors, tasks, slots, calls
upstream; its memory may grow by `GROWTH_KB` for each thousand requests. Exit 1 if not.
"""

import argparse
import asyncio
import json
import random
import re
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from statistics import linear_regression

import aiohttp

from models import sse
from tests.fakes.vllm import FakeVLLM
from tests.soak.asks import Ask, Seen, complaint, drawn, read_chat, read_stream, script

WARM_UP_S = 30.0
SAMPLES_S = 2.0
SETTLE_S = 12.0
"""Longer than idle connections are kept."""
UP_S, DOWN_S = 9.0, 3.0
GROWTH_KB = 1024.0
"""For each thousand requests; below `LEAST_KB` in all, a slope is the allocator's noise."""
LEAST_KB = 8192.0
AT_ONCE = 40
_COUNTED = re.compile(
    r'^clinalign_http_responses_total\{route="/v1/(?:chat/completions|responses)",'
    r'status="(?P<status>\d+)"\} (?P<count>\S+)$',
    re.MULTILINE,
)


@dataclass
class Child:
    """The gateway's process."""

    process: asyncio.subprocess.Process
    url: str

    async def holds(self) -> dict[str, int]:
        """Ask what it holds."""
        if self.process.stdin is None or self.process.stdout is None:
            raise RuntimeError("the process has no pipes")
        self.process.stdin.write(b"\n")
        return dict(json.loads(await self.process.stdout.readline()))


@dataclass
class Run:
    """What has happened so far."""

    sent: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    reviews: Counter[str] = field(default_factory=Counter)
    excused: Counter[str] = field(default_factory=Counter)
    complaints: Counter[str] = field(default_factory=Counter)
    memory: list[tuple[float, float]] = field(default_factory=list)
    flapped_at: float = -60.0
    flaps: int = 0
    left: int = 0


@asynccontextmanager
async def child(*upstream: str) -> AsyncIterator[Child]:
    """Start the gateway, and end it."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.soak.gateway", *upstream),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        if process.stdout is None:
            raise RuntimeError("the process has no pipes")
        async with asyncio.timeout(60):
            url = (await process.stdout.readline()).decode().strip()
        yield Child(process, url)
    finally:
        if process.stdin is not None:
            process.stdin.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(10):
                await process.wait()
        if process.returncode is None:
            process.kill()
            await process.wait()


async def send(session: aiohttp.ClientSession, url: str, ask: Ask) -> Seen:
    """Send one request and read all of its answer."""
    clock = asyncio.get_running_loop().time
    began = clock()
    headers = {"idempotency-key": ask.key} if ask.key else {}
    async with session.post(url + ask.path, json=ask.body, headers=headers) as response:
        if response.content_type == "text/event-stream":
            frames = [frame async for frame in sse.frames(response.content.iter_any())]
            text, error, review, whole = read_stream(ask, frames)
        else:
            text, error, review = read_chat(await response.json())
            whole = True
        return Seen(
            status=response.status,
            seconds=clock() - began,
            text=text,
            error=error,
            review=review,
            whole=whole,
        )


async def one(session: aiohttp.ClientSession, url: str, ask: Ask, run: Run) -> None:
    """Send one request, twice if it has a key, and judge what came."""
    run.sent += 2 if ask.key else 1
    if ask.leaves_s is not None:
        with suppress(TimeoutError):
            async with asyncio.timeout(ask.leaves_s):
                await send(session, url, ask)
        run.left += 1
        return
    try:
        both = await asyncio.gather(*(send(session, url, ask) for _ in range(2 if ask.key else 1)))
    except (aiohttp.ClientError, TimeoutError) as error:
        run.complaints[f"{ask.mode} {ask.step} {ask.fault}: {type(error).__name__}"] += 1
        return
    if both[0].text != both[-1].text:
        run.complaints["a repeated request got another answer"] += 1
    for seen in both:
        run.statuses[str(seen.status)] += 1
        run.reviews[seen.review or "none"] += 1
        if (told := complaint(ask, seen)) is None:
            continue
        # Only what was already running on the replica that died may break, and only a stream.
        since = asyncio.get_running_loop().time() - run.flapped_at
        broke = ask.stream and ask.mode == "draft" and seen.error == "upstream_unavailable"
        where = f"{ask.mode} {'stream' if ask.stream else 'whole'} {ask.step} {ask.fault}: {told}"
        (run.excused if broke and since < DOWN_S else run.complaints)[where] += 1


async def flap(replica: FakeVLLM, run: Run) -> None:
    """Take the replica down and up again, for ever."""
    while True:
        await asyncio.sleep(UP_S)
        run.flapped_at = asyncio.get_running_loop().time()
        run.flaps += 1
        await replica.stop()
        await asyncio.sleep(DOWN_S)
        await replica.__aenter__()


async def watch(gateway: Child, run: Run, *servers: FakeVLLM) -> None:
    """Note the gateway's memory, and forget what the model servers remember."""
    while True:
        await asyncio.sleep(SAMPLES_S)
        run.memory.append((run.sent, (await gateway.holds())["rss_kb"]))
        for server in servers:
            for remembered in (server.requests, server.served, server.cancelled, server.counted):
                remembered.clear()


async def load(
    session: aiohttp.ClientSession, url: str, run: Run, chance: random.Random, **bounds: float
) -> None:
    """Send requests at random times, `rate` a second for `seconds`, and wait for all of them."""
    clock = asyncio.get_running_loop().time
    room = asyncio.Semaphore(AT_ONCE)
    until, due = clock() + bounds["seconds"], clock()

    async def admitted(ask: Ask) -> None:
        async with room:
            await one(session, url, ask, run)

    async with asyncio.TaskGroup() as group:
        while (due := due + chance.expovariate(bounds["rate"])) < until:
            await asyncio.sleep(max(0.0, due - clock()))
            group.create_task(admitted(drawn(chance)))


async def counted(session: aiohttp.ClientSession, url: str) -> Counter[str]:
    """Return the answers that the gateway has counted, by status."""
    async with session.get(url + "/metrics") as response:
        text = await response.text()
    found: Counter[str] = Counter()
    for match in _COUNTED.finditer(text):
        found[match["status"]] += int(float(match["count"]))
    return found


def left_behind(before: dict[str, int], after: dict[str, int], run: Run) -> list[str]:
    """Say what the gateway holds that it did not hold in the beginning."""
    found = [
        f"{name}: {before[name]} in the beginning, {after[name]} in the end"
        for name in ("fds", "tasks", "slots", "waiting", "shared", "calls")
        if after[name] > before[name]
    ]
    growth, thousands = slope(run), (run.memory[-1][0] - run.memory[0][0]) / 1000
    if growth > GROWTH_KB and growth * thousands > LEAST_KB:
        found.append(f"memory grows by {growth:.0f} kB for each thousand requests")
    return found


def slope(run: Run) -> float:
    """Return the growth of memory in kilobytes for each thousand requests."""
    sent, kilobytes = zip(*run.memory, strict=True)
    return 1000 * linear_regression(sent, kilobytes).slope


def miscounted(run: Run, metrics: Counter[str]) -> list[str]:
    """Say where the gateway's own count and the clients' differ; who left may be under any."""
    found = [
        f"status {status}: {count} answers, {metrics[status]} counted"
        for status, count in run.statuses.items()
        if metrics[status] < count
    ]
    total, answered = metrics.total(), run.statuses.total()
    if not answered <= total <= answered + run.left:
        found.append(f"{answered} answered and {run.left} left, but {total} counted")
    return found


async def soak(minutes: float, rate: float, seed: int) -> int:
    """Run, print what was found, and return how many things were wrong."""
    run, chance = Run(), random.Random(seed)  # noqa: S311  # no secret
    async with (
        FakeVLLM(script()) as steady,
        FakeVLLM(script()) as flapping,
        child(steady.url, flapping.url) as gateway,
        aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=60)
        ) as session,
    ):
        await load(session, gateway.url, run, chance, seconds=WARM_UP_S, rate=rate)
        await asyncio.sleep(SETTLE_S)
        before = await gateway.holds()
        clock = asyncio.get_running_loop().time
        others = [
            asyncio.create_task(flap(flapping, run)),
            asyncio.create_task(watch(gateway, run, steady, flapping)),
        ]
        began = clock()
        await load(session, gateway.url, run, chance, seconds=60 * minutes, rate=rate)
        took = clock() - began
        for other in others:
            other.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        if flapping._runner is None:
            await flapping.__aenter__()
        await asyncio.sleep(SETTLE_S)
        after, metrics = await gateway.holds(), await counted(session, gateway.url)
        running = steady.in_flight + flapping.in_flight
    wrong = [f"{count} x {told}" for told, count in run.complaints.most_common()]
    wrong += left_behind(before, after, run) + miscounted(run, metrics)
    wrong += [f"{running} calls still run at the model server"] if running else []
    print(f"{run.sent} requests in {took:.0f} s, {run.left} left, {run.flaps} deaths of a replica")
    print(f"answers {dict(run.statuses)}, reviews {dict(run.reviews)}, counted {dict(metrics)}")
    print(f"streams that broke with the replica: {dict(run.excused)}")
    print(f"before {before}\nafter  {after}")
    print(f"memory: {slope(run):+.0f} kB for each thousand requests over {len(run.memory)} samples")
    print("\n".join(f"WRONG {told}" for told in wrong) or "nothing is left behind", flush=True)
    return len(wrong)


def main() -> None:
    """Soak for as long as the command line says. Exit 1 if anything is wrong."""
    parser = argparse.ArgumentParser(prog="tests.soak.run", description=__doc__)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--rate", type=float, default=4.0, help="requests a second")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    sys.exit(1 if asyncio.run(soak(given.minutes, given.rate, given.seed)) else 0)


if __name__ == "__main__":
    main()
