"""How the time of a request is shared among its steps."""

import asyncio

import pytest

from models.messages import Call, Completion, Message, Usage
from revision.calls import Calls
from revision.errors import DeadlinePassed, ShareSpent
from revision.plan_time import SHARES, TimePlan


def plan(seconds: float = 100.0, *, begun_ago: float = 0.0) -> TimePlan:
    begins = asyncio.get_running_loop().time() - begun_ago
    return TimePlan(begins=begins, ends=begins + seconds)


async def test_the_draft_and_the_judge_may_take_all_that_is_left():
    time = plan()
    assert {time.ends_by(step) for step in ("draft", "judge", "judge-retry")} == {time.ends}


@pytest.mark.parametrize("step", SHARES)
async def test_what_has_a_substitute_ends_while_there_is_time_for_it(step: str):
    time = plan()
    assert time.begins < time.ends_by(step) <= time.begins + 50


async def test_a_revision_leaves_time_for_its_recheck_and_a_written_critique_for_both_and_more():
    time = plan()
    time.drafted(10)
    time.judged(3)
    assert time.ends_by("revise") == time.ends_by("merge") == time.ends - 3
    assert time.ends_by("critique") == pytest.approx(time.ends - 13 - 87 / 2, abs=0.1)


async def test_no_round_is_begun_that_cannot_be_finished():
    for begun_ago, has_time in ((80, True), (86.9, True), (87.1, False), (101, False)):
        time = plan(begun_ago=begun_ago)
        time.drafted(10)
        time.judged(3)
        assert time.has_time_for_round() is has_time


async def test_the_slowest_judging_counts():
    time = plan()
    time.judged(5)
    time.judged(1)
    assert time.ends_by("revise") == time.ends - 5


class Endless:
    name = "endless"

    def __init__(self):
        self.asked = []

    async def complete(self, call):
        self.asked.append(call.step)
        if call.step != "draft":
            await asyncio.sleep(60)
        return Completion(text="x", finish_reason="stop", usage=Usage())

    async def stream(self, call):
        raise NotImplementedError
        yield


def calls_of(model, seconds: float) -> Calls:
    deadline = asyncio.get_running_loop().time() + seconds
    return Calls(writer=model, judge=model, deadline=deadline)


def asking(step: str) -> Call:
    return Call(step=step, messages=(Message(role="user", content="x"),))


async def test_a_step_that_overruns_its_share_ends_and_the_others_go_on():
    calls = calls_of(Endless(), 0.5)
    with pytest.raises(ShareSpent):
        await calls.write("rubric", asking("rubric"))
    assert calls.time_left() > 0.2
    assert (await calls.write("draft", asking("draft"))).text == "x"


async def test_a_call_whose_time_is_over_is_never_made():
    model = Endless()
    calls = calls_of(model, 0.3)
    calls.time.judged(1.0)
    with pytest.raises(ShareSpent):
        await calls.write("revise", asking("revise"))
    calls = calls_of(model, -1)
    with pytest.raises(DeadlinePassed) as error:
        await calls.write("draft", asking("draft"))
    assert not isinstance(error.value, ShareSpent)
    assert model.asked == []
    assert calls.records == []
