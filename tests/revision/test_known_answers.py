"""The known answers tell a judge from one that only says yes."""

import asyncio

import pytest

from models.errors import ModelError, ModelTimeout, ModelUnavailable
from models.messages import Call, Completion
from models.scripted import ScriptedModel
from revision import known_answers
from revision.known_answers import CRITERIA, GOOD, Outcome, ask_known
from tests.revision.world import verdict

PRESENCE = "Is the following found"


def knowing(call: Call) -> Completion:
    """Judge rightly: the good answer satisfies all, the bad one nothing."""
    good = call.messages[-2].text == GOOD
    asks_for_presence = PRESENCE in call.messages[-1].text
    return verdict(0.97 if good is not asks_for_presence else 0.03)


class Slow(ScriptedModel):
    async def complete(self, call: Call) -> Completion:
        await asyncio.sleep(5)
        return await super().complete(call)


async def outcome_of(judge, retry="Well") -> Outcome:
    return await ask_known(ScriptedModel({"judge": judge, "judge-retry": lambda _: retry}))


async def test_a_judge_that_knows_passes_with_one_token_each():
    model = ScriptedModel({"judge": knowing})
    outcome = await ask_known(model, parallel=4)
    assert outcome == Outcome(right=10, wrong=0, unread=0)
    assert outcome.passed
    assert len(model.calls) == 2 * len(CRITERIA)
    assert all((call.max_tokens, call.thinks) == (1, False) for call in model.calls)


@pytest.mark.parametrize(
    "judge",
    [
        lambda _: verdict(0.99),
        lambda _: verdict(0.01),
        lambda _: verdict(0.5),
        lambda call: verdict(0.99 if PRESENCE in call.messages[-1].text else 0.01),
        lambda call: verdict(0.01 if PRESENCE in call.messages[-1].text else 0.99),
        lambda call: verdict(1 - (knowing(call).text == "yes")),
        lambda _: "Well",
    ],
    ids=["yes", "no", "either", "by question", "by question, too", "always wrong", "neither"],
)
async def test_a_judge_that_does_not_look_fails(judge):
    outcome = await outcome_of(judge)
    assert not outcome.passed
    assert outcome.right <= 5


@pytest.mark.parametrize(("slips", "passes"), [(1, True), (2, False)])
async def test_one_slip_is_forgiven_and_two_are_not(slips, passes):
    asked = iter(range(100))
    outcome = await outcome_of(lambda c: verdict(0.5) if next(asked) < slips else knowing(c))
    assert (outcome.wrong, outcome.passed) == (slips, passes)


async def test_a_judge_that_cannot_be_asked_has_not_failed():
    for error in (ModelUnavailable("down"), ModelTimeout("late")):

        def judge(_: Call, error: ModelError = error) -> Completion:
            raise error

        with pytest.raises(type(error)):
            await outcome_of(judge)


async def test_a_judge_that_is_too_slow_has_not_failed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(known_answers, "PROBE_S", 0.0)
    with pytest.raises(ModelTimeout):
        await ask_known(Slow({}))


def test_the_outcome_is_told_in_words():
    assert str(Outcome(right=10, wrong=0, unread=0)) == "10 of 10 known answers judged rightly"
    told = str(Outcome(right=4, wrong=3, unread=3))
    assert told == "4 of 10 known answers judged rightly, 3 without a verdict"
