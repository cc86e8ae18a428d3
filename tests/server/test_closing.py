"""I7: a hundred clients that hang up at any moment leave no call, no task and no socket behind."""

import asyncio
import json
import random
from collections.abc import Callable
from urllib.parse import urlsplit

import pytest

from tests.fakes.library import SIGNS
from tests.fakes.vllm import (
    DRAFT,
    REVISED,
    Answer,
    Body,
    FakeVLLM,
    Hang,
    Reply,
    Rule,
    Slow,
    lacks,
    proposal,
)
from tests.server.conftest import Opener
from tests.server.gateway import Gateway, asking

CLOSES = 100
LONGEST_S = 0.6
WITHIN_S = 1.0
UNMET = lacks(SIGNS, unless="stiff neck")

REPLIES = {
    "draft": lambda _: Answer(text=f"{DRAFT} " * 4, pace=0.005),
    "draft-2": lambda _: DRAFT,
    "draft-3": lambda _: DRAFT,
    "rubric": proposal,
    "judge": UNMET,
    "critique": lambda _: '{"findings": []}',
    "revise": lambda _: REVISED,
    "merge": lambda _: REVISED,
}
HANGS = {"judge": 0.04}
"""How likely a call never ends, so that nothing but a departure can end it; else a quarter."""


def moody(chance: random.Random) -> dict[str, Rule]:
    """Return a script whose every call is quick, slow or endless."""

    def rule(step: str, reply: Callable[[Body], Reply]) -> Callable[[Body], Reply]:
        def play(body: Body) -> Reply:
            if chance.random() < HANGS.get(step, 0.25):
                return Hang()
            return Slow(seconds=chance.random() * 0.1, reply=reply(body))

        return play

    return {step: rule(step, reply) for step, reply in REPLIES.items()}


def requests(chance: random.Random) -> bytes:
    mode = chance.choice(["draft", "fast", "standard", "standard", "thorough"])
    wishes = {"expose": "reasoning"} if chance.random() < 0.3 else {}
    body = asking(mode, stream=chance.random() < 0.5, revision=wishes)
    path = "/v1/chat/completions"
    if mode != "draft" and chance.random() < 0.2:
        path = chance.choice(["/v1/critiques", "/v1/revisions"])
        body = {key: body[key] for key in ("model", "messages", "revision")} | {"answer": DRAFT}
        body["revision"] = {"mode": mode}
    elif chance.random() < 0.2:
        path = "/v1/responses"
        body = {
            "model": body["model"],
            "input": body["messages"][0]["content"],
            "stream": body["stream"],
            "revision": {"mode": mode},
        }
    payload = json.dumps(body).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        f"content-length: {len(payload)}\r\n\r\n"
    )
    return head.encode() + payload


async def hang_up(gateway: Gateway, chance: random.Random) -> None:
    """Ask over a raw socket, read or not, and close at some moment, politely or by a reset."""
    host = urlsplit(gateway.url)
    reader, writer = await asyncio.open_connection(host.hostname, host.port)
    whole = requests(chance)
    if chance.random() < 0.1:
        whole = whole[: chance.randrange(1, len(whole))]
    writer.write(whole)
    leaves_at = asyncio.get_running_loop().time() + chance.random() * LONGEST_S
    try:
        async with asyncio.timeout_at(leaves_at):
            if chance.random() < 0.5:
                while await reader.read(64):
                    pass
            await asyncio.Event().wait()
    except (TimeoutError, ConnectionError):
        pass
    if chance.random() < 0.5:
        writer.transport.abort()
    else:
        writer.close()


def ours(before: set[asyncio.Task]) -> list[asyncio.Task]:
    """Return the tasks that were not there before, but for the fake server's connections."""
    return [
        task
        for task in asyncio.all_tasks() - before
        if task is not asyncio.current_task()
        and "aiohttp/web_protocol" not in str(task.get_coro().cr_code.co_filename)
    ]


async def nothing_left(gateway: Gateway, vllm: FakeVLLM, before: set[asyncio.Task]) -> None:
    gauge = gateway.services.metrics.in_flight
    clock = asyncio.get_running_loop().time
    started = clock()
    while vllm.in_flight or gauge._value.get() or ours(before):
        assert clock() - started < WITHIN_S, (vllm.in_flight, gauge._value.get(), ours(before))
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("seed", range(4))
async def test_clients_that_hang_up_at_any_moment_leave_nothing_behind(
    open_gateway: Opener, vllm: FakeVLLM, seed: int
):
    gateway = await open_gateway()
    await gateway.chat("draft")  # opens what stays open
    await vllm.idle()
    before = asyncio.all_tasks()
    chance = random.Random(seed)  # noqa: S311  # the moments, not a secret
    vllm.script |= moody(chance)
    for _ in range(CLOSES // 20):
        # Five at a time: more would wait for the processor and not for the model.
        await asyncio.gather(*(hang_up(gateway, chance) for _ in range(5)))
    await nothing_left(gateway, vllm, before)
    assert len(vllm.cancelled) > CLOSES // 20, "most of them left midway"
    vllm.script.clear()
    assert (await gateway.chat("fast")).outcome == ("clean", "all_met")


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_a_client_that_leaves_while_its_prompt_is_counted_frees_the_model_server(
    open_gateway: Opener,
    vllm: FakeVLLM,
    stream: bool,  # noqa: FBT001
):
    vllm.counting = "hang"
    vllm.context = 300
    gateway = await open_gateway()
    before = asyncio.all_tasks()
    task = asyncio.create_task(gateway.chat("fast", stream=stream))
    async with asyncio.timeout(5):
        while not vllm.counted:  # noqa: ASYNC110  # a list tells nobody
            await asyncio.sleep(0.005)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await nothing_left(gateway, vllm, before)


async def test_within_a_second_of_each_close_nothing_runs_for_that_client(
    open_gateway: Opener, vllm: FakeVLLM
):
    gateway = await open_gateway()
    await gateway.chat("draft")
    await vllm.idle()
    before = asyncio.all_tasks()
    chance = random.Random(7)  # noqa: S311  # the moments, not a secret
    vllm.script |= moody(chance)
    for _ in range(20):
        await hang_up(gateway, chance)
        await nothing_left(gateway, vllm, before)
