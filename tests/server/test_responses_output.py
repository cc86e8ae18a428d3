"""A response's items and events as the pieces of a chat answer come, however they are cut."""

import json
from collections.abc import AsyncIterator, Iterable
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models import sse
from models.errors import MalformedReply, ModelUnavailable
from server.responses.body import Told
from server.responses.request import ResponsesRequest, to_chat
from server.responses.stream import events, whole
from tests.server.responses_wire import check_events, of_openais_form, without_ids

REQUEST = ResponsesRequest.model_validate({"model": "clinic-model", "input": "My head hurts."})
DONE = b"data: [DONE]\n\n"
REVISION = {"id": "rev_1", "status": "off"}
USAGE = {
    "prompt_tokens": 7,
    "completion_tokens": 5,
    "total_tokens": 12,
    "prompt_tokens_details": {"cached_tokens": 3},
    "completion_tokens_details": {"reasoning_tokens": 2},
}

Piece = tuple[str, str]


def told() -> Told:
    return Told(request=REQUEST, chat=to_chat(REQUEST))


def frame(delta: dict[str, Any], finish: str | None = None, **extra: Any) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return b"data: " + orjson.dumps({"choices": [choice], **extra}) + b"\n\n"


async def streamed(*frames: bytes) -> list[dict[str, Any]]:
    """Return the events that a chat stream comes to, all of them well formed."""

    async def chat() -> AsyncIterator[bytes]:
        for one in frames:
            yield one

    told_events = [
        json.loads(sse.data_of(one)) async for one in events(told(), chat()) if sse.data_of(one)
    ]
    check_events(told_events)
    return told_events


async def final(deltas: Iterable[dict[str, Any]], finish: str = "stop") -> dict[str, Any]:
    """Return the response that a stream of these deltas ends with."""
    frames = [frame(delta) for delta in deltas]
    ending = frame({}, finish, revision=REVISION)
    *_, last = await streamed(*frames, ending, frame({}, usage=USAGE), DONE)
    return of_openais_form(last["response"])


def a_call(index: int, arguments: str, **opening: str) -> dict[str, Any]:
    name = {"name": opening.pop("name")} if opening else {}
    call = {"index": index, **opening, "function": {**name, "arguments": arguments}}
    return {"tool_calls": [call]}


@given(
    st.lists(
        st.tuples(st.sampled_from(["reasoning", "content", "refusal"]), st.text(min_size=1)),
        max_size=8,
    )
)
async def test_every_word_comes_out_once_in_its_order_and_kind(pieces: list[Piece]):
    response = await final([{name: words} for name, words in pieces])
    said = {"reasoning": "", "content": "", "refusal": ""}
    for name, words in pieces:
        said[name] += words
    found = {"reasoning": "", "content": "", "refusal": ""}
    for item in response["output"]:
        for part in item["content"]:
            kind = {"reasoning_text": "reasoning", "output_text": "content"}.get(part["type"])
            found[kind or "refusal"] += part.get("text", part.get("refusal", ""))
    assert found == said


@given(st.text(min_size=1), st.text(), st.data())
async def test_a_stream_comes_to_the_same_as_the_whole_however_it_is_cut(
    text: str, thought: str, data: st.DataObject
):
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=4)))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    message = {"role": "assistant", "content": text, "reasoning": thought}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    body = {"choices": [choice], "usage": USAGE, "revision": REVISION}
    one = of_openais_form(whole(told(), orjson.dumps(body)))
    other = await final([{"reasoning": thought}, *({"content": piece} for piece in pieces)])
    assert without_ids(one) == without_ids(other)


async def test_calls_whose_pieces_come_mixed_are_told_apart():
    response = await final(
        [
            {"content": "Look."},
            a_call(0, "", id="call_1", name="dose"),
            a_call(1, '{"a', id="call_2", name="age"),
            a_call(0, '{"kg": '),
            a_call(1, '": 1}'),
            a_call(0, "12}"),
        ],
        "tool_calls",
    )
    calls = [(one["call_id"], one["name"], one["arguments"]) for one in response["output"][1:]]
    assert calls == [("call_1", "dose", '{"kg": 12}'), ("call_2", "age", '{"a": 1}')]


async def test_a_call_that_was_cut_short_is_incomplete():
    response = await final([a_call(0, '{"kg', id="call_1", name="dose")], "length")
    assert (response["status"], response["output"][0]["status"]) == ("incomplete", "incomplete")


async def test_a_refusal_is_a_part_of_its_own():
    response = await final([{"content": "Well. "}, {"refusal": "I will "}, {"refusal": "not."}])
    (message,) = response["output"]
    assert [part["type"] for part in message["content"]] == ["output_text", "refusal"]
    assert message["content"][1]["refusal"] == "I will not."


async def test_an_answer_without_a_word_is_still_a_message():
    response = await final([])
    assert [part["text"] for part in response["output"][0]["content"]] == [""]


async def test_the_usage_has_its_details_and_may_be_missing():
    usage = (await final([{"content": "Rest."}]))["usage"]
    assert usage == {
        "input_tokens": 7,
        "input_tokens_details": {"cached_tokens": 3, "cache_write_tokens": 0},
        "output_tokens": 5,
        "output_tokens_details": {"reasoning_tokens": 2},
        "total_tokens": 12,
    }
    *_, last = await streamed(frame({"content": "Rest."}), frame({}, "stop"), DONE)
    assert last["response"]["usage"] is None


@pytest.mark.parametrize(
    "frames",
    [
        (DONE,),
        (frame({"content": "Rest."}), DONE),
        (frame({"content": "Rest."}), frame({}, "abort"), DONE),
        (frame(a_call(0, "{}")), frame({}, "tool_calls"), DONE),
        (frame({"content": 5}), DONE),
        (b"data: zebra\n\n", DONE),
        (frame({}, error={"message": "zebra"}), DONE),
        (b'data: {"error": {"message": "busy", "type": "server_error"}}\n\n', DONE),
        (b'data: {"error": {"message": "wrong", "type": "invalid_request_error"}}\n\n', DONE),
    ],
)
async def test_a_stream_that_is_no_answer_fails(frames: tuple[bytes, ...]):
    *_, last = await streamed(*frames)
    assert last["type"] == "response.failed"
    of_openais_form(last["response"])
    assert "zebra" not in str(last)


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"choices": []}, ModelUnavailable),
        ({"choices": [{"message": {"content": 5}, "finish_reason": "stop"}]}, MalformedReply),
        ({"choices": [{"message": {"content": "x"}, "finish_reason": "abort"}]}, MalformedReply),
        ({"error": {"message": "zebra"}, "revision": REVISION}, MalformedReply),
    ],
)
def test_a_whole_answer_that_is_none_fails(body: dict[str, Any], error: type[Exception]):
    with pytest.raises(error) as caught:
        whole(told(), orjson.dumps(body))
    assert "zebra" not in str(caught.value)


async def test_comments_go_on_where_they_stand():
    async def chat() -> AsyncIterator[bytes]:
        yield b": draft\n\n"
        yield frame({"content": "Rest."}, "stop")
        yield DONE

    frames = [one async for one in events(told(), chat())]
    assert frames[2] == b": draft\n\n"
