"""A request that is sent again while it is being answered joins its first copy."""

import asyncio
from contextlib import suppress

import pytest
from openai import AsyncOpenAI

from server.repeats import LINGER_S
from tests.fakes.vllm import DRAFT, MODEL, FakeVLLM, Slow, Status
from tests.server.gateway import CHAT, Gateway, Reply, asking

KEY = {"idempotency-key": "one"}


async def ask(gateway: Gateway, *, path: str = CHAT, **headers: str) -> Reply:
    return await gateway.post(path, asking(), **{**KEY, **headers})


async def test_twenty_copies_at_once_cost_one_loop_and_get_one_answer(
    gateway: Gateway, vllm: FakeVLLM
):
    vllm.script["draft"] = Slow(seconds=0.2, reply=DRAFT)
    replies = await asyncio.gather(*(ask(gateway) for _ in range(20)))
    assert {reply.status for reply in replies} == {200}
    assert len({reply.body for reply in replies}) == 1
    assert len({reply.headers["x-revision-id"] for reply in replies}) == 1
    assert len({reply.headers["x-request-id"] for reply in replies}) == 20
    assert len(vllm.of("draft")) == 1


async def test_a_failure_is_shared_too(gateway: Gateway, vllm: FakeVLLM):
    vllm.script["draft"] = Slow(seconds=0.2, reply=Status(status=400))
    replies = await asyncio.gather(*(ask(gateway) for _ in range(3)))
    assert {reply.status for reply in replies} == {400}
    assert len({reply.headers["x-revision-id"] for reply in replies}) == 1
    assert len(vllm.of("draft")) == 1


@pytest.mark.parametrize(
    "other",
    [
        {"headers": {"idempotency-key": "two"}},
        {"headers": {**KEY, "authorization": "Bearer somebody-else"}},
        {"headers": KEY, "json": asking(seed=7)},
        {"headers": KEY, "json": asking(stream=True)},
        {"headers": {}},
    ],
    ids=["another key", "another tenant", "another body", "a stream", "no key"],
)
async def test_what_is_not_the_same_request_gets_a_loop_of_its_own(
    gateway: Gateway, vllm: FakeVLLM, other: dict
):
    vllm.script["draft"] = Slow(seconds=0.2, reply=DRAFT)
    replies = await asyncio.gather(
        ask(gateway), gateway.request("POST", CHAT, **{"json": asking(), **other})
    )
    assert {reply.status for reply in replies} == {200}
    assert len(vllm.of("draft")) == 2


async def test_nothing_is_kept_once_the_answer_was_given(gateway: Gateway, vllm: FakeVLLM):
    first, second = await ask(gateway), await ask(gateway)
    assert first.headers["x-revision-id"] != second.headers["x-revision-id"]
    assert len(vllm.of("draft")) == 2
    assert gateway.services.repeats._shared == {}


async def test_the_first_one_may_leave_and_the_others_still_get_the_answer(
    gateway: Gateway, vllm: FakeVLLM
):
    vllm.script["draft"] = Slow(seconds=1.5, reply=DRAFT)
    first = asyncio.create_task(ask(gateway))
    await vllm.arrives("draft")
    second = asyncio.create_task(ask(gateway))
    await asyncio.sleep(0.05)
    await _leave(first)
    assert (await second).status == 200
    assert len(vllm.of("draft")) == 1


async def test_when_all_have_left_the_work_ends_within_a_second(gateway: Gateway, vllm: FakeVLLM):
    vllm.script["draft"] = Slow(seconds=30, reply=DRAFT)
    tasks = [asyncio.create_task(ask(gateway)) for _ in range(2)]
    await vllm.arrives("draft")
    for task in tasks:
        await _leave(task)
    await vllm.idle(within=1)
    assert vllm.cancelled == ["draft"]
    assert gateway.services.repeats._shared == {}


async def test_an_answer_that_is_ready_in_the_moment_between_is_given_to_who_comes_back(
    gateway: Gateway, vllm: FakeVLLM
):
    vllm.script["draft"] = Slow(seconds=LINGER_S / 2, reply=DRAFT)
    first = asyncio.create_task(ask(gateway))
    await vllm.arrives("draft")
    await _leave(first)
    await asyncio.sleep(LINGER_S * 0.8)
    assert (await ask(gateway)).status == 200
    assert len(vllm.of("draft")) == 1


async def test_the_retry_of_openai_s_client_after_its_timeout_joins(
    gateway: Gateway, vllm: FakeVLLM
):
    vllm.script["draft"] = Slow(seconds=1.6, reply=DRAFT)
    async with AsyncOpenAI(
        base_url=f"{gateway.url}/v1", api_key="k", max_retries=1, timeout=1.0
    ) as client:
        answer = await client.chat.completions.create(
            model=MODEL,
            messages=[{"role": "user", "content": "A headache?"}],
            extra_headers=KEY,
        )
    assert answer.choices[0].message.content == DRAFT
    assert len(vllm.of("draft")) == 1


async def _leave(task: asyncio.Task) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
