"""A faulty network between gateway and model server: the answer survives, or the error is right."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.fakes.library import SIGNS
from tests.fakes.proxy import (
    BlackHole,
    Cut,
    CutAfterHeaders,
    Delay,
    Drip,
    Drop,
    Fault,
    FaultProxy,
    Garbage,
    HalfClose,
    Reset,
)
from tests.fakes.vllm import DRAFT, REVISED, FakeVLLM, lacks
from tests.server.conftest import Opener

MODES = ("draft", "standard")
DEADLINE = {"deadline_ms": 1500}
CUT = 40
"""Bytes of a body after which it breaks off: too few for a whole reply, and within a stream's
first frame."""

BROKEN: dict[str, tuple[Fault, set[tuple[int, str]]]] = {
    "dropped": (Drop(), {(503, "upstream_unavailable")}),
    "reset": (Reset(), {(503, "upstream_unavailable")}),
    "cut after the headers": (CutAfterHeaders(), {(503, "upstream_unavailable")}),
    "cut in the body": (Cut(after=CUT), {(503, "upstream_unavailable")}),
    "half closed": (HalfClose(after=CUT), {(503, "upstream_unavailable")}),
    "garbage": (Garbage(), {(503, "upstream_unavailable")}),
    "garbage in the body": (
        Garbage(after=CUT),
        {(502, "upstream_malformed"), (503, "upstream_unavailable")},
    ),
    "black hole": (BlackHole(), {(504, "deadline_exceeded"), (504, "upstream_timeout")}),
    "late": (Delay(seconds=5), {(504, "deadline_exceeded"), (504, "upstream_timeout")}),
    "dripping too slowly": (
        Drip(piece=1),
        {(504, "deadline_exceeded"), (504, "upstream_timeout")},
    ),
}
HARMLESS: dict[str, Fault] = {"late": Delay(seconds=0.2), "dripping": Drip(piece=64)}
STEPS = ("draft", "rubric", "judge", "judge-retry", "critique", "revise", "alone")


def cases(table):
    return pytest.mark.parametrize("name", list(table))


@pytest.fixture
async def proxy(vllm: FakeVLLM) -> AsyncIterator[FaultProxy]:
    vllm.script["judge"] = lacks(SIGNS, unless=REVISED)
    async with FaultProxy(vllm.url) as between:
        yield between


@pytest.fixture
async def gateway(open_gateway: Opener, proxy: FaultProxy):
    return await open_gateway(upstream=(proxy.url,))


async def nothing_runs(vllm: FakeVLLM, proxy: FaultProxy, gateway) -> None:
    """Wait until no call is open anywhere."""
    await vllm.idle(within=3)
    assert gateway.services.admission.running == 0
    assert not any(one.calls for one in gateway.services.upstream.replicas.all)


@pytest.mark.parametrize("mode", MODES)
@cases(BROKEN)
async def test_a_draft_that_never_comes_is_the_right_error(name, mode, gateway, proxy, vllm):
    fault, right = BROKEN[name]
    proxy.faults["draft"] = fault
    reply = await gateway.chat(mode, revision=DEADLINE)
    assert (reply.status, reply.error["code"]) in right
    assert proxy.struck
    await nothing_runs(vllm, proxy, gateway)


@pytest.mark.parametrize("mode", MODES)
@cases(BROKEN)
async def test_a_stream_whose_draft_never_comes_ends_in_the_right_error(
    name, mode, gateway, proxy, vllm
):
    fault, right = BROKEN[name]
    proxy.faults["draft"] = fault
    stream = await gateway.stream(mode, revision=DEADLINE)
    if stream.status == 200:
        assert stream.data[-1] == b"[DONE]"
        assert stream.chunks[-1]["error"]["code"] in {code for _, code in right}
        assert not stream.finishing
    else:
        assert stream.status in {status for status, _ in right}
    await nothing_runs(vllm, proxy, gateway)


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("step", ["judge", "revise"])
@cases(BROKEN)
async def test_the_draft_survives_whatever_becomes_of_a_hidden_step(
    name, step, streamed, gateway, proxy, vllm
):
    proxy.faults[step] = BROKEN[name][0]
    reply = await (gateway.stream if streamed else gateway.chat)("standard", revision=DEADLINE)
    assert (reply.status, reply.text) == (200, DRAFT)
    assert reply.revision["status"] == ("unreviewed" if step == "judge" else "kept_draft")
    assert reply.revision["stop_reason"] in {"model_error", "deadline"}
    await nothing_runs(vllm, proxy, gateway)


@pytest.mark.parametrize("step", ["rubric", "critique"])
@cases(BROKEN)
async def test_a_step_that_has_a_substitute_costs_no_revision(name, step, gateway, proxy):
    proxy.faults[step] = BROKEN[name][0]
    reply = await gateway.chat("standard", revision={"deadline_ms": 4000})
    assert (reply.status, reply.text) == (200, REVISED)
    assert reply.revision["status"] == "revised"


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("mode", MODES)
@cases(HARMLESS)
async def test_a_slow_network_costs_time_and_nothing_else(name, mode, streamed, gateway, proxy):
    proxy.faults |= dict.fromkeys(STEPS, HARMLESS[name])
    reply = await (gateway.stream if streamed else gateway.chat)(mode)
    assert reply.status == 200
    assert reply.text == (DRAFT if mode == "draft" else REVISED)


async def test_a_stream_that_breaks_after_its_first_words_ends_in_an_error(gateway, proxy, vllm):
    proxy.faults["draft"] = Cut(after=700)
    stream = await gateway.stream("draft")
    assert stream.status == 200
    assert stream.text
    assert DRAFT.startswith(stream.text)
    assert stream.text != DRAFT
    assert stream.chunks[-1]["error"]["code"] == "upstream_unavailable"
    assert stream.data[-1] == b"[DONE]"
    assert not stream.finishing


@cases({name: one for name, one in BROKEN.items() if name not in {"late", "black hole"}})
async def test_with_a_second_replica_no_client_sees_the_fault(
    name, open_gateway, proxy, vllm, library, tmp_path
):
    if name in {"dripping too slowly", "garbage in the body", "cut in the body", "half closed"}:
        steps = ("judge",)  # bytes of it have come, so it is not repeated; the draft is not struck
    else:
        steps = STEPS
    proxy.faults |= dict.fromkeys(steps, BROKEN[name][0])
    gateway = await open_gateway(upstream=(proxy.url, vllm.url))
    replies = await asyncio.gather(*(gateway.chat("fast", revision=DEADLINE) for _ in range(6)))
    assert {reply.status for reply in replies} == {200}


async def test_a_black_hole_with_a_healthy_health_route_is_found_by_its_silence(
    open_gateway, proxy, vllm
):
    proxy.faults |= dict.fromkeys((*STEPS, "probe"), BlackHole())
    gateway = await open_gateway(upstream=(proxy.url, vllm.url), replica_silence_s=0.3)
    replies = await asyncio.gather(*(gateway.chat("fast") for _ in range(4)))
    assert {(reply.status, reply.text) for reply in replies} == {(200, REVISED)}
    assert gateway.services.upstream.replicas.all[0].is_out
    assert not gateway.services.upstream.replicas.all[1].is_out
