"""The mode `draft`: the upstream's answer as ours; see docs/adr/0012."""

import json

import pytest

from models import sse
from server import relay
from tests.fakes.vllm import (
    DRAFT,
    MODEL,
    Answer,
    Cut,
    ErrorInStream,
    FakeVLLM,
    Hang,
    Raw,
    Reply,
    Slow,
    Unfinished,
)
from tests.server.conftest import Opener
from tests.server.gateway import Gateway
from tests.server.test_streaming import CANARY, SAID, SSE, kind_of


def sse_frame(**chunk: object) -> bytes:
    return f"data: {json.dumps(chunk)}\n\n".encode()


def choice(index: int = 0, finish: str | None = None, **delta: object) -> dict[str, object]:
    return {"index": index, "delta": delta, "finish_reason": finish}


def second(frame: bytes) -> Raw:
    """A stream that begins well, and then this."""
    return Raw(writes=(sse_frame(choices=[choice(content="some")]), frame), content_type=SSE)


ENGINE = {
    "id": "chatcmpl-upstream",
    "object": "chat.completion.chunk",
    "created": 1,
    "model": "/srv/models/secret.gguf",
    "system_fingerprint": "b1-engine",
    "timings": {"prompt_ms": 3},
    "prompt_token_ids": [1, 2],
    "kv_transfer_params": {"host": "10.0.0.1"},
    "service_tier": None,
}
INSIDE = (b"upstream", b"secret", b"engine", b"timings", b"token_ids", b"10.0.0.1", b"stop-inside")
SPENT = {
    "prompt_tokens": 9,
    "completion_tokens": 4,
    "completion_tokens_details": {"reasoning_tokens": 3},
    "queue_ms": 7,
}


def leaky(*choices: dict[str, object], **more: object) -> bytes:
    inner = [{**one, "stop_reason": "stop-inside", "token_ids": [3]} for one in choices]
    return sse_frame(**ENGINE, choices=inner, **more)


async def test_a_draft_has_our_id_the_model_asked_for_and_nothing_of_the_engine_s_own(
    gateway: Gateway, vllm: FakeVLLM
):
    vllm.script["draft"] = Raw(
        writes=(
            b": upstream comment\r\n\r\n",
            leaky(choice(role="assistant", content="")).replace(b"\n", b"\r\n"),
            b"event: upstream\n" + leaky(choice(content="Rest.", engine=1)),
            leaky(choice(finish="stop")),
            leaky(usage=SPENT),
            b"data: [DONE]\n\n",
        ),
        content_type=SSE,
    )
    model = f"{MODEL}-draft"
    stream = await gateway.stream(model=model, stream_options={"include_usage": True})
    body = b"".join(stream.frames)
    assert not [leak for leak in (*INSIDE, b"queue_ms") if leak in body]
    assert stream.text == "Rest."
    for one in stream.chunks:
        assert one["id"] == stream.chunks[0]["id"]
        assert one["created"] > 1
        assert (one["model"], one["object"]) == (model, "chat.completion.chunk")
        assert one["system_fingerprint"].startswith("fp_")
    assert stream.chunks[0]["id"].startswith("chatcmpl-")

    whole = {
        "message": {"role": "assistant", "content": "Rest.", "engine": 1},
        "stop_reason": "stop-inside",
    }
    sent = json.dumps({**ENGINE, "choices": [whole], "usage": SPENT}).encode()
    vllm.script["draft"] = Raw(writes=(sent,))
    reply = await gateway.chat(model=model)
    assert not [leak for leak in (*INSIDE, b"queue_ms") if leak in reply.body]
    assert (reply.json["model"], reply.text) == (model, "Rest.")
    assert reply.json["usage"] == stream.chunks[-1]["usage"]
    assert reply.json["usage"]["completion_tokens_details"] == {"reasoning_tokens": 3}
    assert reply.json["system_fingerprint"] == stream.chunks[0]["system_fingerprint"]
    assert reply.json["choices"][0]["finish_reason"] == "stop"
    assert set(reply.json) == {
        *("id", "object", "created", "model", "system_fingerprint"),
        *("choices", "usage", "revision"),
    }


async def test_each_choice_of_a_draft_begins_with_its_role_and_ends_once(
    gateway: Gateway, vllm: FakeVLLM
):
    vllm.script["draft"] = Raw(
        writes=(
            sse_frame(choices=[choice(0, content="A"), choice(1, role="assistant", content="B")]),
            sse_frame(choices=[choice(0, role="assistant", content="a", finish="stop")]),
            sse_frame(choices=[choice(0, content=" and more", finish="length")]),
            sse_frame(choices=[choice(1, content="b", finish="eos_token")]),
            sse_frame(choices=[choice(1, finish="stop")]),
        ),
        content_type=SSE,
    )
    stream = await gateway.stream("draft", n=2)
    said: dict[int, str] = {0: "", 1: ""}
    roles, ends = [], []
    for chunk in stream.chunks:
        (one,) = chunk["choices"]
        roles += [one["index"]] if "role" in one["delta"] else []
        ends += [(one["index"], one["finish_reason"])] if one["finish_reason"] else []
        said[one["index"]] += one["delta"].get("content", "")
    assert (roles, ends, said) == ([0, 1], [(0, "stop"), (1, "stop")], {0: "Aa", 1: "Bb"})


@pytest.mark.parametrize("reason", ["length", "content_filter", "tool_calls", "stop"])
async def test_a_draft_keeps_the_reason_that_it_ended_with(
    gateway: Gateway, vllm: FakeVLLM, reason: str
):
    call = {"id": "call_1", "type": "function", "function": {"name": "dose", "arguments": "{"}}
    for answer in (
        Answer(text=DRAFT, finish_reason=reason),
        Answer(tool_calls=(call,), finish_reason=reason),
    ):
        vllm.script["draft"] = answer
        (ending,) = (await gateway.stream("draft")).finishing
        whole = (await gateway.chat("draft")).json
        assert ending["choices"][0]["finish_reason"] == reason
        assert whole["choices"][0]["finish_reason"] == reason


async def test_a_draft_that_the_model_server_gave_up_on_is_an_error(
    gateway: Gateway, vllm: FakeVLLM
):
    vllm.script["draft"] = Answer(text="Take two of", finish_reason="abort")
    reply = await gateway.chat("draft")
    assert (reply.status, reply.error["code"]) == (503, "upstream_unavailable")


async def test_a_draft_s_usage_chunk_comes_only_when_asked_for_and_the_extension_tells_it_always(
    gateway: Gateway, vllm: FakeVLLM
):
    asked = await gateway.stream("draft", stream_options={"include_usage": True})
    assert [kind_of(frame) for frame in asked.frames][-3:] == ["finish", "usage", "done"]
    assert all(one["usage"] is None for one in asked.chunks[:-1])
    unasked = await gateway.stream("draft")
    assert not any("usage" in one for one in unasked.chunks)
    whole = await gateway.chat("draft")
    prompt, completion = vllm.served[-1].prompt, vllm.served[-1].completion
    for revision in (asked.revision, unasked.revision, whole.revision):
        assert revision["usage"] == {
            "draft": {"prompt_tokens": prompt, "completion_tokens": completion},
            "rubric": {},
            "critique": {},
            "revise": {},
        }
    metrics = (await gateway.get("/metrics")).body.decode()
    spent = f'clinalign_tokens_total{{step="draft",type="completion"}} {3.0 * completion}'
    assert spent in metrics


async def test_a_draft_s_end_does_not_wait_for_a_usage_that_does_not_come(
    gateway: Gateway, vllm: FakeVLLM
):
    vllm.script["draft"] = Raw(
        writes=(
            sse_frame(choices=[choice(content="Rest.")]),
            sse_frame(choices=[choice(content=" Drink.", finish="stop")]),
            b"data: [DONE]\n\n",
        ),
        content_type=SSE,
        pace=1.0,
    )
    stream = await gateway.stream("draft")
    (ended,) = [at for frame, at in zip(stream.frames, stream.at, strict=True) if b"rev_" in frame]
    (drink,) = [at for frame, at in zip(stream.frames, stream.at, strict=True) if b"Drink" in frame]
    assert ended - drink < 0.8
    assert stream.revision["usage"]["draft"] == {}


async def test_what_breaks_after_a_draft_has_ended_is_no_loss(gateway: Gateway, vllm: FakeVLLM):
    vllm.script["draft"] = Raw(
        writes=(
            sse_frame(choices=[choice(content="Rest.", finish="stop")]),
            sse_frame(error={"message": "x"}),
        ),
        content_type=SSE,
    )
    stream = await gateway.stream("draft")
    assert stream.text == "Rest."
    assert stream.revision["status"] == "off"
    assert not any("error" in one for one in stream.chunks)
    assert stream.data[-1] == sse.DONE


@pytest.mark.parametrize(
    "answer",
    [
        Answer(text="Rest.", reasoning="Which drug?"),
        Answer(text="<think>Which drug?</think>\n\nRest."),
    ],
    ids=["beside the content", "inside the content"],
)
async def test_a_draft_s_reasoning_comes_under_both_names_and_never_as_content(
    gateway: Gateway, vllm: FakeVLLM, answer: Answer
):
    vllm.script["draft"] = answer
    stream = await gateway.stream("draft")
    message = (await gateway.chat("draft")).json["choices"][0]["message"]
    assert stream.text == message["content"] == "Rest."
    for name in ("reasoning", "reasoning_content"):
        streamed = "".join(delta.get(name, "") for delta in stream.deltas)
        assert streamed == message[name] == "Which drug?"


async def test_what_only_looks_like_a_tag_is_not_lost_from_a_draft(
    gateway: Gateway, vllm: FakeVLLM
):
    vllm.script["draft"] = "<thi"
    assert (await gateway.stream("draft")).text == "<thi"
    assert (await gateway.chat("draft")).text == "<thi"


async def test_a_draft_that_is_slow_to_begin_is_not_a_silent_stream(
    open_gateway: Opener, vllm: FakeVLLM, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(relay, "GRACE_S", 0.2)
    vllm.script["draft"] = Slow(seconds=1.2, reply=DRAFT)
    gateway = await open_gateway(ping_s=0.2)
    stream = await gateway.stream("draft")
    assert stream.at[0] < 0.9
    assert stream.comments.count("draft") >= 3
    assert set(stream.comments) == {"draft"}
    assert stream.text == DRAFT


async def test_a_fault_of_ours_inside_a_relayed_stream_is_told_and_ends_in_done(
    gateway: Gateway, vllm: FakeVLLM, monkeypatch: pytest.MonkeyPatch
):
    def broken(*_: object, **__: object) -> bytes:
        raise ZeroDivisionError(CANARY)

    monkeypatch.setattr("server.draft_stream.usage_body", broken)
    stream = await gateway.stream("draft", stream_options={"include_usage": True})
    assert stream.chunks[-1]["error"]["code"] == "internal_error"
    assert stream.data[-1] == sse.DONE
    assert CANARY.encode() not in b"".join(stream.frames)


async def test_draft_mode_relays_as_it_comes(gateway: Gateway, vllm: FakeVLLM):
    vllm.script["draft"] = Answer(text=DRAFT, pace=0.04)
    stream = await gateway.stream("draft")
    assert stream.text == DRAFT
    assert stream.at[-1] - stream.at[0] > 0.4


async def test_draft_mode_allows_several_answers_and_probabilities(
    gateway: Gateway, vllm: FakeVLLM
):
    whole = await gateway.chat("draft", n=3)
    assert [one["index"] for one in whole.json["choices"]] == [0, 1, 2]
    stream = await gateway.stream("draft", n=2, logprobs=True, top_logprobs=2)
    assert len(stream.finishing) == 2
    assert vllm.requests[-1].body["top_logprobs"] == 2


async def test_draft_mode_tells_usage_as_the_model_server_does(gateway: Gateway, vllm: FakeVLLM):
    whole = await gateway.chat("draft")
    assert (
        whole.json["usage"]["prompt_tokens"],
        whole.json["usage"]["completion_tokens"],
    ) == vllm.usage()
    stream = await gateway.stream("draft", stream_options={"include_usage": True})
    assert stream.chunks[-1]["usage"] == whole.json["usage"]


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (Cut(text="some"), "upstream_unavailable"),
        (Unfinished(text="some"), "upstream_unavailable"),
        (Answer(text="some words", finish_reason="abort"), "upstream_unavailable"),
        (ErrorInStream(text="some"), "upstream_malformed"),
        (second(b"data: {'choices': 1}\n\n"), "upstream_malformed"),
        (second(b'data: ["finish_reason"]\n\n'), "upstream_malformed"),
        (second(b'data: {"error": "zebra-in-the-ward", "choices": []}\n\n'), "upstream_malformed"),
        (second(b'data: {"choices": [{"index": 1, "delta": {}}]}\n\n'), "upstream_malformed"),
        (second(b'data: {"choices": [{"delta": {"content": 7}}]}\n\n'), "upstream_malformed"),
    ],
)
async def test_a_relayed_stream_that_breaks_ends_in_an_error_frame_and_done(
    gateway: Gateway, vllm: FakeVLLM, fault: Reply, code: str
):
    vllm.script["draft"] = fault
    stream = await gateway.stream("draft")
    assert stream.chunks[-1]["error"]["code"] == code
    assert [("error" in one) for one in stream.chunks].count(True) == 1
    assert stream.data[-1] == sse.DONE
    assert not stream.finishing
    assert CANARY.encode() not in b"".join(stream.frames)


EARLY = {
    "cut": (Cut(), 503, "upstream_unavailable"),
    "nothing": (Raw(writes=(b"data: [DONE]\n\n",), content_type=SSE), 503, "upstream_unavailable"),
    "an error": (ErrorInStream(), 502, "upstream_malformed"),
    "no JSON": (Raw(writes=(b'data: {"x\n\n',), content_type=SSE), 502, "upstream_malformed"),
    "no object": (Raw(writes=(b"data: []\n\n",), content_type=SSE), 502, "upstream_malformed"),
}


@pytest.mark.parametrize(("fault", "status", "code"), EARLY.values(), ids=EARLY)
async def test_a_relayed_stream_that_breaks_at_once_keeps_an_http_status(
    gateway: Gateway, vllm: FakeVLLM, fault: Reply, status: int, code: str
):
    vllm.script["draft"] = fault
    messages = [{"role": "user", "content": SAID}]
    reply = await gateway.chat("draft", messages=messages, stream=True)
    assert (reply.status, reply.error["code"]) == (status, code)
    assert CANARY.encode() not in reply.body


async def test_a_relayed_stream_with_an_error_inside_tells_one_error_in_our_form(
    gateway: Gateway, vllm: FakeVLLM
):
    vllm.script["draft"] = ErrorInStream(text="some")
    stream = await gateway.stream("draft", messages=[{"role": "user", "content": SAID}])
    errors = [one["error"] for one in stream.chunks if "error" in one]
    assert len(errors) == 1
    assert set(errors[0]) == {"message", "type", "param", "code"}
    assert CANARY.encode() not in b"".join(stream.frames)


NO_ANSWERS = {
    "no text": b"\x00\xff",
    "no object": b"[]",
    "a page": f"<p>{CANARY}".encode(),
    "an error": f'{{"error": {{"message": "{CANARY}"}}}}'.encode(),
    "an error beside a choice": (
        f'{{"choices": [{{"message": {{"content": "x"}}}}], "error": "{CANARY}"}}'.encode()
    ),
    "an error of older servers": f'{{"object": "error", "message": "{CANARY}"}}'.encode(),
    "no choice": b'{"choices": []}',
    "no message": f'{{"choices": ["{CANARY}"]}}'.encode(),
    "content that is no text": b'{"choices": [{"message": {"content": ["zebra-in-the-ward"]}}]}',
    "tool calls that are none": b'{"choices": [{"message": {"tool_calls": [1]}}]}',
    "a choice too many": b'{"choices": [{"message": {}}, {"index": 1, "message": {}}]}',
    "a reason that is no text": b'{"choices": [{"message": {}, "finish_reason": 7}]}',
}


@pytest.mark.parametrize("sent", NO_ANSWERS.values(), ids=NO_ANSWERS)
async def test_a_relayed_answer_that_is_none_is_502(gateway: Gateway, vllm: FakeVLLM, sent: bytes):
    vllm.script["draft"] = Raw(writes=(sent,))
    answer = await gateway.chat("draft")
    assert (answer.status, answer.error["code"]) == (502, "upstream_malformed")
    assert CANARY.encode() not in answer.body


async def test_a_relayed_draft_keeps_the_deadline(gateway: Gateway, vllm: FakeVLLM):
    vllm.script["draft"] = Hang()
    reply = await gateway.chat("draft", revision={"deadline_ms": 300})
    assert (reply.status, reply.error["code"]) == (504, "upstream_timeout")
    vllm.script["draft"] = Answer(text=DRAFT, pace=0.1)
    stream = await gateway.stream("draft", revision={"deadline_ms": 300})
    assert stream.chunks[-1]["error"]["code"] == "upstream_timeout"
    await vllm.idle()
