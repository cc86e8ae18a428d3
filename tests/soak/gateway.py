"""The gateway in a process of its own, which says what it holds whenever it is asked.

    python -m tests.soak.gateway UPSTREAM [UPSTREAM]...

Its first line is its address; then it answers every line on standard input with a line of JSON.
A process of its own, since what it holds would drown in what its clients and the model server hold.
"""

import asyncio
import gc
import json
import logging
import os
import sys
import tempfile
from pathlib import Path

from tests.fakes.embedder import HashingEmbedder
from tests.fakes.library import open_library
from tests.fakes.vllm import FakeVLLM
from tests.server.gateway import Gateway, serving

CALLS_AT_ONCE = 48
QUEUE_LENGTH = 64
SILENCE_S = 3.0
PING_S = 0.5


def holds(gateway: Gateway) -> dict[str, int]:
    """Return what the process holds now, memory in kilobytes."""
    gc.collect()
    services = gateway.services
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return {
        "rss_kb": pages * os.sysconf("SC_PAGE_SIZE") // 1024,
        "fds": len(list(Path("/proc/self/fd").iterdir())) - 1,  # one is this very listing
        "tasks": len(asyncio.all_tasks()),
        "slots": services.admission.running,
        "waiting": services.admission.waiting,
        "shared": len(services.repeats._shared),
        "calls": sum(len(replica.calls) for replica in services.upstream.replicas.all),
    }


async def main(upstream: tuple[str, ...]) -> None:
    """Serve until standard input ends."""
    logging.basicConfig(level=logging.ERROR)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "library").mkdir()
        library = open_library(folder / "library", HashingEmbedder())
        async with serving(
            FakeVLLM(),  # not this one, never started, but those whose addresses are given
            library,
            folder,
            upstream=upstream,
            calls_at_once=CALLS_AT_ONCE,
            queue_length=QUEUE_LENGTH,
            replica_silence_s=SILENCE_S,
            ping_s=PING_S,
        ) as gateway:
            print(gateway.url, flush=True)
            while await asyncio.to_thread(sys.stdin.readline):
                print(json.dumps(holds(gateway)), flush=True)


if __name__ == "__main__":
    asyncio.run(main(tuple(sys.argv[1:])))
