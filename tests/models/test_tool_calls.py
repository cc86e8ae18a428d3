import json

import pytest

from models.errors import MalformedReply
from models.tool_calls import GrowingCalls, ToolCallPiece
from models.wire import WireChunk, WireCompletion, parse

CANARY = "zebra-in-the-ward"
TOOL = {"id": "call_1", "type": "function", "function": {"name": "dose", "arguments": "{}"}}
DEEP = json.loads("[" * 300 + "]" * 300)


def whole(*calls: object) -> tuple:
    body = {"choices": [{"message": {"tool_calls": calls}}]}
    return parse(WireCompletion, json.dumps(body).encode()).to_completion().tool_calls


def grown(*chunks: list) -> tuple:
    growing = GrowingCalls()
    for calls in chunks:
        chunk = parse(
            WireChunk, json.dumps({"choices": [{"delta": {"tool_calls": calls}}]}).encode()
        )
        for piece in chunk.choices[0].delta.tool_calls:
            growing.add(piece)
    return tuple(call.to_wire() for call in growing.whole())


def calling(arguments: object) -> dict:
    return {**TOOL, "function": {"name": "dose", "arguments": arguments}}


@pytest.mark.parametrize("read", [whole, lambda call: grown([call])], ids=["whole", "stream"])
@pytest.mark.parametrize(
    ("call", "kept"),
    [
        (TOOL, TOOL),
        ({**TOOL, "type": None}, TOOL),
        ({**TOOL, "engine": 10**30, "function": {**TOOL["function"], "parsed": CANARY}}, TOOL),
        (calling({"mg": 1, "für": ["x"]}), calling('{"mg":1,"für":["x"]}')),
        (calling(None), calling("")),
    ],
)
def test_a_call_is_kept_in_openais_form_and_with_nothing_else(read, call: dict, kept: dict):
    assert read(call) == (kept,)


NO_CALLS = {
    "text": CANARY,
    "a number": 5,
    "null": None,
    "empty": {},
    "no id": {"function": TOOL["function"]},
    "an empty id": {**TOOL, "id": ""},
    "an id that is no text": {**TOOL, "id": 5},
    "no name": {**TOOL, "function": {"arguments": "{}"}},
    "an empty name": {**TOOL, "function": {"name": "", "arguments": "{}"}},
    "no function": {"id": "call_1"},
    "another kind": {**TOOL, "type": "custom"},
    "arguments that are a list": calling([1]),
    "arguments that are a number": calling(10**30),
    "a number beyond 64 bits": calling({"a": 10**30}),
    "a depth that no client reads": calling({"a": DEEP}),
}


@pytest.mark.parametrize("read", [whole, lambda call: grown([call])], ids=["whole", "stream"])
@pytest.mark.parametrize("call", NO_CALLS.values(), ids=NO_CALLS)
def test_a_call_that_does_not_fit_is_none(read, call: object):
    with pytest.raises(MalformedReply) as caught:
        read(call)
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize("index", [-1, 10**30, True, "0", 1.0])
def test_a_call_s_place_is_a_number(index: object):
    with pytest.raises(MalformedReply):
        grown([{**TOOL, "index": index}])


def test_pieces_are_joined_by_place():
    other = {**TOOL, "id": "call_2"}
    told = grown(
        [{"index": 1, **other, "function": {"name": "dose", "arguments": '{"a'}}],
        [{"index": 0, **TOOL}, {"index": 1, "id": "", "function": {"name": "", "arguments": '":'}}],
        [{"index": 1, "function": {"arguments": "1}"}}, {"index": 1, "function": None}],
    )
    assert told == (TOOL, {**other, "function": {"name": "dose", "arguments": '{"a":1}'}})


def test_without_a_place_an_id_begins_a_call_and_what_has_none_goes_on():
    other = {**TOOL, "id": "call_2"}
    told = grown(
        [calling('{"a')],
        [{"function": {"arguments": '":1}'}}],
        [other],
    )
    assert told == (calling('{"a":1}'), other)


def test_a_piece_that_only_goes_on_says_no_more_than_that():
    piece = ToolCallPiece.model_validate({"id": "", "type": "", "function": {"arguments": "{"}})
    assert piece.to_wire(2) == {"index": 2, "function": {"arguments": "{"}}
