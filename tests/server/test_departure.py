"""A client that leaves: whatever was done for it stops within a second."""

import asyncio
import logging
from contextlib import suppress
from urllib.parse import urlsplit

import pytest

from tests.fakes.vllm import DRAFT, Answer, FakeVLLM, Hang, Rule, Slow
from tests.server.gateway import SENT, Gateway

STAGES = {
    "draft": {"draft": Hang()},
    "rubric": {"rubric": Hang()},
    "judge": {"judge": Hang()},
}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(("step", "script"), STAGES.items(), ids=STAGES)
async def test_a_client_that_leaves_frees_the_model_server(
    gateway: Gateway,
    vllm: FakeVLLM,
    step: str,
    script: dict[str, Rule],
    stream: bool,  # noqa: FBT001
):
    vllm.script = dict(script)
    task = asyncio.create_task(gateway.chat(stream=stream))
    await vllm.arrives(step)
    await _leave(task)
    await vllm.idle(within=1)
    assert step in vllm.cancelled
    await _nothing_in_flight(gateway)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_a_client_of_draft_mode_that_leaves_before_the_first_byte_frees_the_model_server(
    gateway: Gateway,
    vllm: FakeVLLM,
    stream: bool,  # noqa: FBT001
):
    vllm.script["draft"] = Hang()
    task = asyncio.create_task(gateway.chat("draft", stream=stream))
    await vllm.arrives("draft")
    await _leave(task)
    await vllm.idle(within=1)
    assert vllm.cancelled == ["draft"]
    await _nothing_in_flight(gateway)


@pytest.mark.parametrize(
    ("mode", "wishes"),
    [("draft", {}), ("standard", {"expose": "reasoning"}), ("fast", {"expose": "reasoning"})],
)
async def test_a_client_that_leaves_midway_frees_the_model_server(
    gateway: Gateway, vllm: FakeVLLM, mode: str, wishes: dict[str, str]
):
    vllm.script["draft"] = Answer(text=f"{DRAFT} " * 50, pace=0.05)
    async with gateway.streaming(mode, revision=wishes) as response:
        while b"water" not in await response.content.readline():
            pass
        response.close()
    await vllm.idle(within=1)
    assert vllm.cancelled == ["draft"]
    await _nothing_in_flight(gateway)


async def test_a_client_that_leaves_between_pings_frees_the_model_server(
    gateway: Gateway, vllm: FakeVLLM
):
    vllm.script["judge"] = Hang()
    async with gateway.streaming() as response:
        while b"critique" not in await response.content.readline():
            pass
        await vllm.arrives("judge")
        response.close()
    await vllm.idle(within=1)
    assert "judge" in vllm.cancelled


@pytest.mark.parametrize("path", ["/v1/critiques", "/v1/revisions"])
async def test_a_client_that_leaves_a_review_frees_the_model_server(
    gateway: Gateway, vllm: FakeVLLM, path: str
):
    vllm.script["judge"] = Hang()
    body = {
        "model": "clinic-model",
        "messages": [{"role": "user", "content": "A headache?"}],
        "answer": DRAFT,
    }
    task = asyncio.create_task(gateway.post(path, body))
    await vllm.arrives("judge")
    await _leave(task)
    await vllm.idle(within=1)


async def test_a_client_that_stays_is_not_taken_for_one_that_left(gateway: Gateway, vllm: FakeVLLM):
    vllm.script["draft"] = Slow(seconds=0.5, reply=DRAFT)
    replies = await asyncio.gather(*(gateway.chat(stream=stream) for stream in (False, True)))
    assert [reply.status for reply in replies] == [200, 200]
    assert vllm.cancelled == []


async def test_a_client_that_leaves_is_counted_as_499(gateway: Gateway, vllm: FakeVLLM):
    vllm.script["draft"] = Hang()
    task = asyncio.create_task(gateway.chat())
    await vllm.arrives("draft")
    await _leave(task)
    await vllm.idle()
    await _nothing_in_flight(gateway)
    metrics = (await gateway.get("/metrics")).body.decode()
    route = 'route="/v1/chat/completions"'
    assert f'clinalign_http_responses_total{{{route},status="499"}} 1.0' in metrics


@pytest.mark.parametrize(
    "path", ["/v1/chat/completions", "/v1/critiques", "/v1/revisions", "/v1/principles/search"]
)
async def test_a_client_that_leaves_while_it_sends_is_counted_as_499_and_is_no_fault_of_ours(
    gateway: Gateway, path: str, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.INFO, logger="clinalign")
    host = urlsplit(gateway.url)
    _, writer = await asyncio.open_connection(host.hostname, host.port)
    head = f"POST {path} {SENT}content-length: 5000\r\n\r\n"
    writer.write(head.encode() + b'{"model": "clinic-model", "messages": [')
    await writer.drain()
    gauge = gateway.services.metrics.in_flight
    async with asyncio.timeout(2):
        while not gauge._value.get():  # noqa: ASYNC110  # a gauge tells nobody
            await asyncio.sleep(0.005)
    writer.close()
    await _nothing_in_flight(gateway)
    metrics = (await gateway.get("/metrics")).body.decode()
    assert f'clinalign_http_responses_total{{route="{path}",status="499"}} 1.0' in metrics
    assert "clinalign_clients_gone_total 1.0" in metrics
    assert "unhandled" not in caplog.text
    assert not [one for one in caplog.records if one.levelno >= logging.ERROR]


async def test_clients_that_left_are_counted(gateway: Gateway, vllm: FakeVLLM):
    vllm.script["draft"] = Hang()
    task = asyncio.create_task(gateway.chat())
    await vllm.arrives("draft")
    await _leave(task)
    await _nothing_in_flight(gateway)
    assert "clinalign_clients_gone_total 1.0" in (await gateway.get("/metrics")).body.decode()


async def _leave(task: asyncio.Task) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def _nothing_in_flight(gateway: Gateway) -> None:
    gauge = gateway.services.metrics.in_flight
    async with asyncio.timeout(1):
        while gauge._value.get():  # noqa: ASYNC110  # a gauge tells nobody
            await asyncio.sleep(0.005)
