"""Streams, byte by byte: their order, their pace, and how they end when something breaks."""

import json

import pytest

from models import sse
from server import streaming
from tests.fakes.library import SIGNS
from tests.fakes.vllm import (
    DRAFT,
    REVISED,
    Answer,
    Cut,
    ErrorInStream,
    FakeVLLM,
    Hang,
    Raw,
    Reply,
    Slow,
    Status,
    Unfinished,
    lacks,
)
from tests.server.conftest import Opener
from tests.server.gateway import Gateway

CANARY = "zebra-in-the-ward"
SAID = f"I have a headache, and there is a {CANARY}. What helps?"
SSE = "text/event-stream"


async def test_a_stream_is_role_then_stages_then_answer_then_one_finish_then_done(
    gateway: Gateway, vllm: FakeVLLM
):
    vllm.script["judge"] = lacks(SIGNS, unless="stiff neck")
    stream = await gateway.stream()
    assert stream.headers["content-type"].startswith(SSE)
    assert stream.headers["cache-control"] == "no-cache"
    kinds = [_kind(frame) for frame in stream.frames]
    squeezed = [kind for kind, before in zip(kinds, [None, *kinds], strict=False) if kind != before]
    assert squeezed == ["role", "comment", "content", "finish", "done"]
    assert kinds.count("role") == kinds.count("finish") == kinds.count("done") == 1
    assert stream.text == REVISED
    assert [one for one in stream.chunks if "revision" in one] == stream.finishing
    assert not any("usage" in one for one in stream.chunks)


def _kind(frame: bytes) -> str:
    data = sse.data_of(frame)
    if not data:
        return "comment"
    if data == sse.DONE:
        return "done"
    chunk = json.loads(data)
    if not chunk.get("choices"):
        return "usage" if chunk.get("usage") else "error"
    choice = chunk["choices"][0]
    if choice["finish_reason"]:
        return "finish"
    return "role" if "role" in choice["delta"] else "content"


async def test_the_comments_name_the_stages_in_their_order(gateway: Gateway, vllm: FakeVLLM):
    vllm.script["judge"] = lacks(SIGNS, unless="stiff neck")
    stages = [comment.split()[0] for comment in (await gateway.stream()).comments]
    assert stages[:3] == ["draft", "retrieve", "rubric"]
    assert stages[3:] == ["critique", "revise", "recheck"]


async def test_all_chunks_are_of_one_completion(gateway: Gateway):
    chunks = (await gateway.stream(stream_options={"include_usage": True})).chunks
    for name in ("id", "created", "model", "system_fingerprint", "object"):
        assert len({one[name] for one in chunks}) == 1
    assert chunks[0]["object"] == "chat.completion.chunk"


async def test_the_usage_chunk_comes_only_when_asked_for_and_last(gateway: Gateway):
    asked = await gateway.stream(stream_options={"include_usage": True})
    assert [_kind(frame) for frame in asked.frames][-3:] == ["finish", "usage", "done"]
    assert asked.chunks[-1]["choices"] == []
    assert all(one["usage"] is None for one in asked.chunks[:-1])
    for options in (None, {}, {"include_usage": False}):
        unasked = await gateway.stream(stream_options=options)
        assert "usage" not in [_kind(frame) for frame in unasked.frames]


async def test_the_role_comes_at_once_and_the_pings_go_on_while_the_draft_is_slow(
    open_gateway: Opener, vllm: FakeVLLM
):
    vllm.script["draft"] = Slow(seconds=1.5, reply=DRAFT)
    gateway = await open_gateway(ping_s=0.2)
    stream = await gateway.stream()
    assert _kind(stream.frames[0]) == "role"
    assert stream.at[0] < 1
    pauses = [later - earlier for earlier, later in zip(stream.at, stream.at[1:], strict=False)]
    assert max(pauses) < 0.8
    assert stream.comments.count("waiting") >= 3
    assert stream.text == DRAFT


async def test_no_word_of_the_draft_leaves_before_it_is_accepted(gateway: Gateway, vllm: FakeVLLM):
    vllm.script["judge"] = lacks(SIGNS, unless="stiff neck")
    vllm.script["revise"] = "Something else altogether, but with a stiff neck in it, and longer."
    stream = await gateway.stream()
    body = b"".join(stream.frames)
    assert b"paracetamol" not in body
    assert b"Something else" in body


async def test_a_client_may_see_the_draft_as_reasoning(gateway: Gateway, vllm: FakeVLLM):
    vllm.script["judge"] = lacks(SIGNS, unless="stiff neck")
    stream = await gateway.stream(revision={"expose": "reasoning"})
    for name in ("reasoning", "reasoning_content"):
        assert "".join(delta.get(name, "") for delta in stream.deltas) == DRAFT
    assert stream.text == REVISED
    whole = await gateway.chat(revision={"expose": "reasoning"})
    assert whole.json["choices"][0]["message"]["reasoning"] == DRAFT


async def test_a_draft_shown_live_comes_as_it_is_written(gateway: Gateway, vllm: FakeVLLM):
    vllm.script["draft"] = Answer(text=DRAFT, pace=0.05)
    stream = await gateway.stream(revision={"expose": "reasoning"})
    live = [
        at
        for frame, at in zip(stream.frames, stream.at, strict=True)
        if (data := sse.data_of(frame)) and b'"reasoning"' in data
    ]
    assert live[-1] - live[0] > 0.4


@pytest.mark.parametrize("text", ["", " ", "x" * 500, "Äß 漢字 👩‍👩‍👧‍👦 é\n\n```py\nx\n```\n" * 20])
async def test_any_answer_comes_through_whole(gateway: Gateway, vllm: FakeVLLM, text: str):
    vllm.script["draft"] = answer = f"{DRAFT}{text}"
    assert (await gateway.stream()).text == answer == (await gateway.chat()).text


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A first byte that waits long enough for a slow machine's two attempts."""
    monkeypatch.setattr(streaming, "GRACE_S", 5.0)


FAILURES = {
    "400": (Status(status=400), 400, "upstream_rejected"),
    "401": (Status(status=401), 502, "upstream_misconfigured"),
    "busy": (Status(status=429, headers={"retry-after": "60"}), 503, "upstream_overloaded"),
    "500": (Status(status=500), 503, "upstream_unavailable"),
    "reset": (Cut(headers=False), 503, "upstream_unavailable"),
}


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("mode", ["standard", "fast", "draft"])
@pytest.mark.parametrize(("fault", "status", "code"), FAILURES.values(), ids=FAILURES)
async def test_a_failure_before_the_first_byte_keeps_its_http_status(
    gateway: Gateway, vllm: FakeVLLM, mode: str, fault: Reply, status: int, code: str
):
    vllm.script["draft"] = fault
    messages = [{"role": "user", "content": SAID}]
    for reply in (
        await gateway.chat(mode, messages=messages),
        await gateway.chat(mode, messages=messages, stream=True),
    ):
        assert (reply.status, reply.error["code"]) == (status, code)
        assert ("retry-after" in reply.headers) == (status == 503)
        assert CANARY.encode() not in reply.body


@pytest.mark.usefixtures("patient")
@pytest.mark.parametrize("known", [False, True], ids=["never seen", "seen before"])
@pytest.mark.parametrize("mode", ["standard", "draft"])
async def test_a_model_server_that_is_down_is_503_with_retry_after(
    gateway: Gateway,
    vllm: FakeVLLM,
    mode: str,
    known: bool,  # noqa: FBT001
):
    if known:
        await gateway.get("/v1/models")
    await vllm.stop()
    for stream in (False, True):
        reply = await gateway.chat(mode, stream=stream)
        assert (reply.status, reply.error["code"]) == (503, "upstream_unavailable")
        assert int(reply.headers["retry-after"]) > 0


async def test_a_failure_after_the_first_byte_is_an_error_frame_and_done(
    gateway: Gateway, vllm: FakeVLLM
):
    vllm.script["draft"] = Slow(seconds=0.6, reply=Status(status=400))
    stream = await gateway.stream(messages=[{"role": "user", "content": SAID}])
    assert stream.status == 200
    assert [_kind(frame) for frame in stream.frames][-2:] == ["error", "done"]
    error = stream.chunks[-1]["error"]
    assert (error["code"], set(error)) == (
        "upstream_rejected",
        {"message", "type", "param", "code"},
    )
    assert CANARY.encode() not in b"".join(stream.frames)
    assert not stream.finishing


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (Cut(text="some"), "upstream_unavailable"),
        (Unfinished(text="some"), "upstream_unavailable"),
        (ErrorInStream(text="some"), "upstream_malformed"),
    ],
)
async def test_a_live_draft_that_breaks_is_an_error_frame_and_done(
    gateway: Gateway, vllm: FakeVLLM, fault: Reply, code: str
):
    vllm.script["draft"] = fault
    stream = await gateway.stream(
        revision={"expose": "reasoning"}, messages=[{"role": "user", "content": SAID}]
    )
    assert stream.chunks[-1]["error"]["code"] == code
    assert stream.data[-1] == sse.DONE
    assert CANARY.encode() not in b"".join(stream.frames)


async def test_a_draft_that_is_never_there_in_time_is_an_error(gateway: Gateway, vllm: FakeVLLM):
    vllm.script["draft"] = Hang()
    whole = await gateway.chat(revision={"deadline_ms": 100})
    assert (whole.status, whole.error["code"]) == (504, "deadline_exceeded")
    # Past the grace in which an error still becomes the response's status.
    late = {"deadline_ms": int(streaming.GRACE_S * 1000) + 700}
    stream = await gateway.stream(revision=late)
    assert stream.chunks[-1]["error"]["code"] == "deadline_exceeded"
    assert stream.data[-1] == sse.DONE


async def test_a_failure_after_the_draft_is_no_error(gateway: Gateway, vllm: FakeVLLM):
    vllm.script["judge"] = Status(status=500)
    stream = await gateway.stream()
    assert stream.text == DRAFT
    assert stream.revision["status"] == "unreviewed"


# Draft mode.


async def test_draft_mode_relays_frames_byte_for_byte_except_the_finishing_one(
    gateway: Gateway, vllm: FakeVLLM
):
    before = (
        b": upstream comment\n\n",
        b'data: {"id":"u","choices":[{"index":0, "delta" : {"role":"assistant"}}], "odd" : 1}\n\n',
        b'event: x\ndata: {"choices":[{"delta":{"content":"\\"finish_reason\\":\\"stop\\""}}]}\n\n',
    )
    finish = (
        b'data: {"id":"u","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"odd":2}\n\n'
    )
    after = b'data: {"choices":[],"usage":{"prompt_tokens":1}}\n\n'
    writes = (*before, finish, after, b"data: [DONE]\n\n")
    joined = b"".join(writes)
    pieces = tuple(joined[at : at + 37] for at in range(0, len(joined), 37))
    vllm.script["draft"] = Raw(writes=pieces, content_type=SSE, pace=0.001)
    stream = await gateway.stream("draft")
    assert stream.frames[:3] == before
    assert stream.frames[4:] == (after, b"data: [DONE]\n\n")
    opened = json.loads(sse.data_of(stream.frames[3]))
    revision = opened.pop("revision")
    assert opened == json.loads(sse.data_of(finish))
    assert (revision["status"], revision["stop_reason"]) == ("off", "off")
    assert revision["id"] == stream.headers["x-revision-id"]


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
        (Cut(), "upstream_unavailable"),
        (Unfinished(text="some"), "upstream_unavailable"),
        (Raw(writes=(b'data: {"finish_reason": "x\n\n',), content_type=SSE), "upstream_malformed"),
        (
            Raw(writes=(b'data: ["finish_reason", {"finish_reason": "x"}]\n\n',), content_type=SSE),
            "upstream_malformed",
        ),
    ],
)
async def test_a_relayed_stream_that_breaks_ends_in_an_error_frame_and_done(
    gateway: Gateway, vllm: FakeVLLM, fault: Reply, code: str
):
    vllm.script["draft"] = fault
    stream = await gateway.stream("draft")
    assert stream.chunks[-1]["error"]["code"] == code
    assert stream.data[-1] == sse.DONE


async def test_a_relayed_stream_with_an_error_inside_tells_one_error_in_our_form(
    gateway: Gateway, vllm: FakeVLLM
):
    vllm.script["draft"] = ErrorInStream(text="some")
    stream = await gateway.stream("draft", messages=[{"role": "user", "content": SAID}])
    errors = [one["error"] for one in stream.chunks if "error" in one]
    assert len(errors) == 1
    assert set(errors[0]) == {"message", "type", "param", "code"}
    assert CANARY.encode() not in b"".join(stream.frames)


@pytest.mark.parametrize(
    "reply",
    [Raw(writes=(b"\x00\xff",)), Raw(writes=(b"[]",)), Raw(writes=(f"<p>{CANARY}".encode(),))],
)
async def test_a_relayed_answer_that_is_none_is_502(gateway: Gateway, vllm: FakeVLLM, reply: Reply):
    vllm.script["draft"] = reply
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
