"""What odd model servers say, told the same in every mode; all over a real socket."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from models import sse
from models.messages import Usage
from revision.calls import CallRecord
from server.metrics import Metrics
from tests.fakes.vllm import DRAFT, FakeVLLM, Raw, proposal
from tests.server.gateway import Gateway
from tests.server.test_streaming import CANARY, SSE

MODES = {"draft": {"mode": "draft"}, "reviewed": {}}
LIVE = {"draft": {"mode": "draft"}, "live": {"expose": "reasoning"}}
ASKED = {"include_usage": True}
COUNTS = [-5, 2**63, 10**30, 2.5, True, "many"]
ids: Callable[[object], str] = str
TOOL = {"id": "call_1", "type": "function", "function": {"name": "dose", "arguments": "{}"}}
DEEP = json.loads("[" * 300 + "]" * 300)


def answer(usage: object = None, finish: str = "stop", **message: object) -> Raw:
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}
    return Raw(writes=(json.dumps({"choices": [choice], "usage": usage}).encode(),))


def chunks(*told: dict[str, Any]) -> Raw:
    writes = [f"data: {json.dumps(one)}\n\n".encode() for one in told]
    return Raw(writes=(*writes, b"data: [DONE]\n\n"), content_type=SSE)


def said(finish: str | None = None, **delta: object) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


@pytest.mark.parametrize("wishes", MODES.values(), ids=MODES)
@pytest.mark.parametrize("count", COUNTS, ids=ids)
async def test_a_count_that_makes_no_sense_costs_no_answer(
    gateway: Gateway, vllm: FakeVLLM, count: object, wishes: dict
):
    usage = {"prompt_tokens": 3, "completion_tokens": count}
    vllm.script["draft"] = answer(usage, content=DRAFT)
    reply = await gateway.chat(revision=wishes)
    assert (reply.status, reply.text) == (200, DRAFT)
    told = reply.revision["usage"]["draft"]
    assert told in ({}, {"prompt_tokens": 0, "completion_tokens": 0})


@pytest.mark.parametrize("wishes", LIVE.values(), ids=LIVE)
@pytest.mark.parametrize("count", COUNTS, ids=ids)
async def test_a_count_that_makes_no_sense_ends_no_stream_in_a_failure(
    gateway: Gateway, vllm: FakeVLLM, count: object, wishes: dict
):
    usage = {"prompt_tokens": count, "completion_tokens": 2}
    vllm.script["draft"] = chunks(
        said(content=DRAFT), said("stop"), {"choices": [], "usage": usage}
    )
    stream = await gateway.stream(revision=wishes, stream_options=ASKED)
    assert stream.text == DRAFT
    assert len(stream.finishing) == 1
    assert not any("error" in one for one in stream.chunks)
    assert stream.data[-1] == sse.DONE


@pytest.mark.parametrize("count", COUNTS, ids=ids)
async def test_a_count_that_makes_no_sense_in_a_hidden_step_costs_no_answer(
    gateway: Gateway, vllm: FakeVLLM, count: object
):
    usage = {"prompt_tokens": 3, "completion_tokens": count}
    vllm.script["rubric"] = lambda body: answer(usage, content=proposal(body))
    reply = await gateway.chat()
    assert (reply.status, reply.text, reply.revision["status"]) == (200, DRAFT, "clean")


def test_a_counter_never_goes_down_and_never_raises():
    metrics = Metrics()
    metrics.spent([CallRecord(step="draft", seconds=1.0, usage=Usage(prompt_tokens=-3))])
    assert (
        metrics.registry.get_sample_value(
            "clinalign_tokens_total", {"step": "draft", "type": "prompt"}
        )
        == 0.0
    )


async def test_a_draft_whose_usage_is_not_told_gets_no_usage_made_up(
    gateway: Gateway, vllm: FakeVLLM
):
    vllm.script["draft"] = chunks(said(content=DRAFT), said("stop"))
    stream = await gateway.stream("draft", stream_options=ASKED)
    assert all(one["choices"] and one["usage"] is None for one in stream.chunks)
    assert stream.revision["usage"]["draft"] == {}
    vllm.script["draft"] = answer(content=DRAFT)
    assert "usage" not in (await gateway.chat("draft")).json


MANGLED = {
    "the arguments as an object": {"name": "dose", "arguments": {"mg": 1}},
    "keys of the engine": {"name": "dose", "arguments": '{"mg":1}', "parsed": {"path": "inside"}},
}


@pytest.mark.parametrize("function", MANGLED.values(), ids=MANGLED)
async def test_a_tool_call_is_told_in_openais_form_in_every_mode(
    gateway: Gateway, vllm: FakeVLLM, function: dict
):
    call = {"id": "call_1", "engine_path": "inside", "big": 10**30, "function": function}
    kept = {**TOOL, "function": {"name": "dose", "arguments": '{"mg":1}'}}
    for wishes in MODES.values():
        vllm.script["draft"] = answer(finish="tool_calls", tool_calls=[call])
        reply = await gateway.chat(revision=wishes)
        assert reply.json["choices"][0]["message"]["tool_calls"] == [kept]
        assert b"inside" not in reply.body
    for wishes in LIVE.values():
        vllm.script["draft"] = chunks(said(tool_calls=[call]), said("tool_calls"))
        stream = await gateway.stream(revision=wishes)
        told = [one["tool_calls"] for one in stream.deltas if "tool_calls" in one]
        assert told == [[{"index": 0, **kept}]]
        assert b"inside" not in b"".join(stream.frames)


async def test_calls_without_a_place_get_one_each_in_a_relayed_stream(
    gateway: Gateway, vllm: FakeVLLM
):
    other = {**TOOL, "id": "call_2"}
    vllm.script["draft"] = chunks(
        said(tool_calls=[TOOL]), said(tool_calls=[other]), said("tool_calls")
    )
    stream = await gateway.stream("draft")
    told = [one["tool_calls"] for one in stream.deltas if "tool_calls" in one]
    assert told == [[{"index": 0, **TOOL}], [{"index": 1, **other}]]


NO_CALLS = {
    "text": [CANARY],
    "text and a number": ["x", 5],
    "empty": [{}],
    "no list": {"a": CANARY},
    "no id": [{"type": "function", "function": TOOL["function"]}],
    "no name": [{"id": "call_1", "type": "function", "function": {"arguments": "{}"}}],
    "too deep": [{**TOOL, "function": {"name": "dose", "arguments": {"a": DEEP}}}],
    "arguments that are a number": [{**TOOL, "function": {"name": "f", "arguments": 10**30}}],
}


@pytest.mark.parametrize("calls", NO_CALLS.values(), ids=NO_CALLS)
async def test_a_tool_call_that_is_none_is_502_in_every_mode(
    gateway: Gateway, vllm: FakeVLLM, calls: object
):
    for wishes in MODES.values():
        vllm.script["draft"] = answer(finish="tool_calls", tool_calls=calls)
        reply = await gateway.chat(revision=wishes)
        assert (reply.status, reply.error["code"]) == (502, "upstream_malformed")
        assert CANARY.encode() not in reply.body
    for wishes in LIVE.values():
        vllm.script["draft"] = chunks(
            said(content="some"), said(tool_calls=calls), said("tool_calls")
        )
        stream = await gateway.stream(revision=wishes)
        assert stream.chunks[-1]["error"]["code"] == "upstream_malformed"
        assert not stream.finishing
        assert CANARY.encode() not in b"".join(stream.frames)


@pytest.mark.parametrize(
    "content", [DEEP, CANARY, [{"token": 5}], [{"token": "a", "logprob": "b"}]]
)
async def test_probabilities_that_are_none_are_502_in_draft_mode(
    gateway: Gateway, vllm: FakeVLLM, content: object
):
    choice = {"message": {"content": DRAFT}, "logprobs": {"content": content}}
    vllm.script["draft"] = Raw(writes=(json.dumps({"choices": [choice]}).encode(),))
    reply = await gateway.chat("draft")
    assert (reply.status, reply.error["code"]) == (502, "upstream_malformed")
    assert CANARY.encode() not in reply.body


async def test_probabilities_of_a_draft_keep_openais_keys(gateway: Gateway, vllm: FakeVLLM):
    position = {"token": "A", "logprob": -0.1, "bytes": [65]}
    sent = {**position, "top_logprobs": [{**position, "id": 10**30}], "id": 7}
    choice = {"message": {"content": "A"}, "logprobs": {"content": [sent], "inside": 1}}
    vllm.script["draft"] = Raw(writes=(json.dumps({"choices": [choice]}).encode(),))
    reply = await gateway.chat("draft")
    kept = {"content": [{**position, "top_logprobs": [position]}], "refusal": None}
    assert reply.json["choices"][0]["logprobs"] == kept


NULLS = {
    "choices": {"choices": None},
    "delta": {"choices": [{"index": 0, "delta": None, "finish_reason": None}]},
    "index": {"choices": [{"index": None, "delta": {"content": ""}, "finish_reason": None}]},
    "all of it": {"choices": [{"index": None, "delta": None, "logprobs": None}], "usage": None},
}


@pytest.mark.parametrize("wishes", LIVE.values(), ids=LIVE)
@pytest.mark.parametrize("chunk", NULLS.values(), ids=NULLS)
async def test_null_in_a_chunk_is_absent_in_every_mode(
    gateway: Gateway, vllm: FakeVLLM, chunk: dict, wishes: dict
):
    vllm.script["draft"] = chunks(said(content=DRAFT), chunk, said("stop"))
    stream = await gateway.stream(revision=wishes)
    assert stream.text == DRAFT
    assert len(stream.finishing) == 1
    assert not any("error" in one for one in stream.chunks)


@pytest.mark.parametrize("wishes", MODES.values(), ids=MODES)
@pytest.mark.parametrize("choice", [{"message": None}, {}], ids=["null", "absent"])
async def test_a_choice_without_a_message_is_502_in_every_mode(
    gateway: Gateway, vllm: FakeVLLM, choice: dict, wishes: dict
):
    sent = {"choices": [{"index": 0, "finish_reason": "stop", **choice}]}
    vllm.script["draft"] = Raw(writes=(json.dumps(sent).encode(),))
    reply = await gateway.chat(revision=wishes)
    assert (reply.status, reply.error["code"]) == (502, "upstream_malformed")


@pytest.mark.parametrize("length", [10**30, True, -1, "many"], ids=ids)
async def test_a_model_s_context_that_makes_no_sense_is_not_told(
    gateway: Gateway, vllm: FakeVLLM, length: object
):
    cards = [
        {"id": ""},
        {"id": "a", "max_model_len": length},
        {"id": "b", "meta": {"n_ctx": length}},
    ]
    vllm.models_reply = Raw(writes=(json.dumps({"data": cards}).encode(),))
    reply = await gateway.get("/v1/models")
    assert reply.status == 200
    assert {one["root"] for one in reply.json["data"]} == {"a", "b"}
    assert {one["max_model_len"] for one in reply.json["data"]} == {None}
