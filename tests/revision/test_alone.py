"""What is new in a candidate is judged on its own, and what that may cost."""

import pytest

from models.errors import ModelUnavailable
from revision.events import Decided
from tests.revision.world import World, criterion, verdict

A, B, C, D = map(criterion, "ABCD")
DRAFT = "[A] Rest and drink."
NEW = "[A][B] Rest and drink. Take 40 mg of it."


def world(*alone, candidate=NEW, **more):
    script = {"draft": [DRAFT], "revise": [candidate], "alone": list(alone)}
    return World(script | more.pop("script", {}), [A, B], **more)


async def decided(of: World) -> Decided:
    return next(event for event in await of.run() if isinstance(event, Decided))


async def test_a_new_dose_that_is_confirmed_stands():
    of = world(verdict(0.9))
    review = await of.review()
    assert (review.status, review.best.answer.text) == ("revised", NEW)
    assert len(of.asked("alone")) == 1


@pytest.mark.parametrize("leaning", [0.0, 0.4, 0.59])
async def test_a_new_dose_that_is_not_confirmed_falls_before_the_re_check(leaning):
    of = world(verdict(leaning))
    found = await decided(of)
    assert (found.objection, found.critique) == ("new and not confirmed", None)
    assert len(of.asked("judge")) == 2  # of the draft alone


async def test_the_question_shows_the_statement_and_what_is_new_beside_the_candidate():
    of = world(verdict(0.9), candidate=NEW.replace("it.", "ibuprofen."))
    await of.review()
    call = of.asked("alone")[0]
    assert "- Take 40 mg of ibuprofen. (new: ibuprofen, 40 mg)" in call.messages[-1].text
    assert call.messages[-2].text.startswith("[A][B]")


async def test_a_candidate_with_nothing_new_costs_no_further_call():
    of = world(candidate="[A][B] Rest and drink.")
    assert (await of.review()).status == "revised"
    assert not of.asked("alone")


async def test_what_the_user_said_is_not_new():
    of = world(question="I was given 40 mg. What should I say?")
    assert (await of.review()).status == "revised"
    assert not of.asked("alone")


async def test_a_judge_that_says_neither_confirms_nothing():
    of = world("perhaps", script={"alone-retry": ["{}"]})
    assert (await decided(of)).objection == "could not be judged"


async def test_a_judge_that_is_down_leaves_the_draft():
    review = await world(ModelUnavailable("down")).review()
    assert (review.status, review.stop_reason) == ("kept_draft", "model_error")


MORE = ("[B]", "[B][C]", "[B][C][D]")
STANDARD = [("standard", rounds) for rounds in (1, 2, 3)]
THOROUGH = [("thorough", rounds) for rounds in (1, 2, 3)]


@pytest.mark.parametrize(("mode", "rounds"), [("fast", 1), *STANDARD, *THOROUGH])
async def test_judging_what_is_new_keeps_to_the_bound_on_hidden_calls(mode, rounds):
    doses = ["Take 3 mg.", "Take 3 mg, then 4 mg.", "Take 3 mg, then 4 mg, then 7 mg."]
    texts = ["[A] Rest.", *(f"[A]{more} {dose}" for more, dose in zip(MORE, doses, strict=True))]
    criteria = [A, B, C, D, criterion("E")]
    of = World(
        {
            "draft": texts[:1],
            "draft-2": ["[A] Sleep."],
            "draft-3": ["[A] Eat."],
            "merge": texts[1:2],
            "revise": texts[2:] if mode == "thorough" else texts[1:],
            "rubric": lambda _: '{"keep": ["c1", "c2", "c3", "c4", "c5"], "new": []}',
        },
        criteria,
        mode=mode,
        rounds=rounds,
    )
    review = await of.review()
    assert review.rounds == rounds
    assert len(of.asked("alone")) == rounds
    assert len(of.model.calls) <= once(of, review)


def once(of: World, review) -> int:
    """Return the bound without retries, as the design has it."""
    judged = (1 + review.rounds) * (len(review.rubric.criteria) + 1)
    return of.policy.drafts + 4 + judged + review.rounds


async def test_the_retry_asks_for_json_under_a_schema_and_says_so():
    of = world("perhaps", script={"alone-retry": ['{"verdict": "yes"}']})
    assert (await of.review()).status == "revised"
    (first,), (again,) = of.asked("alone"), of.asked("alone-retry")
    assert first.schema is None
    assert first.messages[-1].text.endswith("Reply with one word: yes or no.")
    assert again.schema is not None
    assert again.messages[-1].text.endswith('{"verdict": "no"}, and nothing else.')
    assert "Take 40 mg" in again.messages[-1].text
