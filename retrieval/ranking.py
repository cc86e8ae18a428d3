"""The order of principles: their words, the scenario, and what physicians demanded, weighed.

The scenario weighs principles and never filters them: a classifier that misses an emergency must
not hide the emergency principles that the words themselves call for. What physicians demanded of
similar questions weighs in the same way.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from retrieval.dimensions import HEADS
from retrieval.principles import Principle
from retrieval.scenario import Scenario

SCENARIO_WEIGHT = 0.2
"""How much a perfect fit of the scenario adds to a cosine; set as the next one."""

DEMAND_WEIGHT = 0.8
"""How much a principle that physicians surely demand here gains on one that they never do; set in
cross-validation on the questions learned from (`benchmarks/demand.py`), where .6 to 1 do alike."""

TOPIC_SHARE = 0.04
"""A principle demanded of fewer questions than this speaks of one topic, and its head has learned
from a dozen questions; what such a head says counts only as far as the words are near."""

TOPIC_NEAR, TOPIC_SURE = 0.3, 0.5
"""The cosines from which it counts at all, and in full; in cross-validation no worse than none."""

CALM_IN_AN_EMERGENCY = 0.3
"""What a principle that is only for what is not urgent loses where a red flag is raised: its
reassurance could cost a life. On top of the scenario's weight, and still no filter."""

RELEVANCE_FLOOR = 0.12
"""A principle whose cosine is below this has nothing to do with the question's words."""

DEMAND_FLOOR = 0.2
"""Unless physicians demand it of questions like this one at least this often."""


EVEN_ODDS = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class PrincipleHit:
    """A principle and why it is here: its cosine, weighed by scenario and physicians' demands."""

    principle: Principle
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Near:
    """A principle that the search found: cosine, how often demanded here, and of any question."""

    principle: Principle
    cosine: float
    demanded: float
    typical: float

    @property
    def share(self) -> float:
        """How often physicians demand it here, as far as that can be believed."""
        return self.demanded * demand_trust(self.cosine, self.typical)

    @property
    def of_one_topic(self) -> bool:
        """Whether it speaks of one topic only."""
        return self.typical < TOPIC_SHARE

    @property
    def relevant(self) -> bool:
        """Whether anything speaks for it."""
        return self.cosine >= RELEVANCE_FLOOR or self.share >= DEMAND_FLOOR


def demand_trust(cosine: float, typical: float) -> float:
    """Return how far a head is believed, 0 to 1, at that cosine; `typical` is its base rate."""
    if typical >= TOPIC_SHARE:
        return 1.0
    return min(1.0, max(0.0, (cosine - TOPIC_NEAR) / (TOPIC_SURE - TOPIC_NEAR)))


def weigh(near: Near, scenario: Scenario) -> PrincipleHit:
    """Return the principle with its score."""
    fit = scenario_fit(near.principle, scenario)
    score = near.cosine + SCENARIO_WEIGHT * fit + DEMAND_WEIGHT * near.share
    calm = near.principle.dimensions.get("urgency", ()) == ("non-emergent",)
    if calm and scenario.probability("urgency", "emergent") >= EVEN_ODDS:
        score -= CALM_IN_AN_EMERGENCY
    return PrincipleHit(principle=near.principle, score=score)


def rank(found: Iterable[Near], scenario: Scenario) -> list[PrincipleHit]:
    """Return those that anything speaks for, best first."""
    hits = (weigh(one, scenario) for one in found if one.relevant)
    return sorted(hits, key=lambda hit: -hit.score)


def scenario_fit(principle: Principle, scenario: Scenario) -> float:
    """Return how much likelier than even it is that the principle's values hold, -1 to 1.

    Of one head, the probability that any of the principle's values holds, less the same under even
    shares: all of a head's values say nothing. Across a dimension's heads the best counts, and
    the dimensions are averaged. 0 for a principle that depends on nothing; below 0 where the
    scenario speaks against it.
    """
    lifts = []
    for dimension, values in principle.dimensions.items():
        of_heads = [
            sum(scenario.lift(dimension, value) for value in known)
            for of, labels in HEADS.values()
            if of == dimension and (known := [value for value in values if value in labels])
        ]
        if of_heads:
            lifts.append(max(of_heads))
    return sum(lifts) / len(lifts) if lifts else 0.0


def with_places(
    hits: Sequence[PrincipleHit], kept: Sequence[PrincipleHit], size: int
) -> tuple[PrincipleHit, ...]:
    """Return the first `size` hits, where the last give way to kept ones that are not among them.

    `kept` come in the order of their claim: with one place there, the first has it.
    """
    first = list(hits[:size])
    names = {hit.principle.id for hit in first}
    missing = list(
        {one.principle.id: one for one in kept if one.principle.id not in names}.values()
    )
    missing = missing[: len(first)]
    return (*first[: len(first) - len(missing)], *missing)
