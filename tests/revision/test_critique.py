"""Verdicts, scores and what may replace an answer."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from revision.critique import NOT_JUDGED, Critique, Judgement, Verdict, is_better
from revision.rubric import Criterion, Rubric


def rubric(*points, critical=()):
    criteria = tuple(
        Criterion(text=f"criterion {n}", points=of, critical=n in critical)
        for n, of in enumerate(points)
    )
    return Rubric(criteria=criteria, made_by="retrieval")


def judged(on, *verdicts):
    judgements = [
        NOT_JUDGED if one is None else Judgement(verdict=Verdict(one)) for one in verdicts
    ]
    return Critique(rubric=on, judgements=tuple(judgements))


def test_the_score_is_points_met_over_points_possible():
    assert judged(rubric(6, 3, 1), "met", "unmet", "unclear").score == pytest.approx(0.6)


def test_nothing_judged_has_no_score():
    assert judged(rubric(5, 5), None, None).score is None


def test_unclear_earns_nothing():
    assert judged(rubric(5), "unclear").score == 0.0


def test_one_criterion_that_was_not_judged_makes_a_critique_incomplete():
    critique = judged(rubric(5, 5), "met", None)
    assert not critique.complete
    assert not critique.all_met


def test_an_empty_rubric_is_never_all_met():
    assert not judged(rubric()).all_met


def test_a_critique_covers_its_rubric_exactly():
    with pytest.raises(ValueError, match="one judgement"):
        judged(rubric(5, 5), "met")


def test_answers_are_compared_on_one_rubric_only():
    with pytest.raises(ValueError, match="frozen"):
        is_better(judged(rubric(5), "met"), judged(rubric(5), "unmet"))


verdicts = st.lists(
    st.tuples(st.sampled_from(["met", "unmet", "unclear", None]), st.integers(1, 10)),
    min_size=1,
    max_size=8,
)


@given(verdicts, st.data())
def test_what_is_better_scores_better_and_loses_nothing(best, data):
    on = rubric(*(points for _, points in best))
    before = judged(on, *(one for one, _ in best))
    after = judged(
        on, *(data.draw(st.sampled_from(["met", "unmet", "unclear", None])) for _ in best)
    )
    if is_better(after, before):
        assert after.complete
        assert before.complete
        assert after.score > before.score
        assert before.met <= after.met
    elif after.complete and before.complete and after.met > before.met:
        pytest.fail("a gain without a loss was refused")


def test_nothing_is_better_than_itself():
    critique = judged(rubric(5, 5), "met", "unmet")
    assert not is_better(critique, critique)
