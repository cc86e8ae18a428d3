"""Try the threats of SECURITY.md, S1 to S22, on a running gateway.

    python -m tests.attack.run

The gateway is a process of its own in front of a fake model server; all traffic stays on loopback,
and every attack is bounded in count and time. They run twice, so that the memory and the sockets
after the second time can be held against those after the first. Ends with status 1 if a defence
failed, or the gateway is not as well afterwards as it was before.
"""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

import aiohttp

from tests.attack import entrance, wall
from tests.attack.target import DefenceFailed, Target
from tests.fakes.vllm import FakeVLLM

ATTACKS: Mapping[str, Callable[[Target], Awaitable[str]]] = {
    "S1": entrance.keys,
    "S2": entrance.hosts,
    "S3": wall.fields,
    "S4": wall.addresses,
    "S5": entrance.sockets,
    "S6": wall.orders,
    "S7": wall.library,
    "S8": wall.secrets,
    "S9": wall.markup,
    "S10": entrance.pages,
    "S11": wall.words,
    "S12": wall.tenants,
    "S13": wall.files,
    "S14": wall.files,
    "S15": wall.templates,
    "S16": wall.expressions,
    "S17": wall.lines,
    "S18": wall.supply,
    "S19": entrance.back_doors,
    "S20": wall.engines,
    "S21": entrance.overload,
    "S22": wall.trust,
}
AGAIN = ("S2", "S3", "S5", "S10", "S17", "S21")
"""Those that send much; they run a second time before the memory is looked at."""

ATTACK_S = 90.0
MOST_GROWTH_KB = 24 * 1024
MOST_SOCKETS = 10


def free_port() -> int:
    """Return a port that is free now."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@asynccontextmanager
async def under_attack(folder: Path) -> AsyncIterator[Target]:
    """Start two gateways in front of a fake model server; the second one asks for keys."""
    async with (
        FakeVLLM() as vllm,
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as web,
        gateway(folder / "open", vllm, web) as target,
        gateway(folder / "locked", vllm, web, locked=True) as locked,
    ):
        yield replace(target, locked=locked)


@asynccontextmanager
async def gateway(
    folder: Path, vllm: FakeVLLM, web: aiohttp.ClientSession, *, locked: bool = False
) -> AsyncIterator[Target]:
    """Start one gateway, with a key of its own if it is `locked`."""
    (folder / "data").mkdir(parents=True)
    (folder / "library").mkdir()
    kept = {name: held for name, held in os.environ.items() if not name.startswith("CLINALIGN_")}
    settings = {**kept, "CLINALIGN_DATA_DIR": str(folder / "data"), "OMP_NUM_THREADS": "1"}
    key = await asyncio.to_thread(_add_key, settings) if locked else ""
    port = free_port()
    with (folder / "gateway.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.attack.gateway"),
            *(str(port), vllm.url, str(folder / "library")),
            env=settings,
            stdout=log,
            stderr=log,
        )
    target = Target(port=port, pid=process.pid, vllm=vllm, web=web, folder=folder, key=key)
    try:
        await _until_ready(target, process)
        yield target
    finally:
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(20):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


def _add_key(settings: dict[str, str]) -> str:
    """Make a key as an operator would, and return it."""
    code = "from server.cli import main; main()"
    told = subprocess.run(
        [sys.executable, "-c", code, "keys", "add", "--scope", "chat", "--json"],
        env=settings,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return str(json.loads(told.stdout)["key"])


async def _until_ready(target: Target, process: asyncio.subprocess.Process) -> None:
    async with asyncio.timeout(90):
        while process.returncode is None:
            with suppress(aiohttp.ClientError):
                if (await target.ask("GET", "/readyz")).status == 200:
                    return
            await asyncio.sleep(0.1)
    raise RuntimeError(f"the gateway did not start: {target.log[-2000:]}")


async def attempt(name: str, target: Target) -> tuple[bool, str]:
    """Make one attack; return whether the defence held, and what there is to tell."""
    try:
        async with asyncio.timeout(ATTACK_S):
            return True, await ATTACKS[name](target)
    except DefenceFailed as failed:
        return False, str(failed)
    except (TimeoutError, aiohttp.ClientError, OSError, KeyError, ValueError) as error:
        return False, f"{type(error).__name__}: {error}"


async def settled(target: Target) -> tuple[int, int]:
    """Return the memory in KB and the open files once nothing runs any more."""
    for _ in range(40):
        await asyncio.sleep(0.25)
        metrics = (await target.ask("GET", "/metrics")).body.decode()
        if "clinalign_http_requests_in_flight 1.0" in metrics:
            break
    await asyncio.sleep(1.5)  # connections that said nothing are closed
    return target.resident_kb(), target.open_files()


async def run(folder: Path) -> int:
    """Make all attacks, print what came of each, and return how many defences failed."""
    failed = 0
    async with under_attack(folder) as target:
        for name, attack in ATTACKS.items():
            began = time.monotonic()
            held, told = await attempt(name, target)
            failed += not held
            what = (attack.__doc__ or "").partition(": ")[2].rstrip(".")
            state = "held" if held else "FAILED"
            print(
                f"{name:>4} {state:6} {time.monotonic() - began:5.1f} s  {what}: {told}", flush=True
            )
        before = await settled(target)
        for name in AGAIN:
            held, told = await attempt(name, target)
            if not held:
                failed += 1
                print(f"{name:>4} FAILED the second time: {told}")
        after = await settled(target)
        failed += not await _is_well(target, before, after)
    print(f"{len(ATTACKS) + 1 - failed} passed, {failed} failed")
    return failed


async def _is_well(target: Target, before: tuple[int, int], after: tuple[int, int]) -> bool:
    ready = (await target.ask("GET", "/readyz")).status == 200
    answers = (await target.chat("standard")).status == 200
    grown, sockets = after[0] - before[0], after[1] - before[1]
    traces = "Traceback" in target.log
    print(
        f"afterwards: ready {ready}, answers {answers}, memory {after[0] // 1024} MB "
        f"({grown:+} KB in the second round), open files {after[1]} ({sockets:+}), "
        f"tracebacks {'some' if traces else 'none'}"
    )
    flat = grown <= MOST_GROWTH_KB and sockets <= MOST_SOCKETS
    return ready and answers and flat and not traces


def main() -> None:
    """Attack."""
    with tempfile.TemporaryDirectory() as name:
        sys.exit(1 if asyncio.run(run(Path(name))) else 0)


if __name__ == "__main__":
    main()
