"""A model's context: its length, and a count of tokens in the server's own way."""

import asyncio

import pytest

from models.context import HELLO
from models.embedded import EmbeddedEngine
from models.errors import ContextOverflow
from models.messages import Call, Message
from models.openai_chat import OpenAIChatModel
from models.openai_http import OpenAIServer
from models.upstream_errors import refusal
from tests.fakes.vllm import MODEL, FakeVLLM, Hang, tokens_of

TALK = (
    Message(role="developer", content="Be kind."),
    Message(role="user", content="What helps a headache?"),
    Message(role="assistant", content="Rest."),
    Message(role="user", content="And then?"),
)


@pytest.mark.parametrize("counting", ["vllm", "llama.cpp"])
async def test_a_prompt_has_as_many_tokens_as_the_server_charges_for(vllm: FakeVLLM, counting: str):
    vllm.counting = counting
    async with OpenAIServer([vllm.url]) as server:
        model = OpenAIChatModel(server=server, name=MODEL)
        counted = await model.context.count(TALK, {}, "")
        charged = (await model.complete(Call(step="probe", messages=TALK))).usage.prompt_tokens
    assert counted == charged == 2 + 2 + 2 + 4 + 2 + 1 + 2 + 2


async def test_what_changes_the_template_is_counted_with_it(vllm: FakeVLLM):
    options = {"chat_template_kwargs": {"enable_thinking": False}, "top_k": 5}
    async with OpenAIServer([vllm.url]) as server:
        await server.context(MODEL).count(TALK, options, "")
    assert all(one["chat_template_kwargs"] == {"enable_thinking": False} for one in vllm.counted)
    assert all("top_k" not in one for one in vllm.counted)


async def test_how_a_server_counts_is_found_out_once_and_with_a_harmless_word(vllm: FakeVLLM):
    async with OpenAIServer([vllm.url]) as server:
        context = server.context(MODEL)
        counts = await asyncio.gather(*(context.count(TALK, {}, "") for _ in range(5)))
    assert len(set(counts)) == 1
    hello = [one for one in vllm.counted if one["messages"][0]["content"] == HELLO[0].content]
    assert (len(hello), len(vllm.counted)) == (1, 6)
    assert vllm.counted[0] is hello[0]


async def test_a_server_that_cannot_count_is_not_shown_the_conversation(vllm: FakeVLLM):
    vllm.counting = None
    async with OpenAIServer([vllm.url]) as server:
        context = server.context(MODEL)
        assert [await context.count(TALK, {}, "") for _ in range(3)] == [None] * 3
    assert len(vllm.counted) == 1
    assert "headache" not in str(vllm.counted)


async def test_the_length_is_asked_for_once_where_nobody_told_it(vllm: FakeVLLM):
    vllm.context = 4321
    async with OpenAIServer([vllm.url]) as server:
        context = server.context(MODEL)
        assert await context.length() == 4321
        vllm.models_reply = Hang()
        assert await context.length() == 4321
        assert server.context(MODEL) is context
        assert await asyncio.wait_for(server.context("other").length(), 3) is None


async def test_a_length_that_was_told_is_not_asked_for(vllm: FakeVLLM):
    vllm.models_reply = Hang()
    async with OpenAIServer([vllm.url]) as server:
        context = server.context(MODEL)
        for told in (100, None):
            context.tell(told)
            assert await context.length() == told


LLAMA = (
    b'{"error":{"code":400,"message":"request (9031 tokens) exceeds the available context size '
    b'(8192 tokens), try increasing it","type":"exceed_context_size_error","n_ctx":8192}}'
)


@pytest.mark.parametrize(
    ("body", "limit"),
    [
        (LLAMA, 8192),
        (b"This model's maximum context length is 4096 tokens. However, you", 4096),
        (b'{"error": {"message": "exceed_context_size", "n_ctx": "many"}}', None),
        (b'{"error": "context_length_exceeded"}', None),
        (b"context_length_exceeded", None),
        (b"maximum context length is 99999999999999999999 tokens", None),
    ],
)
def test_a_refusal_tells_the_limit_as_a_number_or_not_at_all(body: bytes, limit: int | None):
    error = refusal(400, {}, body)
    assert isinstance(error, ContextOverflow)
    assert error.limit == limit


@pytest.mark.engine
async def test_the_embedded_engine_counts_what_it_charges_for():
    async with (
        EmbeddedEngine() as engine,
        OpenAIServer([engine.url], api_key=engine.api_key) as server,
    ):
        (card,) = await server.models()
        model = OpenAIChatModel(server=server, name=card.id)
        counted = await model.context.count(TALK, {}, "")
        call = Call(step="probe", messages=TALK, max_tokens=1)
        assert counted == (await model.complete(call)).usage.prompt_tokens
        assert await model.context.length() == 8192


def test_the_fake_servers_count_is_known_here():
    assert tokens_of([{"content": "one two"}]) == 4
