"""Open WebUI's status line: asked for, in plain words, and always ended."""

import json
from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletionChunk

from models import sse
from revision.events import StageBegan
from server import status_line, streaming
from tests.fakes.library import HARM, SIGNS
from tests.fakes.vllm import (
    DRAFT,
    MODEL,
    REVISED,
    Answer,
    Cut,
    FakeVLLM,
    Hang,
    Rule,
    Slow,
    Status,
    lacks,
)
from tests.server import responses_wire
from tests.server.conftest import Opener
from tests.server.gateway import Gateway, Stream, asking

ASKED = {"include": ["status"]}
TOOL = {"id": "call_1", "type": "function", "function": {"name": "dose", "arguments": "{}"}}
TOOLS = [{"type": "function", "function": {"name": "dose", "parameters": {"type": "object"}}}]


def lines(stream: Stream) -> list[tuple[str, bool]]:
    """Return the status lines; each is a chunk of its own, with nothing else in it."""
    events = [one for one in stream.chunks if "event" in one]
    for one in events:
        assert one["choices"] == []
        assert set(one) - {"usage"} == set(stream.chunks[0]) - {"usage"} | {"event"}
        assert one["event"]["type"] == "status"
        assert set(one["event"]["data"]) == {"description", "done"}
    data = [one["event"]["data"] for one in events]
    return [(one["description"], one["done"]) for one in data]


async def test_the_status_line_tells_each_stage_and_then_how_the_answer_was_reviewed(
    gateway: Gateway, vllm: FakeVLLM
):
    vllm.script["judge"] = lacks(SIGNS, unless="stiff neck")
    told = lines(await gateway.stream(revision=ASKED))
    assert {line for line, _ in told[:3]} == {
        "Drafting",
        "Looking up what matters here",
        "Choosing criteria",
    }
    assert [line for line, _ in told[3:]] == [
        "Checking 7 criteria",
        "Revising",
        "Checking 7 criteria again",
        "Checked and revised: 7 of 7 criteria met",
    ]
    assert [done for _, done in told] == [False] * 6 + [True]


async def test_several_drafts_are_told_as_such(gateway: Gateway, vllm: FakeVLLM):
    vllm.script["judge"] = lacks(SIGNS, unless="stiff neck")
    told = [line for line, _ in lines(await gateway.stream("thorough", revision=ASKED))]
    assert "Writing 3 drafts" in told
    assert "Merging 3 drafts" in told


def test_one_criterion_is_not_told_as_several():
    assert status_line.begun(StageBegan(stage="critique", count=1)) == "Checking 1 criterion"
    assert status_line.begun(StageBegan(stage="recheck", count=2)) == "Checking 2 criteria again"


@pytest.mark.parametrize("wishes", [{}, {"include": []}, {"include": ["trace", "citations"]}])
async def test_nobody_gets_a_status_line_unasked(gateway: Gateway, wishes: dict[str, Any]):
    body = asking(stream=True, revision=wishes)
    headers = {"X-OpenWebUI-Chat-Id": "a-chat", "X-OpenWebUI-Message-Id": "a-message"}
    reply = await gateway.post("/v1/chat/completions", body, **headers)
    assert reply.status == 200
    assert b'"event"' not in reply.body


async def test_the_line_ends_after_the_stages_and_before_the_answer(
    gateway: Gateway, vllm: FakeVLLM
):
    vllm.script["judge"] = lacks(SIGNS, unless="stiff neck")
    options = {"include_usage": True}
    stream = await gateway.stream(revision=ASKED, stream_options=options)
    kinds = ["event" if "event" in one else "chunk" for one in stream.chunks]
    assert kinds[0] == "chunk", "the role comes first"
    assert "event" not in kinds[8:]
    assert kinds[1:8] == ["event"] * 7
    assert stream.text == REVISED
    assert all(one["usage"] is None for one in stream.chunks[:-1])
    assert len({one["id"] for one in stream.chunks}) == 1
    assert stream.data[-1] == sse.DONE


ENDS = {
    "clean": ({}, {}, "Checked: 7 of 7 criteria met"),
    "kept": (
        {"judge": lacks(SIGNS), "revise": f"{DRAFT} Sleep."},
        {},
        "Checked, not revised: 6 of 7 criteria met",
    ),
    "no verdict": (
        {"judge": Status(status=400), "judge-retry": Status(status=400)},
        {},
        "Could not be checked in full",
    ),
    "no time": ({"judge": Hang()}, {}, "Could not be checked in full"),
    "tool": (
        {"draft": Answer(tool_calls=(TOOL,), finish_reason="tool_calls")},
        {"tools": TOOLS},
        "Not checked: a tool is called",
    ),
    "refusal": ({"draft": Answer(refusal="I cannot help with that.")}, {}, "Not checked"),
}


@pytest.mark.parametrize(("script", "fields", "last"), ENDS.values(), ids=ENDS)
async def test_however_it_ends_the_last_line_is_done_and_says_so(
    gateway: Gateway, vllm: FakeVLLM, script: dict[str, Rule], fields: dict[str, Any], last: str
):
    vllm.script = dict(script)
    stream = await gateway.stream(revision={**ASKED, "deadline_ms": 1500}, **fields)
    told = lines(stream)
    assert told[-1] == (last, True)
    assert [done for _, done in told].count(True) == 1


BREAKS = {
    "refused": ({"draft": Slow(seconds=0.2, reply=Status(status=400))}, {}, "upstream_rejected"),
    "late": ({"draft": Hang()}, {"deadline_ms": 500}, "deadline_exceeded"),
    "cut, live": ({"draft": Cut(text="Rest")}, {"expose": "reasoning"}, "upstream_unavailable"),
}


@pytest.mark.parametrize(("script", "wishes", "code"), BREAKS.values(), ids=BREAKS)
async def test_an_error_frame_comes_after_a_last_line(
    gateway: Gateway,
    vllm: FakeVLLM,
    monkeypatch: pytest.MonkeyPatch,
    script: dict[str, Rule],
    wishes: dict[str, Any],
    code: str,
):
    monkeypatch.setattr(streaming, "GRACE_S", 0.05)
    vllm.script = dict(script)
    stream = await gateway.stream(revision={**ASKED, **wishes})
    assert lines(stream)[-1] == ("Stopped by an error", True)
    *_, before, error = stream.chunks
    assert "event" in before
    assert error["error"]["code"] == code
    assert stream.data[-1] == sse.DONE


async def test_an_answer_that_is_withheld_ends_the_line_once(open_gateway: Opener, vllm: FakeVLLM):
    vllm.script["judge"] = lacks(HARM)
    stream = await (await open_gateway(on_degraded="error")).stream(revision=ASKED)
    told = lines(stream)
    assert told[-1] == ("Stopped by an error", True)
    assert [done for _, done in told].count(True) == 1
    assert stream.chunks[-1]["error"]["code"] == "review_degraded"


async def test_no_line_repeats_what_was_said_or_judged(gateway: Gateway, vllm: FakeVLLM):
    vllm.script["judge"] = lacks(SIGNS, unless="stiff neck")
    stream = await gateway.stream(
        revision=ASKED, messages=[{"role": "user", "content": "a zebra bit my headache"}]
    )
    told = json.dumps(lines(stream)).lower()
    for word in ("zebra", "headache", "neck", "paracetamol", "warning", "doctor"):
        assert word not in told


@pytest.mark.parametrize("mode", ["draft", "standard"])
async def test_where_nothing_is_hidden_or_streamed_the_wish_changes_nothing(
    gateway: Gateway, mode: str
):
    whole = await gateway.chat(mode, revision=ASKED)
    assert (whole.status, whole.text) == (200, DRAFT)
    assert b'"event"' not in whole.body
    relayed = await gateway.stream("draft", revision=ASKED)
    assert relayed.text == DRAFT
    assert lines(relayed) == []


@pytest.mark.parametrize("path", ["/v1/critiques", "/v1/revisions"])
@pytest.mark.parametrize("thing", ["status", "citations"])
async def test_a_review_of_a_given_answer_refuses_what_only_a_chat_has(
    gateway: Gateway, path: str, thing: str
):
    body = asking(answer=DRAFT, revision={"include": ["trace", thing]})
    reply = await gateway.post(path, body)
    assert (reply.status, reply.error["param"]) == (400, "revision.include.1")
    assert reply.error["code"] == "unsupported_parameter"


async def test_a_response_has_no_foreign_events(gateway: Gateway):
    streamed = await responses_wire.stream(gateway, revision=ASKED)  # of OpenAI's types, strictly
    assert streamed.text == DRAFT
    assert "critique 7" in streamed.comments


async def test_openais_client_takes_the_lines_for_chunks(gateway: Gateway, vllm: FakeVLLM):
    vllm.script["judge"] = lacks(SIGNS, unless="stiff neck")
    messages: Any = asking()["messages"]
    async with gateway.openai() as client:
        stream = await client.chat.completions.create(
            model=MODEL, messages=messages, stream=True, extra_body={"revision": ASKED}
        )
        chunks = [chunk async for chunk in stream]
        for chunk in chunks:
            ChatCompletionChunk.model_validate(chunk.model_dump(), strict=True)
        assert sum("event" in chunk.model_extra for chunk in chunks) == 7
        async with client.chat.completions.stream(
            model=MODEL, messages=messages, extra_body={"revision": ASKED}
        ) as helped:
            final = await helped.get_final_completion()
        assert final.choices[0].message.content == REVISED
        vllm.script["draft"] = Slow(seconds=0.6, reply=Status(status=400))
        broken = await client.chat.completions.create(
            model=MODEL, messages=messages, stream=True, extra_body={"revision": ASKED}
        )
        with pytest.raises(openai.APIError, match="refused the request"):
            _ = [chunk async for chunk in broken]
