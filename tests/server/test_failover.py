"""One of two replicas dies, hangs or serves another model behind the whole gateway."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from models import probing
from tests.fakes.vllm import DRAFT, MODEL, FakeVLLM, Hang, Slow
from tests.server.conftest import Opener
from tests.server.gateway import Gateway


@pytest.fixture
async def other() -> AsyncIterator[FakeVLLM]:
    async with FakeVLLM() as server:
        yield server
    assert server.complaints == []


@pytest.fixture
async def both(open_gateway: Opener, vllm: FakeVLLM, other: FakeVLLM) -> Gateway:
    return await open_gateway(upstream=(vllm.url, other.url), replica_silence_s=0.3)


async def test_when_one_of_two_dies_under_load_no_client_sees_an_error(
    both: Gateway, vllm: FakeVLLM, other: FakeVLLM
):
    vllm.script["draft"] = other.script["draft"] = Slow(seconds=0.3, reply=DRAFT)
    asked = [
        *(asyncio.create_task(both.chat()) for _ in range(8)),
        *(asyncio.create_task(both.stream()) for _ in range(4)),
        *(asyncio.create_task(both.chat("draft")) for _ in range(4)),
    ]
    await vllm.arrives("draft")
    await other.arrives("draft")
    await asyncio.sleep(0.1)
    await vllm.stop()
    replies = await asyncio.gather(*asked)
    assert {reply.status for reply in replies} == {200}
    assert {reply.text for reply in replies} == {DRAFT}
    reviewed = {reply.revision["status"] for reply in replies[:12]}
    assert reviewed == {"clean"}
    ready = await both.get("/readyz")
    assert (ready.status, ready.json["problems"]) == (200, {"replicas": "replica 1 is out"})
    assert b"clinalign_replicas_out 1.0" in (await both.get("/metrics")).body


async def test_when_one_of_two_hangs_no_client_sees_an_error(
    both: Gateway, vllm: FakeVLLM, other: FakeVLLM, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(probing, "PROBE_S", 0.3)
    vllm.script = dict.fromkeys(("draft", "rubric", "judge", "probe"), Hang())
    replies = await asyncio.gather(*(both.chat() for _ in range(8)), both.stream())
    assert {reply.status for reply in replies} == {200}
    assert {reply.revision["status"] for reply in replies} == {"clean"}
    assert vllm.of("draft")


async def test_all_steps_of_one_request_reach_one_replica(
    both: Gateway, vllm: FakeVLLM, other: FakeVLLM
):
    await both.chat()
    assert not (vllm.requests and other.requests)
    assert len(vllm.requests) + len(other.requests) > 3


async def test_a_wrong_model_behind_a_replica_is_told_and_gets_no_calls(
    both: Gateway, vllm: FakeVLLM, other: FakeVLLM
):
    vllm.models = ["another-model"]
    ready = await both.get("/readyz")
    assert ready.status == 200
    assert "replica 1 does not offer" in ready.json["problems"]["replicas"]
    replies = await asyncio.gather(*(both.chat() for _ in range(6)))
    assert {reply.status for reply in replies} == {200}
    assert {one.body["model"] for one in other.requests} == {MODEL}
    assert vllm.requests == []


async def test_the_metrics_tell_what_is_in_flight_and_what_waits(
    open_gateway: Opener, vllm: FakeVLLM
):
    gateway = await open_gateway(calls_at_once=1)
    vllm.script["draft"] = Slow(seconds=0.3, reply=DRAFT)
    asked = [asyncio.create_task(gateway.chat("draft")) for _ in range(3)]
    await vllm.arrives("draft")
    while gateway.services.admission.waiting < 2:  # noqa: ASYNC110  # a queue tells nobody
        await asyncio.sleep(0.001)
    told = (await gateway.get("/metrics")).body.decode()
    assert "clinalign_upstream_calls_in_flight 1.0" in told
    assert "clinalign_requests_waiting 2.0" in told
    await asyncio.gather(*asked)
