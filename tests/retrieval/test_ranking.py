"""The order of principles: what each signal weighs, and the places that are kept."""

import numpy as np
import pytest

from retrieval.dimensions import HEADS
from retrieval.principles import Principle
from retrieval.ranking import (
    DEMAND_FLOOR,
    DEMAND_WEIGHT,
    RELEVANCE_FLOOR,
    SCENARIO_WEIGHT,
    TOPIC_NEAR,
    TOPIC_SHARE,
    TOPIC_SURE,
    Near,
    PrincipleHit,
    demand_trust,
    rank,
    scenario_fit,
    weigh,
    with_places,
)
from retrieval.scenario import Scenario, even_shares, scenario_of


def emergency() -> Scenario:
    shares = even_shares()
    shares["urgency"] = np.array([1.0, 0.0, 0.0])
    return scenario_of(shares)


def principle(name: str = "p", **dimensions: tuple[str, ...]) -> Principle:
    return Principle(id=name, title="t", text="t", dimensions=dimensions, criteria=())


def near(
    name: str = "p",
    *,
    cosine: float = 0.4,
    demanded: float = 0.0,
    typical: float = 1.0,
    **dimensions: tuple[str, ...],
) -> Near:
    known = principle(name, **dimensions)
    return Near(principle=known, cosine=cosine, demanded=demanded, typical=typical)


def hits(*names: str) -> list[PrincipleHit]:
    return [PrincipleHit(principle=principle(name), score=0.5) for name in names]


def ids(found) -> list[str]:
    return [hit.principle.id for hit in found]


@pytest.mark.parametrize(
    ("dimensions", "fit"),
    [
        ({}, 0.0),
        ({"urgency": ()}, 0.0),
        ({"urgency": ("emergent",)}, 2 / 3),
        ({"urgency": ("non-emergent",)}, -1 / 3),
        ({"urgency": ("non-emergent", "emergent")}, 1 / 3),
        ({"urgency": ("non-emergent", "conditionally-emergent")}, -2 / 3),
        ({"urgency": ("emergent", "conditionally-emergent", "non-emergent")}, 0.0),
        ({"urgency": ("emergent",), "expertise": ("layperson",)}, 1 / 3),
        ({"urgency": ("emergent",), "expertise": ()}, 2 / 3),
    ],
)
def test_the_fit_is_how_much_likelier_than_even_it_is_that_a_value_holds(dimensions, fit):
    assert scenario_fit(principle(**dimensions), emergency()) == pytest.approx(fit)


def test_of_a_dimensions_heads_the_best_counts():
    shares = even_shares()
    shares["uncertainty"] = np.array([0.0, 0.0, 1.0])
    scenario = scenario_of(shares)
    both = principle(uncertainty=("reducible", "not-enough-context"))
    assert scenario_fit(both, scenario) == pytest.approx(2 / 3)


def test_an_unknown_scenario_weighs_nothing():
    for dimension, labels in HEADS.values():
        for label in labels:
            if label != "no-documents":
                known = principle(**{dimension: (label,)})
                assert scenario_fit(known, Scenario.unknown()) == pytest.approx(0.0)


@pytest.mark.parametrize(
    ("cosine", "trust"),
    [
        (-1.0, 0.0),
        (TOPIC_NEAR, 0.0),
        ((TOPIC_NEAR + TOPIC_SURE) / 2, 0.5),
        (TOPIC_SURE, 1.0),
        (1.0, 1.0),
    ],
)
def test_a_head_of_one_topic_is_believed_as_far_as_the_words_are_near(cosine, trust):
    assert demand_trust(cosine, TOPIC_SHARE / 2) == pytest.approx(trust)


@pytest.mark.parametrize("cosine", [-1.0, 0.0, TOPIC_NEAR, 1.0])
def test_a_head_of_what_is_asked_for_everywhere_is_believed_whatever_the_words_are(cosine):
    assert demand_trust(cosine, TOPIC_SHARE) == 1.0


def test_a_score_is_the_cosine_and_the_weighed_fit_and_demand():
    one = near(cosine=0.4, demanded=0.5, urgency=("emergent",))
    expected = 0.4 + SCENARIO_WEIGHT * 2 / 3 + DEMAND_WEIGHT * 0.5
    assert weigh(one, emergency()).score == pytest.approx(expected)


def test_a_far_off_topic_does_not_outrank_what_the_words_call_for():
    attractor = near("attractor", cosine=0.25, demanded=0.4, typical=0.03)
    meant = near("meant", cosine=0.45, demanded=0.05, typical=0.03)
    assert ids(rank([attractor, meant], Scenario.unknown())) == ["meant", "attractor"]


@pytest.mark.parametrize(
    ("cosine", "demanded", "kept"),
    [
        (RELEVANCE_FLOOR, 0.0, True),
        (RELEVANCE_FLOOR - 0.01, 0.0, False),
        (RELEVANCE_FLOOR - 0.01, DEMAND_FLOOR, True),
        (RELEVANCE_FLOOR - 0.01, DEMAND_FLOOR - 0.01, False),
    ],
)
def test_what_nothing_speaks_for_is_left_out(cosine, demanded, kept):
    found = rank([near(cosine=cosine, demanded=demanded)], Scenario.unknown())
    assert bool(found) is kept


def test_reassurance_ranks_low_where_a_red_flag_is_raised_and_is_still_there():
    calm = near("calm", cosine=0.5, urgency=("non-emergent",))
    other = near("other", cosine=0.2)
    assert ids(rank([calm, other], emergency())) == ["other", "calm"]
    both = near("both", cosine=0.5, urgency=("non-emergent", "conditionally-emergent"))
    assert ids(rank([both, other], emergency())) == ["both", "other"]
    assert ids(rank([calm, other], Scenario.unknown())) == ["calm", "other"]


@pytest.mark.parametrize(
    ("kept", "size", "found"),
    [
        ([], 3, ["a", "b", "c"]),
        (["b"], 3, ["a", "b", "c"]),
        (["x"], 3, ["a", "b", "x"]),
        (["d"], 3, ["a", "b", "d"]),
        (["x", "y"], 3, ["a", "x", "y"]),
        (["x", "x"], 3, ["a", "b", "x"]),
        (["x", "b"], 3, ["a", "b", "x"]),
        (["x", "y"], 1, ["x"]),
        (["x"], 0, []),
        (["c"], 3, ["a", "b", "c"]),
    ],
)
def test_kept_places_are_taken_from_the_last_and_never_twice(kept, size, found):
    assert ids(with_places(hits("a", "b", "c", "d"), hits(*kept), size)) == found
