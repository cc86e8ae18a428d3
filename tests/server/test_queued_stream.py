"""A stream that waits to be let in: refused at the door with a real status, told of life after."""

import asyncio

import pytest

from tests.fakes.vllm import DRAFT, FakeVLLM
from tests.server.conftest import Opener
from tests.server.gateway import asking

ROLE = {"role": "assistant", "content": ""}


async def held(open_gateway: Opener, **wishes: object):
    """Return a gateway whose only slot is taken, and what gives it back."""
    gateway = await open_gateway(calls_at_once=1, ping_s=0.1, **wishes)
    return gateway, await gateway.services.admission.enter("holder")


@pytest.mark.parametrize("mode", ["draft", "fast", "standard", "thorough"])
async def test_the_first_byte_does_not_wait_for_the_queue(open_gateway: Opener, mode: str):
    gateway, holder = await held(open_gateway)
    asked = asyncio.create_task(gateway.stream(mode))
    await asyncio.sleep(1.2)
    holder.close()
    stream = await asked
    assert stream.status == 200
    assert stream.at[0] < 1.0
    assert stream.text == DRAFT
    if mode == "draft":
        assert stream.comments[0] == "draft"
    else:
        assert stream.deltas[0] == ROLE
        assert set(stream.comments[:3]) == {"queue"}
    gaps = [later - sooner for sooner, later in zip(stream.at, stream.at[1:], strict=False)]
    assert max(gaps) < 0.5


async def test_a_response_is_begun_while_it_waits(open_gateway: Opener):
    gateway, holder = await held(open_gateway)
    body = asking("fast", stream=True)
    body["input"] = body.pop("messages")
    first = []

    async def ask() -> bytes:
        async with gateway.session.post(f"{gateway.url}/v1/responses", json=body) as response:
            first.append(await response.content.readany())
            return first[0] + await response.read()

    asked = asyncio.create_task(ask())
    await asyncio.sleep(0.9)
    assert b"response.created" in first[0]
    holder.close()
    assert b"response.completed" in await asked


@pytest.mark.parametrize("mode", ["draft", "fast"])
async def test_who_is_refused_at_the_door_gets_a_real_status(open_gateway: Opener, mode: str):
    gateway, holder = await held(open_gateway, queue_length=0)
    stream = await gateway.stream(mode)
    assert stream.status == 503
    assert int(stream.headers["retry-after"]) >= 1
    holder.close()


@pytest.mark.parametrize(("mode", "queue_s"), [("draft", 0.05), ("fast", 0.3)])
async def test_who_is_turned_away_soon_gets_a_real_status_too(
    open_gateway: Opener, mode: str, queue_s: float
):
    gateway, holder = await held(open_gateway, queue_s=queue_s)
    assert (await gateway.stream(mode)).status == 503
    holder.close()


@pytest.mark.parametrize("mode", ["draft", "fast"])
async def test_who_is_turned_away_late_gets_an_error_frame_and_the_end(
    open_gateway: Opener, mode: str, vllm: FakeVLLM
):
    gateway, holder = await held(open_gateway, queue_s=0.9)
    stream = await gateway.stream(mode)
    assert stream.status == 200
    assert stream.chunks[-1]["error"]["code"] == "overloaded"
    assert stream.data[-1] == b"[DONE]"
    assert not stream.finishing
    assert vllm.requests == []
    holder.close()


@pytest.mark.parametrize("mode", ["draft", "fast"])
@pytest.mark.parametrize("after_s", [0.1, 0.9])
async def test_who_leaves_the_queue_leaves_nothing_behind(
    open_gateway: Opener, vllm: FakeVLLM, mode: str, after_s: float
):
    gateway, holder = await held(open_gateway)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(after_s):
            await gateway.stream(mode)
    async with asyncio.timeout(1):
        while gateway.services.admission.waiting:  # noqa: ASYNC110  # it tells nobody
            await asyncio.sleep(0.01)
    holder.close()
    await asyncio.sleep(0.05)
    assert gateway.services.admission.running == 0
    assert vllm.requests == []
