"""Let schemathesis loose on the gateway, by what `/openapi.json` says it takes and answers.

    python -m tests.fuzz.run [--seconds N] [--seed N]

Half of the time is spent on a gateway whose model server is well, and half on one whose model
server fails in every way that the fake can. schemathesis runs in an environment of its own
(`tests/clients/run.py`); the gateway and the fake run in this process on loopback ports.
"""

import argparse
import asyncio
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

from tests.clients.run import CACHE, Client, prepare
from tests.fakes.embedder import HashingEmbedder
from tests.fakes.library import QUESTION, open_library
from tests.fakes.vllm import (
    DEFAULTS,
    DRAFT,
    Answer,
    Body,
    Cut,
    ErrorInStream,
    FakeVLLM,
    Raw,
    Reply,
    Rule,
    Status,
    Unfinished,
    overflow,
)
from tests.server.gateway import serving

HERE = Path(__file__).parent
TOOL = Client(name="schemathesis", environment="schemathesis", driver="", ran="")
SPARE_S = 60.0
"""Longest that schemathesis may go on after its time is up; then it is stopped, and has failed."""

FAULTS: Mapping[str, tuple[Reply | None, ...]] = {
    "draft": (
        None,
        Status(status=400),
        Status(status=401),
        Status(status=429),
        Status(status=500),
        None,
        Cut(headers=False),
        Cut(text="Rest in "),
        Unfinished(text="Rest in "),
        ErrorInStream(text="Rest in "),
        overflow(),
        None,
        Raw(writes=(b"<html>",)),
        Raw(writes=(b'{"error": {"message": "no"}}',)),
        Answer(text=""),
        Answer(text=DRAFT, finish_reason="abort"),
        Answer(text="", refusal="I cannot help with that."),
    ),
    "judge": (None, None, None, "perhaps", Status(status=500), None),
    "rubric": (None, "no JSON", None, Status(status=400)),
    "revise": (None, Status(status=503), "", None),
}
"""What a step answers in turn; None is an answer as it should be."""


WELL: Mapping[str, Rule] = {**DEFAULTS, "restate": QUESTION}
"""The script of a model server that is well; long conversations are restated too."""


def failing() -> dict[str, Rule]:
    """Return the script of a model server that fails in every way, one after the other."""
    return {**WELL, **{step: _in_turn(step, replies) for step, replies in FAULTS.items()}}


def _in_turn(step: str, replies: tuple[Reply | None, ...]) -> Callable[[Body], Reply]:
    turns = cycle(replies)
    well = DEFAULTS[step]

    def answer(body: Body) -> Reply:
        reply = next(turns)
        if reply is not None:
            return reply
        return well(body) if callable(well) else well

    return answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How schemathesis ended, and all that it said."""

    status: int
    output: str


async def loose(url: str, home: Path, *options: str, limit_s: float) -> Ended:
    """Run schemathesis against the gateway at that address."""
    await asyncio.to_thread(prepare, TOOL)
    process = await asyncio.create_subprocess_exec(
        str(CACHE / TOOL.environment / "bin" / "schemathesis"),
        *("--config-file", str(HERE / "schemathesis.toml")),
        *("run", f"{url}/openapi.json", "--suppress-health-check", "all"),
        *("--request-timeout", "30", *options),
        cwd=home,
        env={
            "HOME": str(home),
            "LANG": "C.UTF-8",
            "NO_PROXY": "127.0.0.1",
            "PATH": os.environ["PATH"],
            "PYTHONDONTWRITEBYTECODE": "1",
            "SCHEMATHESIS_HOOKS": str(HERE / "hooks.py"),
        },
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(limit_s):
            said, _ = await process.communicate()
    except TimeoutError:
        return Ended(status=1, output=f"it was still running after {limit_s:.0f} s")
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    return Ended(status=process.returncode or 0, output=said.decode(errors="replace"))


async def run(seconds: int, seed: int) -> int:
    """Run both halves, print what schemathesis said, and return how many of them failed."""
    failed = 0
    scripts = {"well": WELL, "failing": failing()}
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        (home / "library").mkdir()
        library = open_library(home / "library", HashingEmbedder())
        for state, script in scripts.items():
            half = max(1, seconds // len(scripts))
            options = ("--max-time", str(half), "--seed", str(seed))
            async with FakeVLLM(script) as vllm, serving(vllm, library, home / state) as gateway:
                ended = await loose(gateway.url, home, *options, limit_s=half + SPARE_S)
            failed += ended.status != 0
            print(f"the model server is {state}\n{ended.output}", flush=True)
    print(f"{len(scripts) - failed} passed, {failed} failed")
    return failed


def main() -> None:
    """Run for as long as the command line says. Exit 1 if anything was found."""
    parser = argparse.ArgumentParser(prog="tests.fuzz.run", description=__doc__)
    parser.add_argument("--seconds", type=int, default=120)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    sys.exit(1 if asyncio.run(run(given.seconds, given.seed)) else 0)


if __name__ == "__main__":
    main()
