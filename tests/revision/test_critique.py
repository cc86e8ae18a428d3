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


def leaning(on, *odds):
    """Return a critique with the verdicts that a judge reads from these probabilities."""
    judgements = [
        Judgement(
            verdict=Verdict.MET if p >= 0.6 else Verdict.UNMET if p <= 0.4 else Verdict.UNCLEAR,
            probability=p,
        )
        for p in odds
    ]
    return Critique(rubric=on, judgements=tuple(judgements))


@pytest.mark.parametrize(
    ("before", "after", "better"),
    [
        ((0.59,), (0.61,), False),
        ((0.45,), (0.61,), False),
        ((0.59, 0.58, 0.57), (0.61, 0.62, 0.63), False),  # many small ones are no large one
        ((0.59, 0.3), (0.61, 0.7), True),
        ((0.4,), (0.6,), True),
        ((0.45,), (0.65,), True),
        ((0.01, 0.99), (0.99, 0.61), True),
        ((0.01, 0.61), (0.99, 0.59), False),  # what was met must stay met, noise or not
    ],
)
def test_a_gain_within_the_judge_s_noise_is_none(before, after, better):
    on = rubric(*[5] * len(before))
    assert is_better(leaning(on, *after), leaning(on, *before)) is better


def test_a_form_that_is_mended_needs_no_gain_beside_it():
    on = rubric(5, 5)
    best = leaning(on, 0.9, 0.59)
    for after in ((0.9, 0.59), (0.9, 0.61)):
        assert is_better(leaning(on, *after), best, mends_form=True)
    assert not is_better(leaning(on, 0.59, 0.61), best, mends_form=True)


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(-0.099, 0.099)), min_size=1, max_size=6))
def test_noise_alone_never_replaces_an_answer(pairs):
    on = rubric(*[5] * len(pairs))
    before = leaning(on, *(p for p, _ in pairs))
    after = leaning(on, *(min(max(p + off, 0.0), 1.0) for p, off in pairs))
    assert not is_better(after, before)
