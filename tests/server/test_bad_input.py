"""Every bad request over the real socket: status, parameter, code, and never a word of it again."""

import copy
import gzip
import json
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.requests import Request

from server.errors import InvalidRequest
from server.schemas import ChatRequest, read_body
from tests.fakes.vllm import MODEL, FakeVLLM
from tests.server.gateway import CHAT, Gateway

CANARY = "zebra-in-the-ward"
KEY = "zebra_has_a_fever"
SAID = {"role": "user", "content": CANARY}
KIND = "invalid_request_error"
AS_JSON = (b"content-type", b"application/json")
CALL = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
CALLS = {"role": "assistant", "content": None, "tool_calls": [CALL]}
RESULT = {"role": "tool", "tool_call_id": "1", "content": CANARY}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
SCHEMA = {"name": "advice", "schema": {"type": "object"}}


def body(**fields: object) -> bytes:
    return json.dumps({"model": MODEL, "messages": [SAID], **fields}).encode()


def wish(**fields: object) -> bytes:
    return body(revision=fields)


def turns(*messages: object) -> bytes:
    return body(messages=messages)


def content(*parts: object, role: str = "user") -> bytes:
    return turns(SAID, {"role": role, "content": parts}, SAID)


def part(kind: str, **fields: object) -> bytes:
    return content({"type": "text", "text": CANARY}, {"type": kind, **fields})


def schema(**keywords: object) -> bytes:
    wanted = {"name": "advice", "schema": {"type": "object", **keywords}}
    return body(response_format={"type": "json_schema", "json_schema": wanted})


def named(**fields: object) -> bytes:
    return body(response_format={"type": "json_schema", "json_schema": fields})


def deep(levels: int) -> bytes:
    return b'{"model": "m", "messages": ' + b"[" * levels + b"]" * levels + b"}"


NOT_JSON = {
    "empty": b"",
    "blank": b" \n",
    "not JSON": CANARY.encode(),
    "cut short": body()[:-5],
    "words after it": body() + CANARY.encode(),
    "invalid UTF-8": body().replace(CANARY.encode(), b"\xff\xfe"),
    "UTF-16": body().decode().encode("utf-16"),
    "a byte order mark": b"\xef\xbb\xbf" + body(),
    "half a character": body().replace(CANARY.encode(), b"\\ud83d"),
    "NaN": body(temperature=float("nan")),
    "infinity in a field that we do not know": body(zebra=float("inf")),
    "an array": f'["{CANARY}"]'.encode(),
    "a string": f'"{CANARY}"'.encode(),
    "a number": b"7",
    "null": b"null",
}

MISSING = {
    "model": (json.dumps({"messages": [SAID]}).encode(), "model"),
    "messages": (json.dumps({"model": MODEL}).encode(), "messages"),
    "role": (turns({"content": CANARY}), "messages.0.role"),
    "content": (turns({"role": "user"}, SAID), "messages.0.content"),
    "content, being null": (turns(SAID, {"role": "user", "content": None}), "messages.1.content"),
    "instructions": (turns({"role": "system"}, SAID), "messages.0.content"),
    "a question at the end": (turns(SAID, {"role": "user", "content": " "}), "messages.1.content"),
    "anything an assistant says": (
        turns(SAID, {"role": "assistant", "content": None}, SAID),
        "messages.1.content",
    ),
    "a result": (turns(SAID, CALLS, {**RESULT, "content": None}), "messages.2.content"),
    "the call of a result": (
        turns(SAID, CALLS, {"role": "tool", "content": CANARY}),
        "messages.2.tool_call_id",
    ),
    "a function's name": (
        turns(SAID, {"role": "function", "content": CANARY}, SAID),
        "messages.1.name",
    ),
    "a part's type": (content({"text": CANARY}), "messages.1.content.0.type"),
    "a part's text": (content({"type": "text"}), "messages.1.content.0.text"),
    "a call's id": (
        turns(SAID, {**CALLS, "tool_calls": [{"type": "function", "function": {}}]}, RESULT),
        "messages.1.tool_calls.0.id",
    ),
    "a call's arguments": (
        turns(SAID, {**CALLS, "tool_calls": [{**CALL, "function": {"name": "f"}}]}, RESULT),
        "messages.1.tool_calls.0.function.arguments",
    ),
    "a tool's function": (body(tools=[{"type": "function"}]), "tools.0.function"),
    "a tool's type": (body(tools=[{KEY: 1}]), "tools.0.type"),
    "a chosen function": (
        body(tools=[TOOL], tool_choice={"type": "function"}),
        "tool_choice.function",
    ),
    "a schema with its name": (
        body(response_format={"type": "json_schema"}),
        "response_format.json_schema",
    ),
    "a schema": (named(name="advice"), "response_format.json_schema.schema"),
    "a schema's name": (named(schema={}), "response_format.json_schema.name"),
}
WRONG_TYPE = {
    "model": [[CANARY], 7, None],
    "messages": [CANARY, {"0": SAID}, None],
    "stream": [CANARY, "yes", 1],
    "stream_options": [CANARY, [CANARY]],
    "max_tokens": ["5", True, 5.0, [CANARY]],
    "max_completion_tokens": ["5", True, 5.0],
    "temperature": ["0.5", True, CANARY],
    "top_p": ["0.5", True],
    "presence_penalty": ["0.5", True, CANARY],
    "frequency_penalty": ["0.5", True, CANARY],
    "seed": ["7", True, 7.0],
    "n": ["1", True, 1.0],
    "logprobs": ["yes", 1],
    "top_logprobs": ["2", True, 2.0],
    "stop": [5, {KEY: 1}, True],
    "logit_bias": [[1], CANARY, {KEY: 1}, {"1": CANARY}, {"1": True}],
    "tools": [CANARY, {KEY: 1}],
    "tool_choice": [5, [CANARY]],
    "parallel_tool_calls": ["yes", 1],
    "response_format": [CANARY, [CANARY], 5],
    "reasoning_effort": [5, [CANARY]],
    "store": ["no", 0],
    "metadata": [CANARY, [CANARY], {KEY: 1}, {KEY: None}],
    "user": [5, [CANARY], True],
    "safety_identifier": [5, [CANARY]],
    "prompt_cache_key": [5, [CANARY]],
    "modalities": [CANARY, {KEY: 1}],
    "revision": [CANARY, [CANARY], 5],
}

WRONG_INNER_TYPE = {
    "a message": (turns(CANARY), "messages.0"),
    "content": (turns({"role": "user", "content": {KEY: CANARY}}), "messages.0.content"),
    "content in numbers": (turns({"role": "user", "content": 5}), "messages.0.content"),
    "a part": (content(CANARY), "messages.1.content.0"),
    "a part's text": (content({"type": "text", "text": 5}), "messages.1.content.0.text"),
    "a name": (turns({**SAID, "name": {KEY: 1}}), "messages.0.name"),
    "a refusal": (
        turns(SAID, {"role": "assistant", "refusal": 5}, SAID),
        "messages.1.refusal",
    ),
    "tool calls": (turns(SAID, {**CALLS, "tool_calls": CANARY}, SAID), "messages.1.tool_calls"),
    "a tool call": (turns(SAID, {**CALLS, "tool_calls": [CANARY]}), "messages.1.tool_calls.0"),
    "a call's id": (
        turns(SAID, {**CALLS, "tool_calls": [{**CALL, "id": 1}]}),
        "messages.1.tool_calls.0.id",
    ),
    "arguments": (
        turns(
            SAID,
            {**CALLS, "tool_calls": [{**CALL, "function": {"name": "f", "arguments": {KEY: 1}}}]},
        ),
        "messages.1.tool_calls.0.function.arguments",
    ),
    "a result's call": (
        turns(SAID, CALLS, {**RESULT, "tool_call_id": 1}),
        "messages.2.tool_call_id",
    ),
    "a stop word": (body(stop=[1]), "stop.0"),
    "a tool": (body(tools=[CANARY]), "tools.0"),
    "parameters": (
        body(tools=[{"type": "function", "function": {"name": "f", "parameters": CANARY}}]),
        "tools.0.function.parameters",
    ),
    "include_usage": (
        body(stream=True, stream_options={"include_usage": CANARY}),
        "stream_options.include_usage",
    ),
    "a schema": (named(name="advice", schema=CANARY), "response_format.json_schema.schema"),
    "strict": (
        named(name="advice", schema={}, strict="yes"),
        "response_format.json_schema.strict",
    ),
    "top_k": (wish(top_k=CANARY), "revision.top_k"),
    "top_k as text": (wish(top_k="8"), "revision.top_k"),
    "top_k true": (wish(top_k=True), "revision.top_k"),
    "include": (wish(include=CANARY), "revision.include"),
}

OUT_OF_RANGE = {
    "max_tokens 0": (body(max_tokens=0), "max_tokens", "integer_below_min_value"),
    "max_tokens -1": (body(max_tokens=-1), "max_tokens", "integer_below_min_value"),
    "max_tokens 10**30": (body(max_tokens=10**30), "max_tokens", "integer_above_max_value"),
    "the newer name": (
        body(max_completion_tokens=0),
        "max_completion_tokens",
        "integer_below_min_value",
    ),
    "temperature 2.1": (body(temperature=2.1), "temperature", "decimal_above_max_value"),
    "temperature 3": (body(temperature=3), "temperature", "decimal_above_max_value"),
    "temperature -1": (body(temperature=-1), "temperature", "decimal_below_min_value"),
    "top_p 1.1": (body(top_p=1.1), "top_p", "decimal_above_max_value"),
    "presence_penalty": (body(presence_penalty=9), "presence_penalty", "decimal_above_max_value"),
    "frequency_penalty": (
        body(frequency_penalty=-2.1),
        "frequency_penalty",
        "decimal_below_min_value",
    ),
    "seed 2**63": (body(seed=2**63), "seed", "integer_above_max_value"),
    "seed below": (body(seed=-(2**63) - 1), "seed", "integer_below_min_value"),
    "n 0": (body(n=0), "n", "integer_below_min_value"),
    "very large n": (body(n=1000, revision={"mode": "draft"}), "n", "integer_above_max_value"),
    "top_logprobs 21": (
        body(logprobs=True, top_logprobs=21, revision={"mode": "draft"}),
        "top_logprobs",
        "integer_above_max_value",
    ),
    "a bias of 101": (body(logit_bias={"1": 101}), "logit_bias", "invalid_value"),
    "five stop words": (body(stop=[CANARY] * 5), "stop", "array_above_max_length"),
    "no stop words": (body(stop=[]), "stop", "empty_array"),
    "an empty stop word": (body(stop=[""]), "stop.0", "string_below_min_length"),
    "no tools": (body(tools=[]), "tools", "empty_array"),
    "129 tools": (body(tools=[TOOL] * 129), "tools", "array_above_max_length"),
    "17 metadata keys": (
        body(metadata={f"{KEY}{n}": "" for n in range(17)}),
        "metadata",
        "object_above_max_properties",
    ),
    "a long metadata key": (body(metadata={KEY * 9: ""}), "metadata", "string_above_max_length"),
    "a long metadata value": (
        body(metadata={"a": CANARY * 99}),
        "metadata",
        "string_above_max_length",
    ),
    "a long user": (body(user=CANARY * 99), "user", "string_above_max_length"),
    "a long safety_identifier": (
        body(safety_identifier=CANARY * 9),
        "safety_identifier",
        "string_above_max_length",
    ),
    "a long prompt_cache_key": (
        body(prompt_cache_key=CANARY * 9),
        "prompt_cache_key",
        "string_above_max_length",
    ),
    "no messages": (turns(), "messages", "empty_array"),
    "too many messages": (turns(*[SAID] * 1001), "messages", "array_above_max_length"),
    "no parts": (content(), "messages.1.content", "empty_array"),
    "no tool calls": (
        turns(SAID, {"role": "assistant", "content": CANARY, "tool_calls": []}, SAID),
        "messages.1.tool_calls",
        "empty_array",
    ),
    "a long name": (
        turns({**SAID, "name": CANARY * 9}),
        "messages.0.name",
        "string_above_max_length",
    ),
    "empty model": (body(model=""), "model", "string_below_min_length"),
    "model of great length": (body(model=CANARY * 100), "model", "string_above_max_length"),
    "top_k 0": (wish(top_k=0), "revision.top_k", "integer_below_min_value"),
    "top_k 21": (wish(top_k=21), "revision.top_k", "integer_above_max_value"),
    "max_rounds -1": (wish(max_rounds=-1), "revision.max_rounds", "integer_below_min_value"),
    "max_rounds 4": (wish(max_rounds=4), "revision.max_rounds", "integer_above_max_value"),
    "deadline_ms 99": (wish(deadline_ms=99), "revision.deadline_ms", "integer_below_min_value"),
    "deadline_ms 600001": (
        wish(deadline_ms=600_001),
        "revision.deadline_ms",
        "integer_above_max_value",
    ),
}

WRONG_VALUE = {
    "a role": (turns({"role": CANARY, "content": "x"}), "messages.0.role", "invalid_value"),
    "a kind of part": (part(CANARY), "messages.1.content.1.type", "invalid_value"),
    "a kind of part that is none": (part([CANARY]), "messages.1.content.1.type", "invalid_value"),
    "a user's refusal": (
        part("refusal", refusal=CANARY),
        "messages.1.content.1.type",
        "invalid_value",
    ),
    "a kind of tool call": (
        turns(SAID, {**CALLS, "tool_calls": [{**CALL, "type": CANARY}]}, RESULT),
        "messages.1.tool_calls.0.type",
        "invalid_value",
    ),
    "a kind of tool": (body(tools=[{**TOOL, "type": CANARY}]), "tools.0.type", "invalid_value"),
    "a function's name": (
        body(tools=[{"type": "function", "function": {"name": "zebra in the ward"}}]),
        "tools.0.function.name",
        "invalid_value",
    ),
    "parameters that are no schema": (
        body(tools=[{"type": "function", "function": {"name": "f", "parameters": {"type": KEY}}}]),
        "tools.0.function.parameters",
        "invalid_json_schema",
    ),
    "a choice of tools": (body(tools=[TOOL], tool_choice=CANARY), "tool_choice", "invalid_value"),
    "a kind of choice": (
        body(tools=[TOOL], tool_choice={"type": CANARY}),
        "tool_choice.type",
        "invalid_value",
    ),
    "a choice of another tool": (
        body(tools=[TOOL], tool_choice={"type": "function", "function": {"name": KEY}}),
        "tool_choice",
        "invalid_value",
    ),
    "a form without type": (body(response_format={}), "response_format.type", "invalid_value"),
    "a form of another type": (
        body(response_format={"type": CANARY}),
        "response_format.type",
        "invalid_value",
    ),
    "a grammar as form": (
        body(response_format={"type": "structural_tag", "structures": [], "triggers": [KEY]}),
        "response_format.type",
        "invalid_value",
    ),
    "a form of many types": (
        body(response_format={"type": [CANARY]}),
        "response_format.type",
        "invalid_value",
    ),
    "a schema beside json_object": (
        body(response_format={"type": "json_object", "schema": {"pattern": "(a+)+"}}),
        "response_format",
        "unknown_parameter",
    ),
    "more beside a schema": (
        named(**SCHEMA, **{KEY: 1}),
        "response_format.json_schema",
        "unknown_parameter",
    ),
    "a schema's name in words": (
        named(name="zebra in the ward", schema={}),
        "response_format.json_schema.name",
        "invalid_value",
    ),
    "a verbosity": (body(verbosity=CANARY), "verbosity", "invalid_value"),
    "a mode": (wish(mode=CANARY), "revision.mode", "invalid_value"),
    "a thing to include": (wish(include=[CANARY]), "revision.include.0", "invalid_value"),
    "a thing to expose": (wish(expose=CANARY), "revision.expose", "invalid_value"),
    "a wish": (wish(**{KEY: 1}), "revision", "unknown_parameter"),
    "a wish in words": (wish(**{f"{CANARY} has a fever": 1}), "revision", "unknown_parameter"),
}

NO_SCHEMA = {
    "type": [KEY, [KEY], [], 5, {"type": "string"}],
    "properties": [[KEY], {KEY: CANARY}, {KEY: {"type": KEY}}],
    "items": [CANARY, [], {"required": KEY}],
    "required": [KEY, [5], {KEY: True}],
    "enum": [KEY, []],
    "additionalProperties": [KEY],
    "anyOf": [{KEY: 1}, [], [KEY]],
    "minLength": [-1, "5", 1.5, True],
    "maximum": ["5", True],
    "pattern": [5],
    "$ref": ["https://zebra.example/schema", 5, "other.json"],
    "$defs": [[KEY]],
}

UNSUPPORTED = {
    "an image": (
        part("image_url", image_url={"url": f"https://x/{CANARY}"}),
        "messages.1.content.1.type",
    ),
    "sound": (part("input_audio", input_audio={"data": CANARY}), "messages.1.content.1.type"),
    "a file": (part("file", file={"file_data": CANARY}), "messages.1.content.1.type"),
    "a video": (part("video_url", video_url={"url": CANARY}), "messages.1.content.1.type"),
    "an answer in sound": (body(modalities=["text", "audio"]), "modalities"),
    "an answer in another form": (body(modalities=[CANARY]), "modalities"),
    "a dearer tier": (body(service_tier="priority"), "service_tier"),
    "an unknown tier": (body(service_tier=CANARY), "service_tier"),
    "padding of chunks": (
        body(stream=True, stream_options={"include_obfuscation": True}),
        "stream_options.include_obfuscation",
    ),
}

REFUSED = (
    # OpenAI's, that cannot be honoured.
    "functions",
    "function_call",
    "prediction",
    "audio",
    "web_search_options",
    # Engines'.
    "add_generation_prompt",
    "cache_prompt",
    "cache_salt",
    "chat_template",
    "chat_template_kwargs",
    "continue_final_message",
    "custom_logit_processor",
    "data_parallel_rank",
    "echo",
    "grammar",
    "guided_grammar",
    "guided_json",
    "guided_regex",
    "id_slot",
    "kv_transfer_params",
    "logits_processors",
    "lora",
    "mm_processor_kwargs",
    "n_predict",
    "n_probs",
    "post_sampling_probs",
    "priority",
    "prompt_embeds",
    "prompt_token_ids",
    "request_id",
    "return_progress",
    "return_token_ids",
    "return_tokens_as_token_ids",
    "samplers",
    "structural_tag",
    "structured_outputs",
    "timings_per_token",
    "truncate_prompt_tokens",
)

DISORDER = {
    "the assistant has the last word": (
        [SAID, {"role": "assistant", "content": CANARY}],
        "messages.1.role",
    ),
    "the system has the last word": ([{"role": "system", "content": CANARY}], "messages.0.role"),
    "a result first": ([RESULT, SAID], "messages.0.role"),
    "a result without any call": ([SAID, RESULT], "messages.1.role"),
    "a result after the answer to it": (
        [SAID, CALLS, RESULT, {"role": "assistant", "content": CANARY}, RESULT],
        "messages.4.role",
    ),
    "a result of another call": (
        [SAID, CALLS, {**RESULT, "tool_call_id": CANARY}],
        "messages.2.tool_call_id",
    ),
    "a call without a result before a question": ([SAID, CALLS, SAID], "messages.1.tool_calls"),
    "a call without a result before an answer": (
        [SAID, CALLS, {"role": "assistant", "content": CANARY}, SAID],
        "messages.1.tool_calls",
    ),
    "one result of two calls": (
        [SAID, {**CALLS, "tool_calls": [CALL, {**CALL, "id": "2"}]}, RESULT],
        "messages.1.tool_calls",
    ),
    "a user who calls": ([{**SAID, "tool_calls": [CALL]}, SAID], "messages.0.tool_calls"),
    "a function that nobody called": (
        [SAID, {"role": "function", "name": "f", "content": CANARY}],
        "messages.1.role",
    ),
}

LONELY = {
    "stream_options without stream": (
        {"stream_options": {"include_usage": True}},
        "stream_options",
    ),
    "top_logprobs without logprobs": ({"top_logprobs": 2}, "top_logprobs"),
    "top_logprobs with logprobs false": ({"logprobs": False, "top_logprobs": 2}, "top_logprobs"),
    "tool_choice without tools": ({"tool_choice": "required"}, "tool_choice"),
    "parallel_tool_calls without tools": ({"parallel_tool_calls": True}, "parallel_tool_calls"),
}


async def refused(
    gateway: Gateway, vllm: FakeVLLM, sent: bytes, param: str | None, code: str | None
) -> str:
    """Send it and return the message; nothing of it may come back, nor go up."""
    reply = await gateway.request("POST", CHAT, data=sent)
    error = reply.error
    assert (reply.status, error["type"], error["param"], error["code"]) == (400, KIND, param, code)
    assert b"zebra" not in reply.body.lower()
    assert reply.headers["x-should-retry"] == "false"
    assert param is None or error["message"].startswith(f"{param} ")
    assert vllm.requests == []
    return error["message"]


@pytest.mark.parametrize("sent", NOT_JSON.values(), ids=NOT_JSON)
async def test_what_is_no_json_object_is_told_so(gateway: Gateway, vllm: FakeVLLM, sent: bytes):
    assert "JSON" in await refused(gateway, vllm, sent, None, "invalid_json")


@pytest.mark.parametrize("levels", [220, 100_000])
async def test_what_is_nested_too_deeply_is_told_so(gateway: Gateway, vllm: FakeVLLM, levels: int):
    for sent in (
        deep(levels),
        body(zebra=[]).replace(b"[]", b"[" * levels + b"]" * levels),
        body().replace(json.dumps(CANARY).encode(), b"[" * levels + b"]" * levels),
    ):
        assert "deep" in await refused(gateway, vllm, sent, None, "too_deep")


@pytest.mark.parametrize(("sent", "param"), MISSING.values(), ids=MISSING)
async def test_what_is_missing_is_named(gateway: Gateway, vllm: FakeVLLM, sent: bytes, param: str):
    assert await refused(gateway, vllm, sent, param, "missing_required_parameter")


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in WRONG_TYPE.items() for value in values]
)
async def test_a_wrong_type_is_told_and_never_mended(
    gateway: Gateway, vllm: FakeVLLM, name: str, value: object
):
    said = await refused(gateway, vllm, body(**{name: value}), name, "invalid_type")
    assert "must " in said


@pytest.mark.parametrize(("sent", "param"), WRONG_INNER_TYPE.values(), ids=WRONG_INNER_TYPE)
async def test_a_wrong_type_further_in_is_told_where_it_is(
    gateway: Gateway, vllm: FakeVLLM, sent: bytes, param: str
):
    assert await refused(gateway, vllm, sent, param, "invalid_type")


@pytest.mark.parametrize(("sent", "param", "code"), OUT_OF_RANGE.values(), ids=OUT_OF_RANGE)
async def test_what_is_out_of_range_is_told_its_range(
    gateway: Gateway, vllm: FakeVLLM, sent: bytes, param: str, code: str
):
    assert await refused(gateway, vllm, sent, param, code)


@pytest.mark.parametrize(("sent", "param", "code"), WRONG_VALUE.values(), ids=WRONG_VALUE)
async def test_a_value_that_is_not_known_is_told_which_are(
    gateway: Gateway, vllm: FakeVLLM, sent: bytes, param: str, code: str
):
    assert await refused(gateway, vllm, sent, param, code)


@pytest.mark.parametrize(
    ("keyword", "value"), [(name, value) for name, values in NO_SCHEMA.items() for value in values]
)
async def test_a_schema_that_is_none_is_told_which_keyword_is_wrong(
    gateway: Gateway, vllm: FakeVLLM, keyword: str, value: object
):
    sent = schema(**{keyword: value})
    param = "response_format.json_schema.schema"
    assert await refused(gateway, vllm, sent, param, "invalid_json_schema")


@pytest.mark.parametrize(("sent", "param"), UNSUPPORTED.values(), ids=UNSUPPORTED)
async def test_what_openai_has_and_we_have_not_is_refused_in_words(
    gateway: Gateway, vllm: FakeVLLM, sent: bytes, param: str
):
    said = await refused(gateway, vllm, sent, param, "unsupported_value")
    if param.startswith("messages"):
        assert "only text can be reviewed" in said


@pytest.mark.parametrize("mode", ["draft", "standard"])
@pytest.mark.parametrize("name", REFUSED)
async def test_a_field_that_no_client_may_set_is_refused_in_every_mode(
    gateway: Gateway, vllm: FakeVLLM, name: str, mode: str
):
    sent = body(**{name: CANARY}, revision={"mode": mode})
    assert await refused(gateway, vllm, sent, name, "unsupported_parameter")


async def test_the_older_functions_are_refused_with_a_word_about_tools(
    gateway: Gateway, vllm: FakeVLLM
):
    for name in ("functions", "function_call"):
        sent = body(**{name: [{"name": KEY}]})
        assert "tools" in await refused(gateway, vllm, sent, name, "unsupported_parameter")


@pytest.mark.parametrize(("messages", "param"), DISORDER.values(), ids=DISORDER)
async def test_an_impossible_order_is_told_by_the_message_that_breaks_it(
    gateway: Gateway, vllm: FakeVLLM, messages: list[object], param: str
):
    assert await refused(gateway, vllm, turns(*messages), param, "invalid_message_order")


@pytest.mark.parametrize("mode", ["draft", "standard"])
@pytest.mark.parametrize(("fields", "param"), LONELY.values(), ids=LONELY)
async def test_a_field_without_the_one_it_is_about_is_refused(
    gateway: Gateway, vllm: FakeVLLM, fields: dict, param: str, mode: str
):
    sent = body(**fields, revision={"mode": mode})
    assert await refused(gateway, vllm, sent, param, "invalid_combination")


@pytest.mark.parametrize("mode", ["fast", "standard", "thorough"])
@pytest.mark.parametrize(
    "fields", [{"n": 2}, {"logprobs": True}, {"logprobs": True, "top_logprobs": 2}]
)
async def test_what_only_a_draft_can_have_is_refused_in_the_reviewed_modes(
    gateway: Gateway, vllm: FakeVLLM, fields: dict, mode: str
):
    sent = body(**fields, revision={"mode": mode})
    said = await refused(gateway, vllm, sent, next(iter(fields)), "invalid_combination")
    assert "draft" in said


@pytest.mark.parametrize("path", [CHAT, "/v1/critiques", "/v1/principles/search"])
async def test_a_compressed_body_is_told_why_it_cannot_be_read(
    gateway: Gateway, vllm: FakeVLLM, path: str
):
    reply = await gateway.request(
        "POST", path, data=gzip.compress(body()), headers={"content-encoding": "gzip"}
    )
    assert (reply.status, reply.error["code"]) == (400, "unsupported_content_encoding")
    assert "content-encoding" in reply.error["message"]
    assert vllm.requests == []


async def test_a_search_s_unknown_field_is_not_named(gateway: Gateway):
    sent = json.dumps({"query": CANARY, KEY: 1}).encode()
    reply = await gateway.request("POST", "/v1/principles/search", data=sent)
    assert (reply.status, reply.error["code"]) == (400, "unknown_parameter")
    assert "query, k" in reply.error["message"]
    assert b"zebra" not in reply.body


# Any value in any place.

EVERYTHING: dict[str, Any] = {
    "model": MODEL,
    "messages": [
        {"role": "system", "content": CANARY, "name": "n"},
        {"role": "user", "content": [{"type": "text", "text": CANARY}]},
        {**CALLS, "refusal": None},
        RESULT,
        {"role": "assistant", "content": [{"type": "refusal", "refusal": CANARY}]},
        SAID,
    ],
    "revision": {"mode": "draft", "max_rounds": 1, "include": ["trace"], "expose": "reasoning"},
    "stream": True,
    "stream_options": {"include_usage": True},
    "max_tokens": 1,
    "max_completion_tokens": 1,
    "temperature": 1,
    "seed": 1,
    "stop": ["a"],
    "logprobs": True,
    "top_logprobs": 2,
    "logit_bias": {"1": 1},
    "response_format": {"type": "json_schema", "json_schema": SCHEMA},
    "tools": [TOOL],
    "tool_choice": {"type": "function", "function": {"name": "f"}},
    "parallel_tool_calls": True,
    "store": True,
    "metadata": {"a": "b"},
    "user": "u",
    "modalities": ["text"],
    "service_tier": "auto",
    "reasoning_effort": "low",
    "verbosity": "low",
}
VALUES = (
    *(None, True, 0, -1, 10**30, 1.5, "", CANARY, CANARY * 40, "\0", "type"),
    *([], [CANARY], [[CANARY]], [{}], [None]),
    *({}, {KEY: CANARY}, {"type": CANARY}, {"type": [CANARY]}, {"type": {KEY: 1}}),
    *({"type": "function"}, {"function": {"name": [CANARY]}}, {"$ref": CANARY}),
)


def places(value: object, at: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    for key, held in inner:
        yield (*at, key)
        if isinstance(held, dict | list):
            yield from places(held, (*at, key))


async def read(fields: dict[str, Any]) -> InvalidRequest | None:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": json.dumps(fields).encode(), "more_body": False}

    try:
        await read_body(Request({"type": "http", "headers": [AS_JSON]}, receive), ChatRequest)
    except InvalidRequest as error:
        return error
    return None


@pytest.mark.parametrize("place", list(places(EVERYTHING)), ids=lambda at: ".".join(map(str, at)))
async def test_whatever_stands_in_a_place_is_taken_or_told_in_words_of_ours(
    place: tuple[str | int, ...],
):
    assert await read(EVERYTHING) is None
    *way, last = place
    for value in VALUES:
        fields = copy.deepcopy(EVERYTHING)
        holder = fields
        for key in way:
            holder = holder[key]
        holder[last] = value
        error = await read(fields)
        if error is not None:
            assert "zebra" not in json.dumps(error.to_wire()).lower()
            assert error.code
            assert "wrong value or type" not in error.message
