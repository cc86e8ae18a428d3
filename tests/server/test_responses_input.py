"""`POST /v1/responses`: what a request may hold, and what goes up for it."""

from typing import Any

import pytest

from tests.fakes.library import QUESTION
from tests.fakes.vllm import DRAFT, Answer, FakeVLLM
from tests.server.gateway import Gateway
from tests.server.responses_wire import PATH, ask, post, stream

USER = {"role": "user", "content": QUESTION}
CALL = {"type": "function_call", "call_id": "call_1", "name": "dose", "arguments": "{}"}
RESULT = {"type": "function_call_output", "call_id": "call_1", "output": "5 mg"}
TOOL = {"type": "function", "name": "dose", "parameters": {"type": "object"}}
SCHEMA = {"type": "object", "properties": {"advice": {"type": "string"}}, "required": ["advice"]}
ZEBRA = "zebra words of a patient"


async def sent(gateway: Gateway, vllm: FakeVLLM, **fields: Any) -> dict[str, Any]:
    """Return what goes up for the draft."""
    await ask(gateway, **fields)
    return dict(vllm.of("draft")[-1].body)


@pytest.mark.parametrize("mode", ["standard", "draft"])
async def test_the_conversation_goes_up_turn_by_turn(gateway: Gateway, vllm: FakeVLLM, mode: str):
    turns = [
        {"role": "developer", "content": [{"type": "input_text", "text": "Use plain words."}]},
        {"type": "message", **USER},
        {
            "id": "rs_1",
            "type": "reasoning",
            "summary": [],
            "content": [{"type": "reasoning_text", "text": ZEBRA}],
        },
        {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": "I look it up.", "annotations": []}],
        },
        {**CALL, "id": "fc_1", "status": "completed"},
        {**CALL, "call_id": "call_2", "name": "age"},
        {**RESULT, "call_id": "call_2", "output": [{"type": "input_text", "text": "4 years"}]},
        RESULT,
    ]
    body = await sent(gateway, vllm, mode=mode, input=turns, instructions="Be brief.", tools=[TOOL])
    calls = [
        {"id": "call_1", "type": "function", "function": {"name": "dose", "arguments": "{}"}},
        {"id": "call_2", "type": "function", "function": {"name": "age", "arguments": "{}"}},
    ]
    system, *rest = body["messages"]
    assert system["role"] == "system"
    assert str(system["content"]).index("Be brief.") < str(system["content"]).index("Use plain")
    assert rest == [
        USER,
        {"role": "assistant", "content": "I look it up.", "tool_calls": calls},
        {"role": "tool", "tool_call_id": "call_2", "content": "4 years"},
        {"role": "tool", "tool_call_id": "call_1", "content": "5 mg"},
    ]
    assert ZEBRA not in str(body)


REASONING = {"type": "reasoning", "id": "rs_1", "summary": []}
CALL_2 = {**CALL, "call_id": "call_2", "name": "age"}
RESULT_2 = {**RESULT, "call_id": "call_2", "output": "4 years"}
SAID = {
    "type": "message",
    "id": "msg_1",
    "role": "assistant",
    "status": "completed",
    "content": [{"type": "output_text", "text": "I look it up.", "annotations": []}],
}
ORDERS: dict[str, list[dict[str, Any]]] = {
    "words after the calls": [USER, CALL, CALL_2, SAID, RESULT, RESULT_2],
    "words between the calls": [USER, CALL, REASONING, SAID, CALL_2, RESULT, RESULT_2],
    "words between the results": [USER, CALL, CALL_2, RESULT, SAID, RESULT_2],
}


@pytest.mark.parametrize("mode", ["standard", "draft"])
@pytest.mark.parametrize("order", ORDERS)
async def test_the_assistants_words_join_the_calls_that_still_wait(
    gateway: Gateway, vllm: FakeVLLM, mode: str, order: str
):
    _, said, *results = (await sent(gateway, vllm, mode=mode, input=ORDERS[order], tools=[TOOL]))[
        "messages"
    ]
    assert (said["role"], said["content"]) == ("assistant", "I look it up.")
    assert [call["id"] for call in said["tool_calls"]] == ["call_1", "call_2"]
    assert [turn["tool_call_id"] for turn in results] == ["call_1", "call_2"]


async def test_words_before_and_after_a_call_are_both_kept(gateway: Gateway, vllm: FakeVLLM):
    more = {"role": "assistant", "content": "One moment."}
    turns = (await sent(gateway, vllm, input=[USER, SAID, CALL, more, RESULT], tools=[TOOL]))[
        "messages"
    ]
    assert [turn["role"] for turn in turns] == ["user", "assistant", "tool"]
    assert [part["text"] for part in turns[1]["content"]] == ["I look it up.", "One moment."]


async def test_an_answer_with_words_and_a_call_can_be_sent_back_as_it_came(
    gateway: Gateway, vllm: FakeVLLM
):
    call = {"id": "call_1", "type": "function", "function": {"name": "dose", "arguments": "{}"}}
    vllm.script["draft"] = [
        Answer(text="I look it up.", finish_reason="tool_calls", tool_calls=(call,)),
        DRAFT,
    ]
    first = await ask(gateway, input=[USER], tools=[TOOL])
    assert {item["type"] for item in first["output"]} == {"message", "function_call"}
    for output in (first["output"], first["output"][::-1]):
        vllm.script["draft"] = DRAFT
        body = await sent(gateway, vllm, input=[USER, *output, RESULT], tools=[TOOL])
        assert [turn["role"] for turn in body["messages"]] == ["user", "assistant", "tool"]


async def test_an_inner_null_of_a_response_was_not_given(gateway: Gateway):
    fields = {"stream_options": {"include_usage": None, "include_obfuscation": None}}
    reply = await post(
        gateway, input=[USER], stream=True, revision={"mode": "fast", "include": None}, **fields
    )
    assert reply.status == 200, reply.body


async def test_several_parts_stay_parts_and_a_refusal_stays_said(gateway: Gateway, vllm: FakeVLLM):
    parts = [{"type": "input_text", "text": "My head "}, {"type": "input_text", "text": "hurts."}]
    refusal = {"role": "assistant", "content": [{"type": "refusal", "refusal": "I will not."}]}
    turns = [{"role": "user", "content": parts}, refusal, USER]
    first, second, _ = (await sent(gateway, vllm, input=turns))["messages"]
    assert [part["text"] for part in first["content"]] == ["My head ", "hurts."]
    assert "I will not." in str(second["content"])


async def test_the_answer_after_a_tools_result_is_reviewed(gateway: Gateway):
    response = await ask(gateway, input=[USER, CALL, RESULT], tools=[TOOL])
    assert response["revision"]["status"] == "clean"


@pytest.mark.parametrize("mode", ["standard", "draft"])
async def test_the_fields_go_up_under_the_names_of_chat_completions(
    gateway: Gateway, vllm: FakeVLLM, mode: str
):
    vllm.script["draft"] = '{"advice": "Rest."}'
    form = {"type": "json_schema", "name": "advice", "schema": SCHEMA, "strict": True}
    body = await sent(
        gateway,
        vllm,
        mode=mode,
        max_output_tokens=77,
        temperature=0.5,
        top_p=0.9,
        seed=3,
        top_k=5,
        tools=[TOOL],
        tool_choice={"type": "function", "name": "dose"},
        parallel_tool_calls=False,
        text={"format": form, "verbosity": "low"},
        reasoning={"effort": "low", "summary": "auto"},
        user=ZEBRA,
        metadata={"ward": ZEBRA},
        store=False,
        safety_identifier="someone",
        truncation="disabled",
        include=["reasoning.encrypted_content"],
        background=False,
        previous_response_id=None,
    )
    assert 77 in (body.get("max_tokens"), body.get("max_completion_tokens"))
    assert (body["temperature"], body["top_p"], body["seed"]) == (0.5, 0.9, 3)
    assert body["top_k"] == 5
    assert body["tools"] == [
        {"type": "function", "function": {"name": "dose", "parameters": {"type": "object"}}}
    ]
    assert body["tool_choice"] == {"type": "function", "function": {"name": "dose"}}
    assert body["parallel_tool_calls"] is False
    assert body["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "advice", "schema": SCHEMA, "strict": True},
    }
    assert (body["verbosity"], body["reasoning_effort"]) == ("low", "low")
    known = {"input", "instructions", "text", "reasoning", "truncation", "include", "background"}
    assert not known.intersection(body)
    assert ZEBRA not in str(body)
    assert "someone" not in str(body)


async def test_what_says_nothing_is_left_out(gateway: Gateway, vllm: FakeVLLM):
    body = await sent(
        gateway,
        vllm,
        mode="draft",
        tools=[],
        tool_choice="auto",
        parallel_tool_calls=True,
        text={"format": {"type": "text"}},
        reasoning=None,
        stream=False,
        prompt=None,
    )
    assert set(body) <= {"model", "messages", "stream"}


async def test_a_stream_always_tells_its_usage(gateway: Gateway):
    streamed = await stream(gateway, "draft", stream_options={"include_obfuscation": False})
    assert streamed.last["usage"]["output_tokens"] == len(DRAFT.split()) + 1


UNSUPPORTED = [
    ({"previous_response_id": "resp_1"}, "previous_response_id", "input"),
    ({"conversation": "conv_1"}, "conversation", "input"),
    ({"prompt": {"id": "pmpt_1"}}, "prompt", "instructions"),
    ({"background": True}, "background", "stream"),
    ({"context_management": [{"type": "compaction"}]}, "context_management", "leave it out"),
    ({"max_tool_calls": 3}, "max_tool_calls", "leave it out"),
    ({"include": ["file_search_call.results"]}, "include", "empty"),
    ({"top_logprobs": 3}, "top_logprobs", "0"),
    ({"truncation": "middle"}, "truncation", "'auto' or 'disabled'"),
    ({"tools": [{"type": "web_search"}]}, "tools.0.type", "built-in"),
    ({"tools": [TOOL], "tool_choice": {"type": "file_search"}}, "tool_choice.type", "built-in"),
    ({"tool_choice": "required"}, "tool_choice", "tools"),
    ({"tools": [TOOL], "tool_choice": {"type": "function", "name": "x"}}, "tool_choice", "one of"),
    ({"tools": [TOOL], "tool_choice": 5}, "tool_choice", "'auto'"),
    ({"tools": [{"type": "function", "name": "a b"}]}, "tools.0.name", "letter"),
    ({"tools": [{**TOOL, "parameters": {"type": 5}}]}, "tools.0.parameters", "schema"),
    ({"text": {"format": {"type": "grammar"}}}, "text.format.type", "json_schema"),
    ({"text": {"format": {"type": "json_schema", "name": "a"}}}, "text.format.schema", "missing"),
    (
        {"text": {"format": {"type": "json_schema", "name": "a", "schema": {"type": 5}}}},
        "text.format.schema",
        "schema",
    ),
    ({"text": {"style": "x"}}, "text", "format, verbosity"),
    ({"reasoning": {"summary": "all"}}, "reasoning.summary", "must be"),
    ({"max_output_tokens": 0}, "max_output_tokens", "at least 1"),
    ({"max_output_tokens": "9"}, "max_output_tokens", "integer"),
    ({"temperature": 3}, "temperature", "at most 2"),
    ({"metadata": {"ward": 7}}, "metadata", "strings"),
    ({"stream": "yes"}, "stream", "true or false"),
    ({"stream_options": {"include_obfuscation": False}}, "stream_options", "stream is true"),
    (
        {"stream": True, "stream_options": {"include_obfuscation": True}},
        "stream_options.include_obfuscation",
        "padded",
    ),
    ({"messages": [USER]}, "messages", "input"),
    ({"max_tokens": 5}, "max_tokens", "max_output_tokens"),
    ({"response_format": {"type": "json_object"}}, "response_format", "text.format"),
    ({"n": 2}, "n", "one answer"),
    ({"chat_template": ZEBRA}, "chat_template", "leave it out"),
    ({"revision": {"top_k": 99}}, "revision.top_k", "at most 20"),
    ({"service_tier": "flex"}, "service_tier", "'default'"),
]


@pytest.mark.parametrize(("fields", "param", "said"), UNSUPPORTED)
async def test_what_cannot_be_done_is_refused_by_name(
    gateway: Gateway, vllm: FakeVLLM, fields: dict[str, Any], param: str, said: str
):
    reply = await post(gateway, **fields)
    assert (reply.status, reply.error["param"]) == (400, param)
    assert reply.error["code"]
    assert said in reply.error["message"]
    assert ZEBRA not in reply.error["message"]
    assert not vllm.requests


def of(role: str, *parts: dict[str, Any]) -> dict[str, Any]:
    return {"role": role, "content": list(parts)}


IMAGE = {"type": "input_image", "image_url": "http://127.0.0.1/zebra.png"}
WRONG_INPUT: list[tuple[Any, str, str]] = [
    (5, "input", "string or an array"),
    ("", "input", "empty"),
    ("  ", "input", "question"),
    ([], "input", "empty"),
    ([ZEBRA], "input.0", "object"),
    ([{"content": ZEBRA}], "input.0.role", "missing"),
    ([{"role": "robot", "content": ZEBRA}], "input.0.role", "'user'"),
    ([{"role": "user"}], "input.0.content", "missing"),
    ([{"role": "user", "content": None}], "input.0.content", "string"),
    ([of("user")], "input.0.content", "empty"),
    ([of("user", IMAGE)], "input.0.content.0.type", "only text can be reviewed"),
    ([of("user", {"type": "input_file"})], "input.0.content.0.type", "only text can be reviewed"),
    ([of("user", {"type": ZEBRA})], "input.0.content.0.type", "input_text"),
    ([of("user", {"type": "input_text"})], "input.0.content.0.text", "missing"),
    ([of("user", {"type": "refusal", "refusal": ZEBRA})], "input.0.content.0.type", "refusals"),
    ([USER, {"type": "item_reference", "id": "msg_1"}], "input.1.type", "the item itself"),
    ([{"type": "web_search_call", "id": ZEBRA}, USER], "input.0.type", "function_call"),
    ([{"type": 5}, USER], "input.0.type", "function_call"),
    ([USER, {"type": "function_call", "call_id": "c"}], "input.1.name", "missing"),
    ([USER, {**CALL, "arguments": {}}], "input.1.arguments", "string"),
    ([USER, CALL, {**RESULT, "output": [IMAGE]}], "input.2.output.0.type", "only text"),
    ([USER, CALL, {**RESULT, "call_id": ZEBRA}], "input.2.call_id", "function_call before"),
    ([USER, RESULT], "input.1.call_id", "function_call before"),
    ([USER, CALL, RESULT, RESULT], "input.3.call_id", "once"),
    ([USER, CALL], "input.1", "function_call_output"),
    ([USER, CALL, USER, RESULT], "input.1", "function_call_output"),
    ([USER, {"role": "assistant", "content": ZEBRA}], "input.1.role", "user or tool"),
    ([{"role": "user", "content": " "}], "input.0.content", "empty"),
    ([{"type": "reasoning", "id": "rs_1", "summary": []}], "input", "empty"),
]


@pytest.mark.parametrize(("value", "param", "said"), WRONG_INPUT)
async def test_input_that_cannot_stand_is_refused_by_its_place(
    gateway: Gateway, vllm: FakeVLLM, value: Any, param: str, said: str
):
    reply = await post(gateway, input=value, instructions="Be brief.")
    assert (reply.status, reply.error["param"]) == (400, param)
    assert reply.error["code"]
    assert said in reply.error["message"]
    assert "zebra" not in reply.error["message"]
    assert "messages" not in reply.error["message"]
    assert not vllm.requests


@pytest.mark.parametrize("body", [b"{", b"[]", b"\xff", b"5"])
async def test_a_body_that_is_no_object_is_refused(gateway: Gateway, body: bytes):
    reply = await gateway.request("POST", PATH, data=body)
    assert (reply.status, reply.error["code"]) == (400, "invalid_json")


async def test_a_request_without_input_says_so(gateway: Gateway):
    reply = await gateway.post(PATH, {"model": "clinic-model"})
    assert (reply.status, reply.error["param"]) == (400, "input")
