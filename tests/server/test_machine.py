"""The machine that it runs on: a clock that jumps, and work that must not hold up others."""

import asyncio
import time

import pytest

from tests.fakes.library import QUESTION, SIGNS
from tests.fakes.vllm import DRAFT, REVISED, FakeVLLM, Slow, lacks
from tests.server.conftest import Opener
from tests.server.gateway import Gateway

DAY_S = 86_400.0
LONG = f"{QUESTION} {'It began this morning, and it is on one side of the head. ' * 16_000}"
"""About a megabyte."""


@pytest.mark.parametrize("jump_s", [DAY_S, -DAY_S])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_a_clock_that_jumps_ends_and_delays_nothing(
    gateway: Gateway,
    vllm: FakeVLLM,
    monkeypatch: pytest.MonkeyPatch,
    jump_s: float,
    stream: bool,  # noqa: FBT001
):
    vllm.script |= {"judge": lacks(SIGNS, unless=REVISED), "draft": Slow(seconds=0.3, reply=DRAFT)}
    ask = gateway.stream if stream else gateway.chat
    asked = asyncio.create_task(ask("standard", revision={"deadline_ms": 5000}))
    await vllm.arrives("draft")
    clock = time.time
    monkeypatch.setattr(time, "time", lambda: clock() + jump_s)
    reply = await asked
    assert (reply.status, reply.text) == (200, REVISED)
    assert reply.revision["status"] == "revised"


async def test_a_very_long_conversation_holds_up_no_other_request(
    open_gateway: Opener, vllm: FakeVLLM
):
    vllm.context = 10_000_000
    vllm.script["judge"] = lacks(SIGNS, unless=REVISED)
    gateway = await open_gateway()
    clock = asyncio.get_running_loop().time
    waits: list[float] = []

    async def poll() -> None:
        while True:
            began = clock()
            assert (await gateway.get("/healthz")).status == 200
            waits.append(clock() - began)
            await asyncio.sleep(0.02)

    polling = asyncio.create_task(poll())
    messages = [{"role": "user", "content": LONG}]
    reply = await gateway.chat("standard", messages=messages)
    polling.cancel()
    assert reply.status == 200
    assert len(waits) >= 3
    assert max(waits) < 1.0, "the event loop stood still"
