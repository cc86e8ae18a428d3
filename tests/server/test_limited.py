"""A gateway whose keys have limits: what clients are told, and what a request is charged with."""

import asyncio
import json
from pathlib import Path

import pytest
from openai import AsyncOpenAI, RateLimitError

from models import sse
from server.keys.key import KeyLimits
from tests.fakes.library import SIGNS
from tests.fakes.vllm import DRAFT, MODEL, FakeVLLM, Raw, Slow, lacks
from tests.server.conftest import Opener
from tests.server.gateway import CHAT, Gateway, asking
from tests.server.keyed import bearing, issue
from tests.server.services import running_redis

MANY = 10**6


async def limited(open_gateway: Opener, folder: Path, **limits: int) -> tuple[Gateway, str]:
    key = await issue(folder, "chat", "critique", limits=KeyLimits(**limits))
    return await open_gateway(), key


def charged(gateway: Gateway) -> int:
    """Return what is counted of all keys' tokens."""
    own = gateway.services.rates.counts._own
    return sum(count for name, count in own.storage.items() if ":tokens:" in name)


async def settled(gateway: Gateway, tokens: int) -> None:
    """Check that the keys are charged with so much, soon: a response ends before its charge."""
    for _ in range(200):
        if charged(gateway) == tokens:
            return
        await asyncio.sleep(0.01)
    assert charged(gateway) == tokens


async def test_a_client_is_told_what_is_left_and_then_to_wait(open_gateway: Opener, tmp_path: Path):
    gateway, key = await limited(
        open_gateway, tmp_path, requests_per_minute=2, tokens_per_minute=MANY
    )
    reply = await gateway.post(CHAT, asking("draft"), **bearing(key))
    assert reply.status == 200
    assert reply.headers["x-ratelimit-limit-requests"] == "2"
    assert reply.headers["x-ratelimit-remaining-requests"] == "1"
    assert reply.headers["x-ratelimit-limit-tokens"] == str(MANY)
    assert 0 < int(reply.headers["x-ratelimit-remaining-tokens"]) < MANY
    assert reply.headers["x-ratelimit-reset-tokens"].endswith("s")
    await gateway.request("GET", "/v1/models", headers=bearing(key))
    reply = await gateway.post(CHAT, asking("draft"), **bearing(key))
    assert (reply.status, reply.error["type"]) == (429, "requests")
    assert reply.error["code"] == "rate_limit_exceeded"
    assert 1 <= int(reply.headers["retry-after"]) <= 60
    assert reply.headers["x-should-retry"] == "true"
    assert reply.headers["x-ratelimit-remaining-requests"] == "0"
    async with AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key=key, max_retries=0) as client:
        with pytest.raises(RateLimitError):
            await client.models.list()
    told = (await gateway.get("/metrics")).body
    assert b'clinalign_refusals_total{reason="requests"} 2.0' in told


async def test_hidden_calls_are_charged(open_gateway: Opener, vllm: FakeVLLM, tmp_path: Path):
    vllm.script["judge"] = lacks(SIGNS, unless="stiff neck")
    gateway, key = await limited(open_gateway, tmp_path, tokens_per_minute=MANY)
    for path, body in (
        (CHAT, asking()),
        ("/v1/critiques", asking(answer=DRAFT)),
        ("/v1/responses", {"model": MODEL, "input": "What helps?"}),
        (CHAT, asking("draft")),
        ("/v1/completions", {"model": MODEL, "prompt": "x"}),
        ("/v1/embeddings", {"model": MODEL, "input": "x"}),
    ):
        before = charged(gateway)
        reply = await gateway.post(path, body, **bearing(key))
        assert reply.status == 200
        told = reply.json["usage"]
        assert told["total_tokens"] > 0
        await settled(gateway, before + told["total_tokens"])


@pytest.mark.parametrize("mode", ["draft", "standard"])
async def test_a_stream_is_charged_as_its_whole(
    open_gateway: Opener, vllm: FakeVLLM, tmp_path: Path, mode: str
):
    gateway, key = await limited(open_gateway, tmp_path, tokens_per_minute=MANY)
    body = asking(mode, stream=True, stream_options={"include_usage": True})
    options = {"json": body, "headers": bearing(key)}
    async with gateway.session.post(gateway.url + CHAT, **options) as response:
        assert "x-ratelimit-remaining-tokens" in response.headers
        told = [sse.data_of(frame) async for frame in sse.frames(response.content.iter_any())]
    usage = [json.loads(one) for one in told if one and one != sse.DONE][-1]["usage"]
    await settled(gateway, usage["total_tokens"])


async def test_a_streamed_text_is_charged_although_its_client_wants_no_usage(
    open_gateway: Opener, vllm: FakeVLLM, tmp_path: Path
):
    end = b'data: {"choices": [{"index": 0, "text": "a", "finish_reason": "stop"}]}\n\n'
    cost = b'data: {"choices": [], "usage": {"prompt_tokens": 30, "completion_tokens": 12}}\n\n'
    writes = (end, cost, b"data: [DONE]\n\n")
    vllm.script["completions"] = Raw(writes=writes, content_type="text/event-stream")
    gateway, key = await limited(open_gateway, tmp_path, tokens_per_minute=MANY)
    body = {"model": MODEL, "prompt": "x", "stream": True}
    reply = await gateway.post("/v1/completions", body, **bearing(key))
    assert b"usage" not in reply.body
    assert vllm.requests[-1].body["stream_options"] == {"include_usage": True}
    await settled(gateway, 42)


async def test_a_failed_request_gives_back_what_was_set_aside(
    open_gateway: Opener, vllm: FakeVLLM, tmp_path: Path
):
    gateway, key = await limited(open_gateway, tmp_path, tokens_per_minute=MANY, at_once=1)
    for _ in range(3):
        reply = await gateway.post(CHAT, asking(messages=[]), **bearing(key))
        assert reply.status == 400
        await vllm.stop()
        reply = await gateway.post(CHAT, asking("draft"), **bearing(key))
        assert reply.status == 503
    await settled(gateway, 0)


async def test_a_key_at_its_most_at_once_is_told_so_and_another_goes_on(
    open_gateway: Opener, vllm: FakeVLLM, tmp_path: Path
):
    vllm.script["draft"] = Slow(seconds=0.7, reply=DRAFT)
    other = await issue(tmp_path, "chat")
    gateway, key = await limited(open_gateway, tmp_path, at_once=2)
    running = [
        asyncio.create_task(gateway.post(CHAT, asking("draft"), **bearing(key))) for _ in range(2)
    ]
    await asyncio.sleep(0.3)
    refused = await gateway.post(CHAT, asking("draft"), **bearing(key))
    assert (refused.status, refused.error["code"]) == (429, "rate_limit_exceeded")
    assert "2 requests at once" in refused.error["message"]
    assert (await gateway.post(CHAT, asking("draft"), **bearing(other))).status == 200
    assert [(await one).status for one in running] == [200, 200]
    assert (await gateway.post(CHAT, asking("draft"), **bearing(key))).status == 200


async def test_a_repetition_that_outlives_its_first_request_is_charged_once_and_in_full(
    open_gateway: Opener, vllm: FakeVLLM, tmp_path: Path
):
    vllm.script["draft"] = Slow(seconds=0.6, reply=DRAFT)
    gateway, key = await limited(open_gateway, tmp_path, tokens_per_minute=MANY)
    headers = {**bearing(key), "idempotency-key": "one"}
    first = asyncio.create_task(gateway.post(CHAT, asking("fast"), **headers))
    await asyncio.sleep(0.2)
    second = asyncio.create_task(gateway.post(CHAT, asking("fast"), **headers))
    await asyncio.sleep(0.1)
    first.cancel()
    reply = await second
    assert reply.status == 200
    assert len(vllm.of("draft")) == 1
    await settled(gateway, reply.json["usage"]["total_tokens"])


async def test_gateways_that_share_a_redis_share_the_limits(open_gateway: Opener, tmp_path: Path):
    key = await issue(tmp_path, "chat", limits=KeyLimits(requests_per_minute=3))
    async with running_redis() as redis:
        gateways = [await open_gateway(limits_url=redis.url) for _ in range(2)]
        statuses = [
            (await gateways[number % 2].request("GET", "/v1/models", headers=bearing(key))).status
            for number in range(5)
        ]
        assert statuses == [200, 200, 200, 429, 429]
        redis.stop()
        reply = await gateways[0].request("GET", "/v1/models", headers=bearing(key))
        assert reply.status == 200
        assert b"clinalign_limits_counted_alone 1.0" in (await gateways[0].get("/metrics")).body
