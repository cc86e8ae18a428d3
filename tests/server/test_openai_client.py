"""OpenAI's own client, with its answers validated strictly against its own types."""

import asyncio
from collections.abc import AsyncIterator

import openai
import pytest
from openai import AsyncOpenAI
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from models.retries import FLOOR, REFILL_S, SHARE
from server import errors
from tests.fakes.library import QUESTION, SIGNS
from tests.fakes.vllm import (
    DRAFT,
    MODEL,
    REVISED,
    Answer,
    FakeVLLM,
    Hang,
    Raw,
    Reply,
    Slow,
    Status,
    lacks,
)
from tests.server.gateway import Gateway

MESSAGES = [{"role": "user", "content": QUESTION}]
TOOL = {"id": "call_1", "type": "function", "function": {"name": "dose", "arguments": "{}"}}
MODELS = (MODEL, f"{MODEL}-fast", f"{MODEL}-thorough", f"{MODEL}-draft")


@pytest.fixture
async def client(gateway: Gateway) -> AsyncIterator[AsyncOpenAI]:
    async with gateway.openai() as opened:
        yield opened


@pytest.mark.parametrize("model", MODELS)
async def test_a_completion_is_of_openais_type(client: AsyncOpenAI, vllm: FakeVLLM, model: str):
    vllm.script["judge"] = lacks(SIGNS, unless="stiff neck")
    completion = await client.chat.completions.create(model=model, messages=MESSAGES)
    ChatCompletion.model_validate(completion.model_dump(), strict=True)
    choice = completion.choices[0]
    assert choice.finish_reason == "stop"
    assert DRAFT in (choice.message.content or "")
    assert completion.model_extra["revision"]["status"] in {"revised", "off"}


@pytest.mark.parametrize("model", MODELS)
async def test_a_stream_is_of_openais_type(client: AsyncOpenAI, vllm: FakeVLLM, model: str):
    vllm.script["judge"] = lacks(SIGNS, unless="stiff neck")
    stream = await client.chat.completions.create(
        model=model, messages=MESSAGES, stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]
    for chunk in chunks:
        ChatCompletionChunk.model_validate(chunk.model_dump(), strict=True)
    finished = [one for one in chunks if one.choices and one.choices[0].finish_reason]
    assert len(finished) == 1
    assert finished[0].model_extra["revision"]["status"] in {"revised", "off"}
    assert (chunks[-1].choices, chunks[-1].usage.total_tokens) == ([], sum(vllm.usage()))


async def test_the_stream_helper_puts_the_answer_together(client: AsyncOpenAI, vllm: FakeVLLM):
    vllm.script["judge"] = lacks(SIGNS, unless="stiff neck")
    async with client.chat.completions.stream(model=MODEL, messages=MESSAGES) as stream:
        final = await stream.get_final_completion()
    assert final.choices[0].message.content == REVISED


async def test_tool_calls_are_of_openais_type(client: AsyncOpenAI, vllm: FakeVLLM):
    vllm.script["draft"] = Answer(tool_calls=(TOOL,), finish_reason="tool_calls")
    tools = [{"type": "function", "function": {"name": "dose", "parameters": {"type": "object"}}}]
    for model in (MODEL, f"{MODEL}-draft"):
        whole = await client.chat.completions.create(model=model, messages=MESSAGES, tools=tools)
        assert whole.choices[0].message.tool_calls[0].function.name == "dose"
        async with client.chat.completions.stream(
            model=model, messages=MESSAGES, tools=tools
        ) as stream:
            final = await stream.get_final_completion()
        assert final.choices[0].message.tool_calls[0].id == "call_1"


async def test_the_extension_is_sent_in_the_extra_body(client: AsyncOpenAI, vllm: FakeVLLM):
    completion = await client.chat.completions.create(
        model=MODEL,
        messages=MESSAGES,
        extra_body={"revision": {"mode": "fast", "include": ["trace"]}},
    )
    assert completion.model_extra["revision"]["mode"] == "fast"
    assert completion.model_extra["revision"]["trace"]["draft"] == DRAFT
    assert not vllm.of("rubric")


async def test_the_models_are_of_openais_type(client: AsyncOpenAI):
    assert [model.id async for model in client.models.list()] == list(MODELS)
    assert (await client.models.retrieve(MODELS[1])).owned_by == "clinalign-serve"


@pytest.mark.parametrize(
    ("fault", "kind", "code"),
    [
        (Status(status=400), openai.BadRequestError, "upstream_rejected"),
        (Status(status=401), openai.InternalServerError, "upstream_misconfigured"),
        (Status(status=503), openai.InternalServerError, "upstream_unavailable"),
    ],
)
async def test_an_error_is_openais_error(
    client: AsyncOpenAI, vllm: FakeVLLM, fault: Status, kind: type[openai.APIStatusError], code: str
):
    vllm.script["draft"] = fault
    with pytest.raises(kind) as caught:
        await client.chat.completions.create(model=MODEL, messages=MESSAGES)
    assert caught.value.code == code
    assert caught.value.request_id


async def test_an_unknown_model_is_openais_not_found(client: AsyncOpenAI):
    with pytest.raises(openai.NotFoundError) as caught:
        await client.chat.completions.create(model="other", messages=MESSAGES)
    assert (caught.value.param, caught.value.code) == ("model", "model_not_found")


async def test_an_error_inside_a_stream_is_openais_error(client: AsyncOpenAI, vllm: FakeVLLM):
    vllm.script["draft"] = Slow(seconds=0.6, reply=Status(status=400))
    stream = await client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True)
    with pytest.raises(openai.APIError, match="refused the request"):
        _ = [chunk async for chunk in stream]


async def test_the_client_does_not_repeat_a_request_that_is_wrong(gateway: Gateway, vllm: FakeVLLM):
    vllm.script["draft"] = Status(status=400)
    async with gateway.openai().with_options(max_retries=2) as client:
        with pytest.raises(openai.BadRequestError):
            await client.chat.completions.create(model=MODEL, messages=MESSAGES)
    assert len(vllm.of("draft")) == 1


@pytest.mark.parametrize(
    ("draft", "status"),
    [
        (Answer(text=""), 502),
        (Raw(writes=(b"<html>",)), 502),
        (Hang(), 504),
        (Status(status=401), 502),
    ],
)
async def test_the_client_does_not_repeat_what_failed_for_good(
    gateway: Gateway, vllm: FakeVLLM, draft: Reply, status: int
):
    vllm.script["draft"] = draft
    async with gateway.openai().with_options(max_retries=2) as client:
        with pytest.raises(openai.APIStatusError) as caught:
            await client.chat.completions.create(
                model=f"{MODEL}-fast",
                messages=MESSAGES,
                extra_body={"revision": {"deadline_ms": 600}},
            )
    assert caught.value.status_code == status
    assert len(vllm.of("draft")) <= 2  # an empty draft is asked for once more by the gateway


async def test_the_client_s_and_the_gateway_s_retries_together_stay_bounded(
    gateway: Gateway, vllm: FakeVLLM, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(errors, "RETRY_AFTER_S", 0.01)
    vllm.script["draft"] = Status(status=500)
    clock = asyncio.get_running_loop().time
    began = clock()
    async with gateway.openai().with_options(max_retries=2) as client:

        async def ask() -> None:
            with pytest.raises(openai.InternalServerError):
                await client.chat.completions.create(model=f"{MODEL}-draft", messages=MESSAGES)

        await asyncio.gather(*(ask() for _ in range(8)))
    asked = 8 * 3
    budget = FLOOR + SHARE * asked + (clock() - began) / REFILL_S
    assert asked < len(vllm.of("draft")) <= asked + budget
