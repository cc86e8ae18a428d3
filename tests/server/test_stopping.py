"""SIGTERM, twice, and SIGKILL: the gateway as a process of its own."""

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from models import sse
from tests.cli.program import environment
from tests.fakes.vllm import DRAFT, MODEL, Answer, FakeVLLM, Hang, Slow
from tests.server.gateway import Gateway as InProcess

ROOT = Path(__file__).parent.parent.parent
PROGRAM = "from server.cli import main; main()"
BODY = {"model": f"{MODEL}-draft", "messages": [{"role": "user", "content": "A headache?"}]}

pytestmark = pytest.mark.timeout(120)


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """The gateway and a client for it."""

    child: asyncio.subprocess.Process
    url: str
    session: aiohttp.ClientSession

    async def ready(self) -> dict:
        async with self.session.get(f"{self.url}/readyz") as response:
            return {"status": response.status, **await response.json()}

    async def ask(self, **fields: object) -> tuple[int, dict]:
        body = {**BODY, **fields}
        async with self.session.post(f"{self.url}/v1/chat/completions", json=body) as response:
            return response.status, await response.json()

    async def stream(self) -> list[bytes]:
        body = {**BODY, "stream": True}
        async with self.session.post(f"{self.url}/v1/chat/completions", json=body) as response:
            frames = [one async for one in sse.frames(response.content.iter_any())]
        return [data for one in frames if (data := sse.data_of(one))]

    async def ended(self, *, within: float) -> int:
        async with asyncio.timeout(within):
            return await self.child.wait()


Starter = Callable[..., Awaitable[Process]]


@pytest.fixture
async def start(vllm: FakeVLLM, tmp_path: Path) -> AsyncIterator[Starter]:
    async with AsyncExitStack() as stack:

        async def start_it(**wishes: object) -> Process:
            return await stack.enter_async_context(process(vllm, tmp_path, **wishes))

        yield start_it


@asynccontextmanager
async def process(vllm: FakeVLLM, folder: Path, **wishes: object) -> AsyncIterator[Process]:
    port = int(wishes.pop("port", 0)) or free_port()
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PROGRAM, "serve", "--upstream", vllm.url, "--port", str(port)),
        cwd=ROOT,
        env=environment(folder, {name.upper(): str(value) for name, value in wishes.items()}),
        stderr=asyncio.subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:
            await answers(session, f"{url}/healthz", child)
            yield Process(child=child, url=url, session=session)
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()


async def answers(
    session: aiohttp.ClientSession, url: str, child: asyncio.subprocess.Process
) -> None:
    async with asyncio.timeout(60):
        while child.returncode is None:
            try:
                async with session.get(url):
                    return
            except aiohttp.ClientConnectionError:
                await asyncio.sleep(0.1)
    raise AssertionError("the gateway did not start")


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


async def stopping(gateway: Process) -> dict:
    """Send SIGTERM and wait until `/readyz` tells of it."""
    gateway.child.send_signal(signal.SIGTERM)
    async with asyncio.timeout(3):
        while "stopping" not in (state := await gateway.ready())["problems"]:  # noqa: ASYNC110  # a process
            await asyncio.sleep(0.02)
    return state


async def test_an_idle_gateway_ends_at_once_with_status_0(start: Starter):
    gateway = await start()
    assert "stopping" not in (await gateway.ready())["problems"]
    gateway.child.send_signal(signal.SIGTERM)
    assert await gateway.ended(within=4) == 0


async def test_what_runs_is_finished_and_nothing_new_begins(start: Starter, vllm: FakeVLLM):
    gateway = await start()
    vllm.script["draft"] = Slow(seconds=2, reply=DRAFT)
    running = asyncio.create_task(gateway.ask())
    await vllm.arrives("draft")
    state = await stopping(gateway)
    assert (state["status"], state["ready"]) == (503, False)
    status, refused = await gateway.ask(seed=1)
    assert (status, refused["error"]["code"]) == (503, "stopping")
    status, answer = await running
    assert (status, answer["choices"][0]["message"]["content"]) == (200, DRAFT)
    assert await gateway.ended(within=4) == 0
    assert len(vllm.of("draft")) == 1


async def test_after_the_grace_what_runs_is_handed_back_and_the_status_is_0(
    start: Starter, vllm: FakeVLLM
):
    gateway = await start(shutdown_s=0.5)
    vllm.script["draft"] = [Hang(), Answer(text="word " * 1000, pace=0.02)]
    whole = asyncio.create_task(gateway.ask())
    await vllm.arrives("draft")
    stream = asyncio.create_task(gateway.stream())
    await asyncio.sleep(0.3)
    await stopping(gateway)
    status, body = await whole
    assert (status, body["error"]["code"]) == (503, "upstream_unavailable")
    *_, error, done = await stream
    assert "error" in json.loads(error)
    assert done == sse.DONE
    assert await gateway.ended(within=5) == 0
    await vllm.idle()


async def test_a_second_signal_ends_it_at_once(start: Starter, vllm: FakeVLLM):
    gateway = await start(shutdown_s=60)
    vllm.script["draft"] = Hang()
    running = asyncio.create_task(gateway.ask())
    await vllm.arrives("draft")
    await stopping(gateway)
    gateway.child.send_signal(signal.SIGTERM)
    assert await gateway.ended(within=5) == 1
    with pytest.raises(aiohttp.ClientError):
        await running
    await vllm.idle()


async def test_a_killed_gateway_leaves_nothing_that_stops_the_next_start(
    start: Starter, vllm: FakeVLLM
):
    port = free_port()
    for _ in range(3):
        vllm.script["draft"] = Hang()
        gateway = await start(port=port)
        running = asyncio.create_task(gateway.ask())
        await vllm.arrives("draft")
        os.kill(gateway.child.pid, signal.SIGKILL)
        assert await gateway.ended(within=5) == -signal.SIGKILL
        with pytest.raises(aiohttp.ClientError):
            await running
        vllm.requests.clear()
    vllm.script["draft"] = DRAFT
    gateway = await start(port=port)
    assert (await gateway.ask())[0] == 200


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_a_review_that_is_handed_back_gives_its_draft(
    gateway: InProcess,
    vllm: FakeVLLM,
    stream: bool,  # noqa: FBT001
):
    vllm.script["judge"] = Hang()
    task = asyncio.create_task(gateway.stream() if stream else gateway.chat())
    await vllm.arrives("judge")
    gateway.services.admission.hand_back()
    reply = await task
    assert reply.status == 200
    assert reply.text == DRAFT
    assert (reply.revision["status"], reply.revision["stop_reason"]) == (
        "unreviewed",
        "model_error",
    )
    await vllm.idle()


async def test_a_request_in_the_queue_is_turned_away_when_the_gateway_stops(
    open_gateway: Callable[..., Awaitable[InProcess]],
):
    gateway = await open_gateway(calls_at_once=1)
    await gateway.services.admission.enter("holder")
    task = asyncio.create_task(gateway.chat())
    while not gateway.services.admission.waiting:  # noqa: ASYNC110  # a queue tells nobody
        await asyncio.sleep(0.001)
    gateway.services.admission.close()
    reply = await task
    assert (reply.status, reply.error["code"]) == (503, "stopping")
    assert "retry-after" in reply.headers
