"""The calls of a request: deadline, cost, seeds."""

import asyncio

import pytest

from models.errors import MalformedReply, ModelTimeout, ModelUnavailable
from models.messages import Call, Completion, Delta, Message, Usage
from models.scripted import ScriptedModel
from revision.calls import Calls, total_usage, usage_by_step
from revision.errors import DeadlinePassed

CALL = Call(step="draft", messages=(Message(role="user", content="one two three"),))


def calls_of(model, *, deadline_s=5.0, seed=None, parallel=4):
    deadline = asyncio.get_running_loop().time() + deadline_s
    return Calls(writer=model, judge=model, deadline=deadline, seed=seed, parallel=parallel)


class Slow:
    name = "slow"

    def __init__(self):
        self.running = self.most = 0

    async def complete(self, call):
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await asyncio.sleep(0.05)
        finally:
            self.running -= 1
        return Completion(text="done", finish_reason="stop", usage=Usage(completion_tokens=1))

    async def stream(self, call):
        yield Delta(text="a")
        await asyncio.sleep(60)


async def test_every_call_is_booked_under_its_step():
    calls = calls_of(ScriptedModel({"draft": ["a b"], "judge": ["yes"]}))
    await calls.write("draft", CALL)
    await calls.judge(Call(step="judge", messages=CALL.messages))
    spent = usage_by_step(calls.records)
    assert spent["draft"] == Usage(prompt_tokens=3, completion_tokens=2)
    assert spent["critique"] == Usage(prompt_tokens=3, completion_tokens=1)
    assert total_usage(calls.records).total_tokens == 9


async def test_a_failed_call_is_booked_with_its_error():
    calls = calls_of(ScriptedModel({"draft": [ModelUnavailable("down")]}))
    with pytest.raises(ModelUnavailable):
        await calls.write("draft", CALL)
    assert calls.records[0].error == "ModelUnavailable"


async def test_nothing_outlives_the_deadline():
    calls = calls_of(Slow(), deadline_s=0.01)
    with pytest.raises(DeadlinePassed):
        await calls.write("draft", CALL)
    assert calls.time_left() == 0


async def test_a_stream_that_stalls_ends_at_the_deadline():
    calls = calls_of(Slow(), deadline_s=0.1)
    seen = []
    with pytest.raises(DeadlinePassed):
        async for piece in calls.stream("draft", CALL):
            seen.append(piece)  # noqa: PERF401  # what came before the end counts
    assert seen == [Delta(text="a")]


async def test_the_models_own_timeout_is_no_deadline_while_there_is_time():
    calls = calls_of(ScriptedModel({"draft": [ModelTimeout("late")]}))
    with pytest.raises(ModelTimeout):
        await calls.write("draft", CALL)


async def test_no_more_judgements_at_once_than_allowed():
    model = Slow()
    calls = calls_of(model, parallel=3)
    await asyncio.gather(*(calls.judge(CALL) for _ in range(12)))
    assert model.most == 3


async def test_each_call_gets_a_seed_of_its_own_and_the_same_one_every_time():
    async def seeds(seed):
        model = ScriptedModel({"draft": lambda _: "x", "revise": lambda _: "y"})
        calls = calls_of(model, seed=seed)
        for step in ("draft", "draft", "revise"):
            await calls.write("draft", Call(step=step, messages=CALL.messages))
        return [call.seed for call in model.calls]

    assert await seeds(7) == await seeds(7)
    assert len(set(await seeds(7))) == 3
    assert await seeds(7) != await seeds(8)
    assert await seeds(None) == [None, None, None]


async def test_a_failed_call_costs_what_the_server_said():
    spent = Usage(prompt_tokens=100, completion_tokens=50)
    calls = calls_of(ScriptedModel({"draft": [MalformedReply("odd", spent=spent)] * 2}))
    with pytest.raises(MalformedReply):
        await calls.write("draft", CALL)
    with pytest.raises(MalformedReply):
        _ = [piece async for piece in calls.stream("draft", CALL)]
    assert total_usage(calls.records) == spent + spent
