import json

import pytest

from models.errors import MalformedReply, ModelUnavailable
from models.messages import Usage
from models.wire import ModelCards, WireChunk, WireCompletion, WireDelta, parse, usage_in

CANARY = "zebra-in-the-ward"


def completion(message: dict, **choice: object) -> bytes:
    return json.dumps({"choices": [{"message": message, **choice}]}).encode()


@pytest.mark.parametrize(
    "body",
    [
        CANARY.encode(),
        f'"{CANARY}"'.encode(),
        f'["{CANARY}"]'.encode(),
        f'{{"choices": "{CANARY}"}}'.encode(),
        f'{{"choices": [], "note": "{CANARY}"}}'.encode(),
        f'{{"choices": [{{"message": "{CANARY}"}}]}}'.encode(),
        f'{{"choices": [{{"message": {{"content": ["{CANARY}"]}}}}]}}'.encode(),
        f'{{"choices": [{{"message": {{"content": "{CANARY}"}}, "finish_reason": 7}}]}}'.encode(),
        f'{{"error": "{CANARY}"}}'.encode(),
        f'{{"choices": [{{"message": {{"content": "{CANARY}'.encode(),
        b"",
        b"\xff\xfe" + CANARY.encode(),
        b"null",
    ],
)
def test_a_malformed_reply_is_named_and_never_repeated(body: bytes):
    with pytest.raises(MalformedReply) as caught:
        parse(WireCompletion, body)
    assert CANARY not in str(caught.value)
    assert caught.value.__suppress_context__, "a log of the chain would repeat the input"


@pytest.mark.parametrize(
    ("message", "text", "reasoning"),
    [
        ({"content": "Yes."}, "Yes.", ""),
        ({"content": "A", "reasoning": "R"}, "A", "R"),
        ({"content": "A", "reasoning_content": "R"}, "A", "R"),
        ({"content": None}, "", ""),
        ({}, "", ""),
        ({"content": "A", "annotations": [], "new_field": {}}, "A", ""),
    ],
)
def test_a_reply_is_read_under_every_known_name(message: dict, text: str, reasoning: str):
    read = parse(WireCompletion, completion(message)).to_completion()
    assert (read.text, read.reasoning, read.finish_reason) == (text, reasoning, "stop")


def test_a_refusal_is_no_answer_and_keeps_its_field():
    read = parse(WireCompletion, completion({"content": None, "refusal": "I cannot."}))
    answer = read.to_completion()
    assert (answer.text, answer.refusal) == ("", "I cannot.")
    assert not answer.is_prose
    assert not answer.is_empty


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (None, Usage()),
        ({"prompt_tokens": 3, "completion_tokens": 2}, Usage(prompt_tokens=3, completion_tokens=2)),
        ({"prompt_tokens": 3, "completion_tokens": None}, Usage(prompt_tokens=3)),
        (
            {"prompt_tokens": 3, "prompt_tokens_details": {"cached_tokens": 2}},
            Usage(prompt_tokens=3, cached_tokens=2),
        ),
        ({"prompt_tokens": 3, "prompt_tokens_details": None}, Usage(prompt_tokens=3)),
        (
            {"completion_tokens": 5, "completion_tokens_details": {"reasoning_tokens": 4}},
            Usage(completion_tokens=5, reasoning_tokens=4),
        ),
        (
            {"prompt_tokens": 3, "prompt_tokens_details": {"cached_tokens": None}},
            Usage(prompt_tokens=3),
        ),
    ],
)
def test_usage_is_read_where_it_is_told(usage: dict | None, expected: Usage):
    body = json.dumps({"choices": [{"message": {"content": "A"}}], "usage": usage}).encode()
    assert parse(WireCompletion, body).to_completion().usage == expected


ODD = [-1, 10**9 + 1, 2**63, 10**30, 2.0, 1.5, True, "3", [3]]


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("name", ["prompt_tokens", "completion_tokens"])
def test_a_usage_with_a_number_that_makes_no_sense_is_one_that_was_not_told(name: str, odd: object):
    usage = {"prompt_tokens": 3, "completion_tokens": 2, name: odd}
    body = {"choices": [{"message": {"content": "A"}}], "usage": usage}
    assert parse(WireCompletion, json.dumps(body).encode()).usage is None
    assert parse(WireChunk, json.dumps({"usage": usage}).encode()).usage is None
    assert usage_in({"usage": usage}) is None


@pytest.mark.parametrize("told", [None, {}, [], "3", 3, {"prompt_tokens": None}])
def test_a_usage_that_says_nothing_is_one_that_was_not_told(told: object):
    assert parse(WireChunk, json.dumps({"usage": told}).encode()).usage is None
    assert usage_in({"usage": told}) is None


@pytest.mark.parametrize("odd", [*ODD, None])
def test_a_detail_of_the_usage_that_makes_no_sense_leaves_the_rest(odd: object):
    usage = {
        "prompt_tokens": 3,
        "prompt_tokens_details": {"cached_tokens": odd},
        "completion_tokens_details": odd,
    }
    assert usage_in({"usage": usage}) == Usage(prompt_tokens=3)


NULLS = {
    "choices": {"choices": None},
    "delta": {"choices": [{"delta": None}]},
    "index": {"choices": [{"index": None, "delta": {"content": None}}]},
    "tool calls": {"choices": [{"delta": {"tool_calls": None, "function_call": None}}]},
    "logprobs": {"choices": [{"logprobs": None, "finish_reason": None}]},
    "error": {"error": None, "object": None, "usage": None},
}


@pytest.mark.parametrize("chunk", NULLS.values(), ids=NULLS)
def test_null_in_a_chunk_says_nothing(chunk: dict):
    read = parse(WireChunk, json.dumps(chunk).encode())
    assert not read.failed
    assert [(one.delta, one.finish_reason) for one in read.choices] in ([], [(WireDelta(), None)])


@pytest.mark.parametrize("choice", [{}, {"message": None}])
def test_a_whole_choice_without_a_message_is_no_answer(choice: dict):
    with pytest.raises(MalformedReply):
        parse(WireCompletion, json.dumps({"choices": [choice]}).encode())


def test_of_one_token_told_twice_the_likelier_reading_is_kept():
    top = [{"token": "yes", "logprob": -0.1}, {"token": "yes", "logprob": -5.0}]
    position = {"token": "yes", "logprob": -0.1, "top_logprobs": top}
    body = completion({"content": "yes"}, logprobs={"content": [position]})
    assert parse(WireCompletion, body).to_completion().first_token == {"yes": -0.1}


def test_a_token_without_alternatives_stands_for_itself():
    body = completion({"content": "no"}, logprobs={"content": [{"token": "no", "logprob": -0.2}]})
    assert parse(WireCompletion, body).to_completion().first_token == {"no": -0.2}


@pytest.mark.parametrize(("told", "kept"), [("-Infinity", -9999.0), ("-0.5", -0.5)])
def test_what_is_as_good_as_impossible_has_openais_number(told: str, kept: float):
    position = f'{{"token": "no", "logprob": {told}, "bytes": [-1]}}'
    body = f'{{"choices": [{{"message": {{}}, "logprobs": {{"content": [{position}]}}}}]}}'
    logprobs = parse(WireCompletion, body.encode()).choices[0].logprobs
    assert logprobs is not None
    assert logprobs.to_wire() == {
        "content": [{"token": "no", "logprob": kept, "bytes": None, "top_logprobs": []}],
        "refusal": None,
    }


@pytest.mark.parametrize("told", ["NaN", "Infinity"])
def test_a_probability_that_is_no_number_is_none(told: str):
    position = f'{{"token": "a", "logprob": {told}}}'
    body = f'{{"choices": [{{"message": {{}}, "logprobs": {{"content": [{position}]}}}}]}}'
    with pytest.raises(MalformedReply):
        parse(WireCompletion, body.encode())


@pytest.mark.parametrize("logprobs", [None, {}, {"content": None}, {"content": []}])
def test_a_reply_without_probabilities_has_none(logprobs: dict | None):
    body = completion({"content": "no"}, logprobs=logprobs)
    assert parse(WireCompletion, body).to_completion().first_token == {}


@pytest.mark.parametrize(
    ("card", "context"),
    [
        ({"id": "m"}, None),
        ({"id": "m", "max_model_len": 4096}, 4096),
        ({"id": "m", "meta": {"n_ctx": 2048}}, 2048),
        ({"id": "m", "meta": {"n_ctx": "many"}}, None),
        ({"id": "m", "meta": None}, None),
        ({"id": "m", "meta": []}, None),
        ({"id": "m", "max_model_len": True}, None),
        ({"id": "m", "max_model_len": -1}, None),
        ({"id": "m", "max_model_len": 10**30}, None),
        ({"id": "m", "max_model_len": "many", "meta": {"n_ctx": 2048}}, 2048),
        ({"id": "m", "meta": {"n_ctx": 10**30}}, None),
        ({"id": "m", "meta": {"n_ctx": True}}, None),
    ],
)
def test_the_context_length_is_found_where_each_server_puts_it(card: dict, context: int | None):
    cards = parse(ModelCards, json.dumps({"data": [card]}).encode())
    assert cards.data[0].context_length() == context


def test_a_model_without_a_name_is_left_out():
    cards = parse(ModelCards, b'{"data": [{"id": ""}, {"id": "m"}]}')
    assert [card.id for card in cards.data] == ["m"]


def test_a_usage_chunk_has_no_choices():
    chunk = parse(WireChunk, b'{"choices": [], "usage": {"prompt_tokens": 1}}')
    assert chunk.choices == ()
    assert chunk.usage is not None


@pytest.mark.parametrize(
    ("told", "meant"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("tool_calls", "tool_calls"),
        ("content_filter", "content_filter"),
        ("function_call", "function_call"),
        ("eos", "stop"),
        ("repetition", "length"),
        (None, "stop"),
    ],
)
def test_a_finish_reason_is_told_in_openais_words(told: str | None, meant: str):
    reply = parse(WireCompletion, completion({"content": "Rest."}, finish_reason=told))
    assert reply.to_completion().finish_reason == meant


@pytest.mark.parametrize("told", ["abort", "error", "cancelled"])
def test_a_reply_that_the_server_gave_up_on_is_none(told: str):
    body = json.dumps(
        {
            "choices": [{"message": {"content": "Take two"}, "finish_reason": told}],
            "usage": {"prompt_tokens": 7, "completion_tokens": 2},
        }
    )
    with pytest.raises(ModelUnavailable) as caught:
        parse(WireCompletion, body.encode()).to_completion()
    assert caught.value.spent == Usage(prompt_tokens=7, completion_tokens=2)


def test_a_malformed_reply_still_says_what_it_has_cost():
    body = b'{"choices": [], "usage": {"prompt_tokens": 100, "completion_tokens": 50}}'
    with pytest.raises(MalformedReply) as caught:
        parse(WireCompletion, body)
    assert caught.value.spent == Usage(prompt_tokens=100, completion_tokens=50)
    with pytest.raises(MalformedReply) as caught:
        parse(WireCompletion, b'{"choices": [], "usage": "zebra"}')
    assert caught.value.spent == Usage()


def test_an_error_beside_choices_is_no_reply():
    body = {"choices": [{"message": {"content": "x"}}], "error": {"message": CANARY}}
    with pytest.raises(MalformedReply) as caught:
        parse(WireCompletion, json.dumps(body).encode())
    assert CANARY not in str(caught.value)


def test_reasoning_at_the_start_of_the_content_is_not_content():
    reply = parse(WireCompletion, completion({"content": "<think>Which?</think>\n\nRest."}))
    told = reply.to_completion()
    assert (told.text, told.reasoning) == ("Rest.", "Which?")
