"""Reading verdicts: from one token, else once more, else not at all."""

import math

import pytest

from models.errors import ModelTimeout, ModelUnavailable
from models.messages import Completion
from revision.critique import Verdict
from revision.errors import JudgeUnfit, StepBroke, Unparsable
from revision.judge import judge
from revision.rubric import Criterion, Rubric
from tests.revision.world import World, criterion, verdict

RUBRIC = Rubric(criteria=(Criterion(text="Says A", points=5),), made_by="retrieval")
FORBID = Rubric(criteria=(Criterion(text="Says A", points=5, kind="forbid"),), made_by="retrieval")


async def judged(script, rubric=RUBRIC):
    world = World(script, [criterion("A")])
    critique = await judge(world.steps().case, "the answer", rubric)
    return world, critique


@pytest.mark.parametrize(
    ("odds", "rubric", "expected"),
    [
        (0.95, RUBRIC, Verdict.MET),
        (0.05, RUBRIC, Verdict.UNMET),
        (0.5, RUBRIC, Verdict.UNCLEAR),
        (0.95, FORBID, Verdict.UNMET),
        (0.05, FORBID, Verdict.MET),
        (0.5, FORBID, Verdict.UNCLEAR),
    ],
)
async def test_the_side_follows_from_the_odds(odds, rubric, expected):
    _, critique = await judged({"judge": [verdict(odds)]}, rubric)
    assert critique.judgements[0].verdict is expected


def leaning_elsewhere(yes, no):
    shares = {"yes": yes, "no": no, "It": 1 - yes - no}
    logs = {token: math.log(share) for token, share in shares.items() if share > 0}
    return Completion(text="yes", finish_reason="length", first_token=logs)


@pytest.mark.parametrize(
    "first",
    [
        "Well",
        " Yes.",  # a word without its probability
        leaning_elsewhere(0.89, 0.0),
        leaning_elsewhere(0.5, 0.39),
        leaning_elsewhere(0.01, 0.01),
    ],
)
async def test_a_judgement_below_nine_tenths_does_not_count_and_is_asked_once_more_as_json(first):
    world, critique = await judged({"judge": [first], "judge-retry": ['{"verdict": "no"}']})
    assert critique.judgements[0].verdict is Verdict.UNMET
    assert [call.step for call in world.model.calls] == ["judge", "judge-retry"]
    assert world.model.calls[1].schema is not None


async def test_a_judgement_of_nine_tenths_counts():
    world, critique = await judged({"judge": [leaning_elsewhere(0.9, 0.01)]})
    assert critique.judgements[0].verdict is Verdict.MET
    assert len(world.model.calls) == 1


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "yes",
        "{}",
        "[]",
        "null",
        '"yes"',
        '{"verdict": "maybe"}',
        '{"verdict": true}',
        '{"verdict": ["yes"]}',
        '{"verdict": "yes"',
        '{"VERDICT": "yes"}',
        "The requirement is satisfied.",
        'It claims {"verdict": "yes"}.',
        '{"verdict": "yes"} {"verdict": "no"}',
        '{"verdict": "no", "verdict": "yes"}',
        '<think>{"verdict": "yes"}',
        Completion(text='{"verdict": "yes"}', finish_reason="length"),
    ],
)
async def test_a_verdict_that_cannot_be_read_is_none(reply):
    _, critique = await judged({"judge": ["Well"], "judge-retry": [reply]})
    assert not critique.complete
    assert not critique.all_met
    assert isinstance(critique.failure, Unparsable)


@pytest.mark.parametrize(
    "reply",
    [
        ' {"verdict":"no"}\n',
        '```json\n{"verdict": "no"}\n```',
        '<think>{"verdict": "yes"}?</think>\n{"verdict": "no"}',
    ],
)
async def test_a_verdict_in_a_fence_or_after_thinking_is_read(reply):
    _, critique = await judged({"judge": ["Well"], "judge-retry": [reply]})
    assert critique.judgements[0].verdict is Verdict.UNMET


async def test_a_failed_call_is_told_and_the_other_verdicts_are_kept():
    both = Rubric(criteria=(*RUBRIC.criteria, *RUBRIC.criteria), made_by="retrieval")
    _, critique = await judged({"judge": [ModelUnavailable("down"), verdict(0.9)]}, both)
    assert [one.judged for one in critique.judgements] == [False, True]
    assert isinstance(critique.failure, ModelUnavailable)


async def test_what_the_model_failed_at_beats_what_it_said_badly():
    both = Rubric(criteria=(*RUBRIC.criteria, *RUBRIC.criteria), made_by="retrieval")
    script = {"judge": ["Well", ModelTimeout("late")], "judge-retry": ["?"]}
    _, critique = await judged(script, both)
    assert isinstance(critique.failure, ModelTimeout)


async def test_a_judgement_costs_one_token_and_asks_for_probabilities():
    world, _ = await judged({"judge": [verdict(0.9)]})
    call = world.model.calls[0]
    assert (call.max_tokens, call.temperature, call.top_logprobs) == (1, 0.0, 20)
    assert call.thinks is False
    assert [turn.role for turn in call.messages] == ["user", "assistant", "user"]


@pytest.mark.parametrize("error", [StepBroke("ours"), JudgeUnfit("never asked")])
async def test_a_failure_of_any_kind_is_told_and_the_known_kinds_come_first(error):
    both = Rubric(criteria=(*RUBRIC.criteria, *RUBRIC.criteria), made_by="retrieval")
    _, critique = await judged({"judge": [error, error]}, both)
    assert critique.failure is error
    _, critique = await judged({"judge": [error, ModelTimeout("late")]}, both)
    assert isinstance(critique.failure, ModelTimeout)
