"""Streams, byte by byte: their order, their pace, and how they end when something breaks."""

import json

import pytest

from models import sse
from server import relay, streaming
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
    Rule,
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
    assert stream.headers["cache-control"] == "no-store"
    kinds = [kind_of(frame) for frame in stream.frames]
    squeezed = [kind for kind, before in zip(kinds, [None, *kinds], strict=False) if kind != before]
    assert squeezed == ["role", "comment", "content", "finish", "done"]
    assert kinds.count("role") == kinds.count("finish") == kinds.count("done") == 1
    assert stream.text == REVISED
    assert [one for one in stream.chunks if "revision" in one] == stream.finishing
    assert not any("usage" in one for one in stream.chunks)


def kind_of(frame: bytes) -> str:
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
    assert [kind_of(frame) for frame in asked.frames][-3:] == ["finish", "usage", "done"]
    assert asked.chunks[-1]["choices"] == []
    assert all(one["usage"] is None for one in asked.chunks[:-1])
    for options in (None, {}, {"include_usage": False}):
        unasked = await gateway.stream(stream_options=options)
        assert "usage" not in [kind_of(frame) for frame in unasked.frames]


async def test_the_role_comes_at_once_and_the_pings_go_on_while_the_draft_is_slow(
    open_gateway: Opener, vllm: FakeVLLM
):
    vllm.script["draft"] = Slow(seconds=1.5, reply=DRAFT)
    gateway = await open_gateway(ping_s=0.2)
    stream = await gateway.stream()
    assert kind_of(stream.frames[0]) == "role"
    assert stream.at[0] < 1
    pauses = [later - earlier for earlier, later in zip(stream.at, stream.at[1:], strict=False)]
    assert max(pauses) < 0.8
    assert stream.comments.count("draft 1") >= 3
    assert stream.text == DRAFT


SLOW = {
    "draft": ({"draft": Slow(seconds=1.0, reply=DRAFT)}, "draft 1"),
    "both": (
        {"draft": Slow(seconds=1.0, reply=DRAFT), "rubric": Hang()},
        "draft 1, rubric 7",
    ),
    "rubric": ({"rubric": Hang()}, "rubric 7"),
    "critique": ({"judge": Hang()}, "critique 7"),
    "revise": ({"judge": lacks(SIGNS), "revise": Hang()}, "revise 1"),
}


@pytest.mark.parametrize(("script", "ping"), SLOW.values(), ids=SLOW)
async def test_a_ping_names_the_stages_that_are_under_way(
    open_gateway: Opener, vllm: FakeVLLM, script: dict[str, Rule], ping: str
):
    vllm.script = dict(script)
    gateway = await open_gateway(ping_s=0.1)
    # A rubric gets two fifths of the time, and a stream's first half second is silent.
    stream = await gateway.stream(revision={"deadline_ms": 2700})
    assert stream.comments.count(ping) >= 3
    assert "waiting" not in stream.comments


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


def both_at_once(*words: str) -> Raw:
    """A stream whose chunks say reasoning and content together."""
    writes = [
        json.dumps({"choices": [{"delta": {"content": text, "reasoning": f"{text}? "}}]})
        for text in words
    ]
    end = json.dumps({"choices": [{"delta": {}, "finish_reason": "stop"}]})
    frames = (*(f"data: {one}\n\n".encode() for one in (*writes, end)), b"data: [DONE]\n\n")
    return Raw(writes=frames, content_type=SSE)


@pytest.mark.parametrize(
    "draft",
    [
        Answer(text=DRAFT, reasoning="Which drug?"),
        Answer(text=f"<think>\nWhich drug?</think>\n\n{DRAFT}"),
    ],
    ids=["beside the content", "inside the content"],
)
async def test_the_model_s_own_reasoning_and_the_draft_are_kept_apart_whole_and_streamed(
    gateway: Gateway, vllm: FakeVLLM, draft: Answer
):
    vllm.script["draft"] = draft
    stream = await gateway.stream(revision={"expose": "reasoning"})
    message = (await gateway.chat(revision={"expose": "reasoning"})).json["choices"][0]["message"]
    assert stream.text == message["content"] == DRAFT
    for name in ("reasoning", "reasoning_content"):
        streamed = "".join(delta.get(name, "") for delta in stream.deltas)
        assert streamed == message[name] == f"Which drug?\n\n---\n\n{DRAFT}"
    for reply in (await gateway.chat(), await gateway.chat(stream=True)):
        assert b"Which drug?" not in reply.body


async def test_a_chunk_that_has_both_reasoning_and_text_loses_neither(
    gateway: Gateway, vllm: FakeVLLM
):
    vllm.script["draft"] = both_at_once("Rest", "Drink")
    stream = await gateway.stream(revision={"expose": "reasoning"})
    shown = "".join(delta.get("reasoning", "") for delta in stream.deltas)
    assert [part.strip() for part in shown.split("---")] == ["Rest?", "Rest", "Drink?", "Drink"]
    assert stream.text == "RestDrink"
    relayed = await gateway.stream("draft")
    assert "".join(delta.get("reasoning", "") for delta in relayed.deltas) == "Rest? Drink? "
    assert relayed.text == "RestDrink"


async def test_a_live_draft_without_words_is_asked_for_once_more(gateway: Gateway, vllm: FakeVLLM):
    vllm.script["draft"] = ["", DRAFT]
    stream = await gateway.stream(revision={"expose": "reasoning"})
    assert stream.text == "".join(delta.get("reasoning", "") for delta in stream.deltas) == DRAFT
    vllm._used.clear()
    vllm.script["draft"] = ["", ""]
    failed = await gateway.chat(stream=True, revision={"expose": "reasoning"})
    assert (failed.status, failed.error["code"]) == (502, "empty_completion")
    assert len(vllm.of("draft")) == 4


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
    monkeypatch.setattr(relay, "GRACE_S", 5.0)


FAILURES = {
    "202": (Status(status=202), 502, "upstream_malformed"),
    "204": (Status(status=204, body=b""), 502, "upstream_malformed"),
    "206": (Status(status=206), 502, "upstream_malformed"),
    "300": (Status(status=300), 502, "upstream_malformed"),
    "304": (Status(status=304, body=b""), 502, "upstream_malformed"),
    "400": (Status(status=400), 400, "upstream_rejected"),
    "401": (Status(status=401), 502, "upstream_misconfigured"),
    "408": (Status(status=408), 504, "upstream_timeout"),
    "409": (Status(status=409), 503, "upstream_unavailable"),
    "413": (Status(status=413), 400, "context_length_exceeded"),
    "422": (Status(status=422), 400, "upstream_rejected"),
    "501": (Status(status=501), 502, "upstream_unsupported"),
    "529": (Status(status=529, headers={"retry-after": "60"}), 503, "upstream_overloaded"),
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
        assert reply.headers["x-revision-id"].startswith("rev_")
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
    assert [kind_of(frame) for frame in stream.frames][-2:] == ["error", "done"]
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
