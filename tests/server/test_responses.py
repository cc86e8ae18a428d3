"""`POST /v1/responses`: what comes back, whole and streamed."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI
from pydantic import BaseModel

from server.event_stream import pieces
from tests.fakes.library import QUESTION, SIGNS
from tests.fakes.vllm import (
    DRAFT,
    MODEL,
    REVISED,
    Answer,
    Cut,
    ErrorInStream,
    FakeVLLM,
    Hang,
    Raw,
    Slow,
    Status,
    Unfinished,
    lacks,
    overflow,
)
from tests.server.conftest import Opener
from tests.server.gateway import Gateway
from tests.server.responses_wire import (
    PATH,
    ask,
    asking,
    post,
    stream,
    without_ids,
)

MODES = ("standard", "fast", "thorough", "draft")
CALLS = (
    {"id": "call_1", "type": "function", "function": {"name": "dose", "arguments": '{"kg": 12}'}},
    {"id": "call_2", "type": "function", "function": {"name": "age", "arguments": "{}"}},
)
TOOLS = [
    {"type": "function", "name": name, "parameters": {"type": "object"}, "strict": False}
    for name in ("dose", "age")
]
CALLING = Answer(text="Let me look.", tool_calls=CALLS, finish_reason="tool_calls")
MESSAGE_EVENTS = ["output_item.added", "content_part.added"]
MESSAGE_DONE = ["output_text.done", "content_part.done", "output_item.done"]


@pytest.fixture
async def client(gateway: Gateway) -> AsyncIterator[AsyncOpenAI]:
    async with gateway.openai() as opened:
        yield opened


def texts(response: Mapping[str, Any]) -> list[str]:
    return [
        part["text"]
        for item in response["output"]
        if item["type"] == "message"
        for part in item["content"]
    ]


@pytest.mark.parametrize("mode", MODES)
async def test_a_response_is_of_openais_form_and_has_the_extension(
    gateway: Gateway, vllm: FakeVLLM, mode: str
):
    vllm.script["judge"] = lacks(SIGNS, unless="stiff neck")
    response = await ask(gateway, mode)
    (item,) = response["output"]
    assert (item["type"], item["role"], item["status"]) == ("message", "assistant", "completed")
    assert (response["status"], response["model"]) == ("completed", MODEL)
    assert response["id"].startswith("resp_")
    assert response["revision"]["mode"] == mode
    expected = DRAFT if mode == "draft" else REVISED
    assert texts(response)[0].startswith(expected)


@pytest.mark.parametrize("mode", MODES)
async def test_a_stream_says_the_same_as_the_whole(gateway: Gateway, vllm: FakeVLLM, mode: str):
    vllm.script["judge"] = lacks(SIGNS, unless="stiff neck")
    whole = await ask(gateway, mode)
    streamed = await stream(gateway, mode)
    assert streamed.text == texts(whole)[0]
    assert without_ids(streamed.last["output"]) == without_ids(whole["output"])
    assert streamed.last["status"] == "completed"
    assert streamed.last["revision"]["status"] == whole["revision"]["status"]
    assert streamed.last["usage"] == whole["usage"]


async def test_a_stream_tells_each_step_of_an_answer_in_order(gateway: Gateway):
    streamed = await stream(gateway)
    deltas = ["output_text.delta"] * len(list(pieces(DRAFT)))
    assert streamed.kinds == [
        *("created", "in_progress"),
        *MESSAGE_EVENTS,
        *deltas,
        *MESSAGE_DONE,
        "completed",
    ]
    first = streamed.events[0]["response"]
    assert (first["status"], first["output"], first["usage"]) == ("in_progress", [], None)
    assert {event["response"]["id"] for event in streamed.events if "response" in event} == {
        first["id"]
    }


async def test_the_usage_counts_every_hidden_call(gateway: Gateway, vllm: FakeVLLM):
    vllm.script["judge"] = lacks(SIGNS, unless="stiff neck")
    usage = (await ask(gateway))["usage"]
    prompt, completion = vllm.usage()
    assert (usage["input_tokens"], usage["output_tokens"]) == (prompt, completion)
    assert usage["total_tokens"] == prompt + completion


async def test_the_headers_are_those_of_a_chat_completion(gateway: Gateway):
    whole = await post(gateway)
    assert whole.headers["x-revision-id"] == whole.revision["id"]
    assert whole.headers["x-revision-status"] == "clean"
    assert whole.headers["x-request-id"].startswith("req_")
    assert whole.headers["content-type"] == "application/json"
    streamed = await stream(gateway)
    assert streamed.headers["x-revision-id"] == streamed.last["revision"]["id"]
    assert streamed.headers["x-request-id"].startswith("req_")
    assert streamed.headers["content-type"].startswith("text/event-stream")


async def test_the_response_is_created_before_the_answer_and_pings_name_the_stage(
    open_gateway: Opener, vllm: FakeVLLM
):
    vllm.script["rubric"] = Slow(seconds=1.2, reply="none")
    gateway = await open_gateway(ping_s=0.2)
    streamed = await stream(gateway)
    created, added = streamed.at[0], streamed.at[streamed.kinds.index("output_item.added")]
    assert created < 0.9
    assert added > 1.1
    assert any(comment.startswith("draft") for comment in streamed.comments)
    assert any(comment.startswith("critique") for comment in streamed.comments)


async def test_a_draft_comes_word_by_word(gateway: Gateway, vllm: FakeVLLM):
    vllm.script["draft"] = Answer(text=DRAFT, pace=0.05)
    streamed = await stream(gateway, "draft")
    deltas = [
        at
        for at, kind in zip(streamed.at, streamed.kinds, strict=True)
        if kind == "output_text.delta"
    ]
    assert len(deltas) == len(DRAFT.split())
    assert deltas[-1] - deltas[0] > 0.3
    assert streamed.last["revision"]["status"] == "off"


@pytest.mark.parametrize("mode", ["standard", "draft"])
async def test_tool_calls_are_items_of_their_own(gateway: Gateway, vllm: FakeVLLM, mode: str):
    vllm.script["draft"] = CALLING
    whole = await ask(gateway, mode, tools=TOOLS, tool_choice="auto")
    message, *calls = whole["output"]
    assert texts(whole) == ["Let me look."]
    assert message["status"] == "completed"
    assert [(one["call_id"], one["name"], one["arguments"]) for one in calls] == [
        ("call_1", "dose", '{"kg": 12}'),
        ("call_2", "age", "{}"),
    ]
    streamed = await stream(gateway, mode, tools=TOOLS, tool_choice="auto")
    assert streamed.last["output"][1]["arguments"] == '{"kg": 12}'
    assert without_ids(streamed.last["output"]) == without_ids(whole["output"])
    told = "".join(
        event["delta"]
        for event in streamed.of("function_call_arguments.delta")
        if event["output_index"] == 1
    )
    assert told == '{"kg": 12}'
    whole_arguments = [one["arguments"] for one in streamed.of("function_call_arguments.done")]
    assert whole_arguments == ['{"kg": 12}', "{}"]
    assert streamed.kinds[-1] == "completed"
    sent = vllm.of("draft")[0].body["tools"][0]["function"]
    assert sent == {"name": "dose", "parameters": {"type": "object"}, "strict": False}


@pytest.mark.parametrize("mode", ["standard", "draft"])
@pytest.mark.parametrize(
    ("finish", "reason"), [("length", "max_output_tokens"), ("content_filter", "content_filter")]
)
async def test_a_truncated_answer_is_incomplete_and_says_why(
    gateway: Gateway, vllm: FakeVLLM, mode: str, finish: str, reason: str
):
    vllm.script["draft"] = Answer(text=DRAFT, finish_reason=finish)
    vllm.script["revise"] = Answer(text=DRAFT, finish_reason=finish)
    whole = await ask(gateway, mode, max_output_tokens=9)
    assert (whole["status"], whole["incomplete_details"]) == ("incomplete", {"reason": reason})
    assert whole["output"][0]["status"] == "incomplete"
    assert vllm.of("draft")[0].body.get("max_tokens", 9) == 9
    streamed = await stream(gateway, mode)
    assert streamed.kinds[-1] == "incomplete"
    assert streamed.last["incomplete_details"] == {"reason": reason}
    assert streamed.last["revision"]["id"]


async def test_the_live_draft_is_a_reasoning_item_before_the_answer(
    gateway: Gateway, vllm: FakeVLLM
):
    vllm.script["judge"] = lacks(SIGNS, unless="stiff neck")
    wish = {"expose": "reasoning"}
    whole = await ask(gateway, revision=wish)
    streamed = await stream(gateway, revision=wish)
    for response in (whole, streamed.last):
        reasoning, message = response["output"]
        assert (reasoning["type"], reasoning["content"][0]["text"]) == ("reasoning", DRAFT)
        assert message["content"][0]["text"] == REVISED
    assert "reasoning_text.delta" in streamed.kinds
    assert streamed.text == REVISED


async def test_a_models_own_reasoning_never_stands_in_the_answer(gateway: Gateway, vllm: FakeVLLM):
    vllm.script["draft"] = Answer(text=DRAFT, reasoning="It thinks.")
    whole = await ask(gateway, "draft")
    assert [item["type"] for item in whole["output"]] == ["reasoning", "message"]
    assert texts(whole) == [DRAFT]
    streamed = await stream(gateway, "draft")
    assert without_ids(streamed.last["output"]) == without_ids(whole["output"])


async def test_a_response_repeats_its_request(gateway: Gateway):
    response = await ask(
        gateway,
        instructions="Be brief.",
        temperature=0.5,
        top_p=0.9,
        metadata={"ward": "7"},
        max_output_tokens=99,
        tools=TOOLS,
        tool_choice={"type": "function", "name": "age"},
        parallel_tool_calls=False,
        reasoning={"effort": "low"},
        truncation="auto",
        store=False,
        user="someone",
    )
    assert response["instructions"] == "Be brief."
    assert (response["temperature"], response["top_p"]) == (0.5, 0.9)
    assert (response["metadata"], response["max_output_tokens"]) == ({"ward": "7"}, 99)
    assert [tool["name"] for tool in response["tools"]] == ["dose", "age"]
    assert response["tool_choice"] == {"type": "function", "name": "age"}
    assert response["parallel_tool_calls"] is False
    assert response["reasoning"]["effort"] == "low"
    assert response["truncation"] == "disabled"


@pytest.mark.parametrize("mode", ["standard", "draft"])
@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (Status(status=400), (400, "upstream_rejected")),
        (Status(status=503), (503, "upstream_unavailable")),
        (overflow(), (400, "context_length_exceeded")),
        (Cut(headers=False), (503, "upstream_unavailable")),
    ],
)
@pytest.mark.parametrize("streamed", [False, True])
async def test_a_failure_before_the_first_byte_keeps_its_status(
    gateway: Gateway,
    vllm: FakeVLLM,
    mode: str,
    fault: object,
    told: tuple[int, str],
    streamed: bool,  # noqa: FBT001
):
    vllm.script["draft"] = fault
    reply = await post(gateway, mode, stream=streamed)
    assert (reply.status, reply.error["code"]) == told


@pytest.mark.parametrize(
    "fault",
    [
        Unfinished(text="Rest "),
        ErrorInStream(text="Rest "),
        Cut(text="Rest "),
        Raw(writes=(b'data: {"choices": [{"delta": {"content": "Rest "}}]}\n\n', b"data: x\n\n")),
        Raw(
            writes=(
                b'data: {"choices": [{"delta": {"content": "Rest "}}]}\n\n',
                b'data: {"error": {"message": "zebra"}, "choices": []}\n\n',
                b"data: [DONE]\n\n",
            )
        ),
    ],
)
async def test_what_breaks_midway_ends_in_a_failed_response(
    gateway: Gateway, vllm: FakeVLLM, fault: object
):
    vllm.script["draft"] = fault
    streamed = await stream(gateway, "draft")
    assert streamed.kinds[-1] == "failed"
    assert streamed.last["status"] == "failed"
    assert streamed.last["error"]["code"] == "server_error"
    assert streamed.last["output"][0]["status"] == "incomplete"
    told = str(streamed.events)
    assert QUESTION not in told
    assert "zebra" not in told


async def test_a_late_failure_of_a_reviewed_stream_is_a_failed_response(
    gateway: Gateway, vllm: FakeVLLM
):
    vllm.script["draft"] = Slow(seconds=0.6, reply=Status(status=400))
    streamed = await stream(gateway)
    assert streamed.kinds == ["created", "in_progress", "failed"]
    assert streamed.last["error"]["code"] == "invalid_prompt"
    assert "refused the request" in streamed.last["error"]["message"]


@pytest.mark.parametrize("body", [b'{"error": {"message": "zebra"}}', b'{"choices": []}', b"[]"])
async def test_an_upstreams_failure_told_as_a_success_is_a_failure(
    gateway: Gateway, vllm: FakeVLLM, body: bytes
):
    vllm.script["draft"] = Raw(writes=(body,))
    reply = await post(gateway, "draft")
    assert reply.status in {502, 503}
    assert "zebra" not in reply.error["message"]


@pytest.mark.parametrize("mode", ["standard", "draft"])
@pytest.mark.parametrize("streamed", [False, True])
async def test_a_client_that_leaves_stops_the_model(
    gateway: Gateway,
    vllm: FakeVLLM,
    mode: str,
    streamed: bool,  # noqa: FBT001
):
    vllm.script["draft"] = Hang()
    asked = asyncio.create_task(post(gateway, mode, stream=streamed))
    await vllm.arrives("draft")
    asked.cancel()
    await asyncio.gather(asked, return_exceptions=True)
    await vllm.idle()
    assert "draft" in vllm.cancelled


async def test_a_frontends_side_request_takes_one_plain_call(gateway: Gateway, vllm: FakeVLLM):
    headers = {"x-openwebui-task": "title_generation"}
    reply = await gateway.post(PATH, asking(), **headers)
    assert reply.outcome == ("off", "bypass")
    assert len(vllm.requests) == 1


async def test_the_operators_wish_about_degraded_answers_holds_here_too(
    open_gateway: Opener, vllm: FakeVLLM
):
    vllm.script |= dict.fromkeys(("judge", "judge-retry"), Status(status=400))
    noticed = await ask(await open_gateway(on_degraded="notice"))
    assert "not fully checked" in texts(noticed)[0]
    refused = await open_gateway(on_degraded="error")
    assert (await post(refused)).error["code"] == "review_degraded"
    assert (await stream(refused)).kinds[-1] == "failed"


# OpenAI's own client


@pytest.mark.parametrize("model", [MODEL, f"{MODEL}-draft"])
async def test_openais_client_creates_a_response(client: AsyncOpenAI, model: str):
    response = await client.responses.create(model=model, input=QUESTION)
    assert (response.output_text, response.model) == (DRAFT, model)
    assert response.model_extra["revision"]["id"].startswith("rev_")
    stream = await client.responses.create(model=model, input=QUESTION, stream=True)
    events = [event async for event in stream]
    assert events[-1].response.output_text == DRAFT


@pytest.mark.parametrize("model", [MODEL, f"{MODEL}-draft"])
async def test_openais_stream_helper_puts_a_response_together(
    client: AsyncOpenAI, vllm: FakeVLLM, model: str
):
    vllm.script["draft"] = CALLING
    async with client.responses.stream(model=model, input=QUESTION, tools=TOOLS) as stream:
        seen = [event async for event in stream]
        final = await stream.get_final_response()
    assert final.output_text == "Let me look."
    assert [item.type for item in final.output] == ["message", "function_call", "function_call"]
    snapshots = [event.snapshot for event in seen if event.type == "response.output_text.delta"]
    assert snapshots[-1] == "Let me look."


class Advice(BaseModel):
    advice: str


async def test_openais_client_parses_an_answer_in_the_form_it_asked_for(
    client: AsyncOpenAI, vllm: FakeVLLM
):
    vllm.script["draft"] = '{"advice": "Rest."}'
    parsed = await client.responses.parse(model=MODEL, input=QUESTION, text_format=Advice)
    assert parsed.output_parsed == Advice(advice="Rest.")
    sent = vllm.of("draft")[0].body["response_format"]
    assert sent["json_schema"]["schema"]["properties"].keys() == {"advice"}
    async with client.responses.stream(model=MODEL, input=QUESTION, text_format=Advice) as stream:
        assert (await stream.get_final_response()).output_parsed == Advice(advice="Rest.")


async def test_what_a_response_says_can_be_sent_back_as_input(client: AsyncOpenAI, vllm: FakeVLLM):
    vllm.script["draft"] = [CALLING, DRAFT]
    first = await client.responses.create(
        model=MODEL, input=QUESTION, tools=TOOLS, extra_body={"revision": {"expose": "reasoning"}}
    )
    results = [
        {"type": "function_call_output", "call_id": item.call_id, "output": "3"}
        for item in first.output
        if item.type == "function_call"
    ]
    second = await client.responses.create(
        model=MODEL,
        input=[{"role": "user", "content": QUESTION}, *first.output, *results],
        tools=TOOLS,
    )
    assert second.output_text.startswith(DRAFT)
    assert second.model_extra["revision"]["status"] == "clean"
    roles = [turn["role"] for turn in vllm.of("draft")[1].body["messages"]]
    assert roles == ["user", "assistant", "tool", "tool"]


async def test_openais_client_gets_openais_errors(client: AsyncOpenAI):
    with pytest.raises(openai.BadRequestError) as caught:
        await client.responses.create(model=MODEL, input=QUESTION, previous_response_id="resp_1")
    assert caught.value.param == "previous_response_id"
    with pytest.raises(openai.NotFoundError):
        await client.responses.create(model="other", input=QUESTION)
