"""Several replicas on real sockets: one dies, hangs, comes back, or serves another model."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from models import probing, replica
from models.errors import ModelError, ModelOverloaded, ModelRejected, ModelUnavailable
from models.messages import Call, Completion, Message
from models.openai_chat import OpenAIChatModel
from models.openai_http import OpenAIServer
from models.retries import FLOOR
from tests.fakes.vllm import DRAFT, MODEL, Answer, FakeVLLM, Hang, Slow, Status

SILENCE_S = 0.3


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probing, "PROBE_S", 0.3)
    monkeypatch.setattr(probing, "TICK_S", 0.02)
    monkeypatch.setattr(replica, "FIRST_PAUSE_S", 0.1)


def ask(affinity: str = "talk", *, within: float = 10.0) -> Call:
    deadline = asyncio.get_running_loop().time() + within
    words = (Message(role="user", content="A headache?"),)
    return Call(step="draft", messages=words, affinity=affinity, deadline=deadline)


@asynccontextmanager
async def two(first: FakeVLLM) -> AsyncIterator[tuple[OpenAIServer, OpenAIChatModel, FakeVLLM]]:
    async with (
        FakeVLLM() as second,
        OpenAIServer([first.url, second.url], silence_s=SILENCE_S) as server,
    ):
        yield server, OpenAIChatModel(server=server, name=MODEL), second


async def until(holds: Callable[[], bool], within: float = 5.0) -> None:
    async with asyncio.timeout(within):
        while not holds():  # noqa: ASYNC110  # what holds is not one event
            await asyncio.sleep(0.01)


def of_server(server: OpenAIServer, fake: FakeVLLM) -> replica.Replica:
    return next(one for one in server.replicas.all if one.url == fake.url)


async def test_when_one_of_two_dies_under_load_no_whole_call_fails(vllm: FakeVLLM):
    async with two(vllm) as (_, model, other):
        for fake in (vllm, other):
            fake.script["draft"] = Slow(seconds=0.1, reply=DRAFT)

        async def talk(number: int) -> list[Completion]:
            return [await model.complete(ask(f"talk-{number}")) for _ in range(4)]

        talks = [asyncio.create_task(talk(number)) for number in range(40)]
        await until(lambda: vllm.in_flight > 10)
        await vllm.stop()
        replies = await asyncio.gather(*talks)
        assert {reply.text for some in replies for reply in some} == {DRAFT}
        assert {len(some) for some in replies} == {4}


async def test_a_stream_on_the_one_that_dies_fails_and_one_on_the_other_does_not(vllm: FakeVLLM):
    async with two(vllm) as (_, model, other):
        for fake in (vllm, other):
            fake.script["draft"] = Answer(text=f"{DRAFT} " * 3, pace=0.02)

        async def read(number: int) -> str:
            try:
                return [one async for one in model.stream(ask(f"talk-{number}"))][-1].text
            except ModelUnavailable:
                return "broken"

        streams = [asyncio.create_task(read(number)) for number in range(10)]
        await until(lambda: vllm.in_flight == other.in_flight == 5)
        await asyncio.sleep(0.1)
        await vllm.stop()
        ends = await asyncio.gather(*streams)
        assert ends.count("broken") == 5
        assert sum(DRAFT in end for end in ends) == 5


async def test_a_replica_that_hangs_with_a_healthy_list_of_models_goes_out_and_its_calls_move(
    vllm: FakeVLLM,
):
    async with two(vllm) as (server, model, other):
        vllm.script["draft"] = vllm.script["probe"] = Hang()
        replies = await asyncio.gather(
            *(model.complete(ask(f"talk-{number}")) for number in range(20))
        )
        assert {reply.text for reply in replies} == {DRAFT}
        assert vllm.of("draft")
        assert of_server(server, vllm).is_out
        assert not of_server(server, other).is_out
        vllm.requests.clear()
        await asyncio.gather(*(model.complete(ask(f"new-{number}")) for number in range(20)))
        assert not vllm.of("draft")  # no client's call is spent on finding out


async def test_a_replica_that_is_slow_and_not_dead_stays_in(vllm: FakeVLLM):
    async with two(vllm) as (server, model, other):
        vllm.script["draft"] = other.script["draft"] = Slow(seconds=4 * SILENCE_S, reply=DRAFT)
        replies = await asyncio.gather(
            *(model.complete(ask(f"talk-{number}")) for number in range(6))
        )
        assert {reply.text for reply in replies} == {DRAFT}
        assert vllm.of("probe")
        assert other.of("probe")
        assert not any(one.is_out for one in server.replicas.all)
        assert len(vllm.of("draft")) + len(other.of("draft")) == 6


async def test_one_slow_list_of_models_puts_nobody_out(vllm: FakeVLLM):
    async with two(vllm) as (server, _, _other):
        vllm.models_reply = Hang()
        assert [card.id for card in await server.models()] == [MODEL]
        assert not any(one.is_out for one in server.replicas.all)


async def test_a_replica_that_comes_back_is_probed_and_gets_calls_again(vllm: FakeVLLM):
    async with two(vllm) as (server, model, other):
        await vllm.stop()
        await asyncio.gather(*(model.complete(ask(f"talk-{number}")) for number in range(4)))
        gone = of_server(server, vllm)
        assert gone.is_out
        vllm.requests.clear()
        await vllm.__aenter__()
        await until(lambda: not gone.is_out)
        assert [one.step for one in vllm.requests] == ["probe"]
        other.script["draft"] = vllm.script["draft"] = Slow(seconds=0.1, reply=DRAFT)
        await asyncio.gather(*(model.complete(ask(f"new-{number}")) for number in range(8)))
        assert vllm.of("draft")


async def test_a_replica_that_comes_back_with_another_model_stays_out(vllm: FakeVLLM):
    async with two(vllm) as (server, model, _other):
        await server.models()
        await vllm.stop()
        await asyncio.gather(*(model.complete(ask(f"talk-{number}")) for number in range(4)))
        vllm.models = ["another-model"]
        vllm.requests.clear()
        await vllm.__aenter__()
        await asyncio.sleep(0.6)
        assert of_server(server, vllm).is_out
        assert vllm.requests == []


async def test_a_wrong_model_behind_a_replica_is_noticed_by_its_list(vllm: FakeVLLM):
    async with two(vllm) as (server, model, other):
        vllm.models = ["another-model"]
        await server.models()
        await asyncio.gather(*(model.complete(ask(f"talk-{number}")) for number in range(8)))
        assert len(other.of("draft")) == 8
        assert not vllm.of("draft")


async def test_a_wrong_model_behind_a_replica_is_noticed_by_its_refusal(vllm: FakeVLLM):
    async with two(vllm) as (server, model, _other):
        await server.models()
        vllm.models = ["another-model"]
        replies = await asyncio.gather(
            *(model.complete(ask(f"talk-{number}")) for number in range(8))
        )
        assert {reply.text for reply in replies} == {DRAFT}
        vllm.requests.clear()
        await model.complete(ask("one more"))
        assert not vllm.of("draft")


async def test_a_model_that_nobody_has_is_refused_as_such(vllm: FakeVLLM):
    async with two(vllm) as (server, _, _other):
        with pytest.raises(ModelRejected) as caught:
            await OpenAIChatModel(server=server, name="nobody-has-it").complete(ask())
        assert caught.value.status == 404


async def test_all_steps_of_a_request_go_to_one_replica(vllm: FakeVLLM):
    async with two(vllm) as (_, model, other):
        for fake in (vllm, other):
            fake.script["draft"] = Slow(seconds=0.02, reply=DRAFT)

        async def talk(name: str) -> None:
            for _ in range(5):
                await model.complete(ask(name))

        await asyncio.gather(*(talk(f"talk-{number}") for number in range(8)))
        assert len(vllm.of("draft")) == len(other.of("draft")) == 20


async def test_retries_stay_within_their_budget(vllm: FakeVLLM):
    vllm.script["draft"] = Status(status=500)
    async with OpenAIServer([vllm.url]) as server:
        model = OpenAIChatModel(server=server, name=MODEL)
        calls = 100
        ends = await asyncio.gather(
            *(model.complete(ask()) for _ in range(calls)), return_exceptions=True
        )
        assert all(isinstance(end, ModelUnavailable) for end in ends)
        assert calls < len(vllm.of("draft")) <= calls + calls * 0.1 + FLOOR + 2


async def test_a_pause_that_one_call_was_asked_for_is_kept_by_all(vllm: FakeVLLM):
    vllm.script["draft"] = [Status(status=429, headers={"retry-after": "0.5"}), *[DRAFT] * 5]
    async with OpenAIServer([vllm.url]) as server:
        model = OpenAIChatModel(server=server, name=MODEL)
        first = asyncio.create_task(model.complete(ask()))
        await vllm.arrives("draft")
        await asyncio.sleep(0.1)
        others = [asyncio.create_task(model.complete(ask())) for _ in range(4)]
        await asyncio.sleep(0.2)
        assert len(vllm.of("draft")) == 1
        replies = await asyncio.gather(first, *others)
        assert {reply.text for reply in replies} == {DRAFT}


async def test_no_retry_begins_that_the_deadline_would_cut_off(vllm: FakeVLLM):
    vllm.script["draft"] = Status(status=429, headers={"retry-after": "2"})
    async with OpenAIServer([vllm.url]) as server:
        model = OpenAIChatModel(server=server, name=MODEL)
        with pytest.raises(ModelOverloaded):
            await model.complete(ask(within=1.0))
        with pytest.raises(ModelError):
            await model.complete(ask(within=1.0))
        assert len(vllm.of("draft")) == 1
