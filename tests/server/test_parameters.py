"""What a request may hold: each field is honoured in every mode, and none is dropped unseen."""

import json

import pytest
from pydantic import BaseModel

from server.schemas import ChatRequest, parse_body
from tests.fakes.library import QUESTION, SIGNS
from tests.fakes.vllm import DRAFT, Answer, FakeVLLM, lacks
from tests.server.conftest import Opener
from tests.server.gateway import CHAT, Gateway, asking

ASKED = {"role": "user", "content": QUESTION}
ANSWERED = {"role": "assistant", "content": "Since when?"}
RULE = {"role": "system", "content": "Be kind."}


def calling(*ids: str) -> dict:
    function = {"name": "f", "arguments": "{}"}
    calls = [{"id": one, "type": "function", "function": function} for one in ids]
    return {"role": "assistant", "content": None, "tool_calls": calls}


def result(of: str) -> dict:
    return {"role": "tool", "tool_call_id": of, "content": "7"}


ORDERS = {
    "two questions": [ASKED, ASKED],
    "two answers": [ASKED, ANSWERED, ANSWERED, ASKED],
    "an answer first": [ANSWERED, ASKED],
    "an empty answer": [ASKED, {"role": "assistant", "content": ""}, ASKED],
    "a rule in the middle": [ASKED, ANSWERED, RULE, ASKED],
    "rules by a developer": [{**RULE, "role": "developer"}, ASKED, RULE, ASKED],
    "results in any order": [ASKED, calling("1", "2"), result("2"), result("1")],
    "a rule among results": [ASKED, calling("1", "2"), result("2"), RULE, result("1")],
    "a question after results": [ASKED, calling("1"), result("1"), ASKED],
    "calls after results": [ASKED, calling("1"), result("1"), calling("2"), result("2")],
    "the same id twice over": [ASKED, calling("1"), result("1"), calling("1"), result("1")],
    "an older function": [
        ASKED,
        {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}},
        {"role": "function", "name": "f", "content": "7"},
    ],
    "a refusal": [ASKED, {"role": "assistant", "content": None, "refusal": "I cannot."}, ASKED],
    "an answer as an SDK keeps it": [
        ASKED,
        {**ANSWERED, "refusal": None, "tool_calls": None, "function_call": None, "audio": None},
        ASKED,
    ],
}


@pytest.mark.parametrize("mode", ["draft", "fast"])
@pytest.mark.parametrize("messages", ORDERS.values(), ids=ORDERS)
async def test_a_possible_order_is_served(gateway: Gateway, messages: list[dict], mode: str):
    reply = await gateway.chat(mode, messages=messages)
    assert (reply.status, reply.text) == (200, DRAFT)


@pytest.mark.parametrize("mode", ["draft", "standard"])
async def test_parts_names_calls_and_results_go_up_as_they_came(
    gateway: Gateway, vllm: FakeVLLM, mode: str
):
    messages = [
        {
            "role": "user",
            "name": "ana",
            "content": [
                {"type": "text", "text": "My head", "cache_control": {"type": "ephemeral"}},
                {"type": "text", "text": " hurts."},
            ],
        },
        {**calling("1"), "name": "nurse", "audio": None},
        result("1"),
        {"role": "assistant", "content": [{"type": "text", "text": "Since when?"}]},
        ASKED,
    ]
    assert (await gateway.chat(mode, messages=messages)).status == 200
    (draft,) = vllm.of("draft")
    assert draft.body["messages"] == messages


async def test_what_is_shown_of_the_conversation_to_hidden_steps_keeps_its_parts(
    gateway: Gateway, vllm: FakeVLLM
):
    parts = [{"type": "text", "text": QUESTION, "cache_control": {"type": "ephemeral"}}]
    await gateway.chat("standard", messages=[{"role": "user", "content": parts}])
    (rubric,) = vllm.of("rubric")
    shown = rubric.body["messages"][-1]["content"]
    assert shown[:1] == parts
    assert len(shown) == 2


@pytest.mark.parametrize("mode", ["draft", "standard"])
async def test_a_refusal_in_the_history_goes_up_in_its_words(
    gateway: Gateway, vllm: FakeVLLM, mode: str
):
    messages = [
        ASKED,
        {"role": "assistant", "content": None, "refusal": "I cannot say."},
        ASKED,
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "Nor that."}]},
        ASKED,
    ]
    assert (await gateway.chat(mode, messages=messages)).status == 200
    (draft,) = vllm.of("draft")
    assert draft.body["messages"][1] == {"role": "assistant", "content": "I cannot say."}
    assert draft.body["messages"][3]["content"] == [{"type": "text", "text": "Nor that."}]


PERSONAL = {
    "user": "ana-42",
    "safety_identifier": "ana-43",
    "prompt_cache_key": "ana-44",
    "metadata": {"ward": "ana-45"},
    "store": False,
}
OF_NO_USE_TO_AN_ENGINE = {"modalities": ["text"], "service_tier": "auto"}


@pytest.mark.parametrize("mode", ["draft", "standard"])
@pytest.mark.parametrize("stream", [False, True])
async def test_what_says_who_a_person_is_never_reaches_a_model_server(
    gateway: Gateway, vllm: FakeVLLM, *, mode: str, stream: bool
):
    fields = {**PERSONAL, **OF_NO_USE_TO_AN_ENGINE}
    reply = await gateway.chat(mode, stream=stream, **fields)
    assert reply.status == 200
    assert vllm.requests
    for request in vllm.requests:
        assert not fields.keys() & request.body.keys()
        assert "ana-4" not in json.dumps(request.body)


def test_what_says_who_a_person_is_stays_on_the_request_for_the_record():
    body = parse_body(json.dumps(asking(**PERSONAL)).encode(), ChatRequest)
    assert {name: getattr(body, name) for name in PERSONAL} == PERSONAL


@pytest.mark.parametrize("mode", ["draft", "standard"])
@pytest.mark.parametrize(
    ("fields", "length"),
    [
        ({"max_tokens": 5}, 5),
        ({"max_completion_tokens": 7}, 7),
        ({"max_tokens": 5, "max_completion_tokens": 7}, 7),
        ({"max_tokens": 7, "max_completion_tokens": 5}, 5),
    ],
)
async def test_of_two_names_for_the_length_the_newer_wins_and_goes_up_alone(
    gateway: Gateway, vllm: FakeVLLM, mode: str, fields: dict, length: int
):
    assert (await gateway.chat(mode, **fields)).status == 200
    (draft,) = vllm.of("draft")
    assert [value for name, value in draft.body.items() if name.startswith("max_")] == [length]


@pytest.mark.parametrize("stop", ["END", ["END", "STOP"]])
async def test_stop_words_hold_for_the_draft_and_for_its_revision(
    gateway: Gateway, vllm: FakeVLLM, stop: object
):
    vllm.script["judge"] = lacks(SIGNS)
    assert (await gateway.chat("standard", stop=stop)).status == 200
    sent = {step: [one.body.get("stop") for one in vllm.of(step)] for step in ("draft", "revise")}
    assert sent == {"draft": [stop], "revise": [stop]}
    assert not any("stop" in one.body for one in (*vllm.of("judge"), *vllm.of("rubric")))


@pytest.mark.parametrize("live", [False, True])
async def test_an_empty_draft_is_tried_again_with_another_seed(
    gateway: Gateway, vllm: FakeVLLM, *, live: bool
):
    vllm.script["draft"] = ["", DRAFT]
    wishes = {"mode": "fast", **({"expose": "reasoning"} if live else {})}
    if live:
        assert (await gateway.stream(seed=5, revision=wishes)).text == DRAFT
    else:
        assert (await gateway.chat(seed=5, revision=wishes)).text == DRAFT
    first, second = (one.body["seed"] for one in vllm.of("draft"))
    assert first == 5
    assert second != 5


async def test_an_empty_draft_is_tried_again_only_once_when_it_is_shown_live(
    gateway: Gateway, vllm: FakeVLLM
):
    vllm.script["draft"] = ["", ""]
    reply = await gateway.chat(stream=True, revision={"mode": "fast", "expose": "reasoning"})
    assert (reply.status, reply.error["code"]) == (502, "empty_completion")
    assert len(vllm.of("draft")) == 2


OPTIONAL = (
    "audio",
    "frequency_penalty",
    "function_call",
    "functions",
    "logit_bias",
    "logprobs",
    "max_completion_tokens",
    "max_tokens",
    "metadata",
    "modalities",
    "n",
    "parallel_tool_calls",
    "prediction",
    "presence_penalty",
    "prompt_cache_key",
    "reasoning_effort",
    "response_format",
    "revision",
    "safety_identifier",
    "seed",
    "service_tier",
    "stop",
    "store",
    "stream",
    "stream_options",
    "temperature",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "user",
    "verbosity",
    "web_search_options",
)


@pytest.mark.parametrize("name", OPTIONAL)
async def test_an_optional_field_that_is_null_was_not_given(
    gateway: Gateway, vllm: FakeVLLM, name: str
):
    reply = await gateway.post(CHAT, asking(**{name: None}))
    assert (reply.status, reply.text) == (200, DRAFT)
    assert all(one.body.get(name) is None for one in vllm.of("draft"))


@pytest.mark.parametrize("mode", ["fast", "draft"])
async def test_an_inner_null_was_not_given(gateway: Gateway, mode: str):
    options = {"include_usage": None, "include_obfuscation": None, "continuous_usage_stats": None}
    fields = {"stream_options": options, "revision": {"include": None, "expose": None}}
    stream = await gateway.stream(mode, **fields)
    assert (stream.status, stream.text) == (200, DRAFT)
    assert not any(chunk.get("usage") for chunk in stream.chunks)


GOOD = {
    "a whole temperature": {"temperature": 1},
    "the least and the most": {"temperature": 2, "top_p": 0, "presence_penalty": -2},
    "seeds of 64 bits": {"seed": -(2**63)},
    "other seeds of 64 bits": {"seed": 2**63 - 1},
    "biases": {"logit_bias": {"1": -100, "50256": 1.5}},
    "four stop words": {"stop": ["a", "b", "c", "\n"]},
    "an effort": {"reasoning_effort": "low", "verbosity": "low"},
    "plain text": {"response_format": {"type": "text"}},
}


@pytest.mark.parametrize("mode", ["draft", "fast"])
@pytest.mark.parametrize("fields", GOOD.values(), ids=GOOD)
async def test_a_field_of_openai_s_goes_up_as_it_came(
    gateway: Gateway, vllm: FakeVLLM, fields: dict, mode: str
):
    assert (await gateway.chat(mode, **fields)).status == 200
    (draft,) = vllm.of("draft")
    assert {name: draft.body[name] for name in fields} == fields


TOOL = {
    "type": "function",
    "strict": True,
    "function": {"name": "get_dose", "description": "x", "parameters": {"type": "object"}},
}


@pytest.mark.parametrize("mode", ["draft", "fast"])
@pytest.mark.parametrize(
    "choice",
    ["none", "auto", "required", {"type": "function", "function": {"name": "get_dose"}}],
)
async def test_tools_and_the_choice_among_them_go_up_as_they_came(
    gateway: Gateway, vllm: FakeVLLM, choice: object, mode: str
):
    fields = {"tools": [TOOL], "tool_choice": choice, "parallel_tool_calls": False}
    assert (await gateway.chat(mode, **fields)).status == 200
    (draft,) = vllm.of("draft")
    assert {name: draft.body[name] for name in fields} == fields


class Step(BaseModel):
    what: str
    next: "Step | None" = None


SCHEMAS = {
    "one of pydantic's, with references": Step.model_json_schema(),
    "none": {},
    "keywords that we do not know": {"x-order": 1, "properties": {"type": {"const": None}}},
    "a property by a keyword's name": {"properties": {"required": {"type": "boolean"}}},
    "several types": {"type": ["string", "null"], "enum": ["a", None]},
    "booleans as schemas": {"additionalProperties": False, "items": True, "not": {}},
    "numbers": {"minimum": -1.5, "multipleOf": 0.5, "maxLength": 0},
    "an older tuple": {"items": [{"type": "string"}, {"type": "number"}]},
}


@pytest.mark.parametrize("mode", ["draft", "fast"])
@pytest.mark.parametrize("schema", SCHEMAS.values(), ids=SCHEMAS)
async def test_a_schema_goes_up_as_it_came(
    gateway: Gateway, vllm: FakeVLLM, schema: dict, mode: str
):
    vllm.script["draft"] = vllm.script["revise"] = "{}"
    wanted = {
        "type": "json_schema",
        "json_schema": {"name": "advice", "strict": True, "schema": schema},
    }
    assert (await gateway.chat(mode, response_format=wanted)).status == 200
    (draft,) = vllm.of("draft")
    assert draft.body["response_format"] == wanted


# Refusals.

REFUSAL = "I cannot help with that."


@pytest.mark.parametrize("live", [False, True])
async def test_a_refusal_by_the_model_is_relayed_as_a_refusal(
    gateway: Gateway, vllm: FakeVLLM, *, live: bool
):
    vllm.script["draft"] = Answer(refusal=REFUSAL)
    wishes = {"mode": "standard", **({"expose": "reasoning"} if live else {})}
    whole = await gateway.chat(revision=wishes)
    message = whole.json["choices"][0]["message"]
    assert (message["content"], message["refusal"]) == (None, REFUSAL)
    assert whole.outcome == ("off", "bypass")
    stream = await gateway.stream(revision=wishes)
    assert stream.text == ""
    assert "".join(delta.get("refusal") or "" for delta in stream.deltas) == REFUSAL
    assert (stream.revision["status"], stream.revision["stop_reason"]) == ("off", "bypass")
    assert not vllm.of("judge")


async def test_a_refusal_is_read_by_openai_s_client(gateway: Gateway, vllm: FakeVLLM):
    vllm.script["draft"] = Answer(refusal=REFUSAL)
    async with gateway.openai() as client:
        messages = [{"role": "user", "content": QUESTION}]
        whole = await client.chat.completions.create(model="clinic-model", messages=messages)
        assert whole.choices[0].message.refusal == REFUSAL
        async with client.chat.completions.stream(
            model="clinic-model", messages=messages
        ) as stream:
            final = await stream.get_final_completion()
        assert final.choices[0].message.refusal == REFUSAL


@pytest.mark.parametrize("stream", [False, True])
async def test_a_refusal_in_the_mode_draft_is_relayed(
    gateway: Gateway, vllm: FakeVLLM, *, stream: bool
):
    vllm.script["draft"] = Answer(refusal=REFUSAL)
    if stream:
        deltas = (await gateway.stream("draft")).deltas
        assert "".join(delta.get("refusal") or "" for delta in deltas) == REFUSAL
    else:
        message = (await gateway.chat("draft")).json["choices"][0]["message"]
        assert message["refusal"] == REFUSAL


async def test_a_refusal_without_an_answer_is_no_degraded_review(
    open_gateway: Opener, vllm: FakeVLLM
):
    vllm.script["draft"] = Answer(refusal=REFUSAL)
    for wanted in ("notice", "error"):
        gateway = await open_gateway(on_degraded=wanted)
        reply = await gateway.chat()
        assert reply.json["choices"][0]["message"]["refusal"] == REFUSAL


async def test_a_revision_that_refuses_leaves_the_draft(gateway: Gateway, vllm: FakeVLLM):
    vllm.script["judge"] = lacks(SIGNS)
    vllm.script["revise"] = Answer(refusal=REFUSAL)
    reply = await gateway.chat("fast")
    assert reply.outcome == ("kept_draft", "no_gain")
    message = reply.json["choices"][0]["message"]
    assert (message["content"], message["refusal"]) == (DRAFT, None)


@pytest.mark.parametrize("refuses", [1, 2, 3])
async def test_of_several_drafts_one_that_refuses_is_merged_with_none(
    gateway: Gateway, vllm: FakeVLLM, refuses: int
):
    step = "draft" if refuses == 1 else f"draft-{refuses}"
    vllm.script[step] = Answer(refusal=REFUSAL)
    vllm.script["judge"] = lacks(SIGNS)
    reply = await gateway.chat("thorough")
    assert (reply.outcome == ("off", "bypass")) == (refuses == 1)
    assert all(REFUSAL not in json.dumps(merge.body) for merge in vllm.of("merge"))
