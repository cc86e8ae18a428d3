"""What a judge made of one answer: a verdict for each criterion of its rubric."""

from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from revision.rubric import Criterion, Rubric


class Verdict(StrEnum):
    """`MET` always means satisfied, for a prohibition as well."""

    MET = "met"
    UNMET = "unmet"
    UNCLEAR = "unclear"


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """One criterion's verdict.

    `probability` that the criterion is satisfied, as the judge's tokens gave it. `judged` is
    False when no verdict could be had, even after one retry; the verdict then is `UNCLEAR`.
    """

    verdict: Verdict
    probability: float | None = None
    judged: bool = True


NOT_JUDGED = Judgement(verdict=Verdict.UNCLEAR, judged=False)


@dataclass(frozen=True, kw_only=True)  # not slotted: cached_property keeps its value in __dict__
class Critique:
    """The verdicts on one answer, in the rubric's order.

    `failure` is why some criterion could not be judged, if so.
    """

    rubric: Rubric
    judgements: tuple[Judgement, ...]
    failure: Exception | None = None

    def __post_init__(self) -> None:
        if len(self.judgements) != len(self.rubric.criteria):
            raise ValueError("a critique has one judgement for each criterion")

    @property
    def complete(self) -> bool:
        """Whether every criterion was judged. Only then may anything be built on it."""
        return bool(self.judgements) and all(one.judged for one in self.judgements)

    @property
    def all_met(self) -> bool:
        """Whether the answer satisfies every criterion, each validly judged."""
        return self.complete and len(self.met) == len(self.judgements)

    @cached_property
    def met(self) -> frozenset[int]:
        """Numbers of the criteria that are satisfied."""
        return self._with(Verdict.MET)

    @cached_property
    def unmet(self) -> frozenset[int]:
        """Numbers of the criteria that are not satisfied."""
        return self._with(Verdict.UNMET)

    @cached_property
    def unclear(self) -> frozenset[int]:
        """Numbers of the criteria on which the judge leans to neither side."""
        return self._with(Verdict.UNCLEAR)

    @property
    def score(self) -> float | None:
        """Points met over points possible, 0 to 1; None if nothing was judged."""
        if not any(one.judged for one in self.judgements):
            return None
        met = sum(self.rubric.criteria[number].points for number in self.met)
        return met / self.rubric.possible

    @property
    def misses_critical(self) -> bool:
        """Whether a critical criterion is not satisfied."""
        return any(
            criterion.critical and number not in self.met
            for number, criterion in enumerate(self.rubric.criteria)
        )

    @property
    def urgent_advice_stands(self) -> bool:
        """Whether the rubric asks for urgent advice, and the answer gives it and does no harm."""
        criteria = self.rubric.criteria
        urgent = {number for number, criterion in enumerate(criteria) if criterion.urgent}
        harmful = any(criteria[number].critical for number in self.unmet)
        return bool(urgent) and urgent <= self.met and not harmful

    def criteria_of(self, numbers: frozenset[int]) -> tuple[Criterion, ...]:
        """Return those criteria, critical ones first, then by points."""
        chosen = (self.rubric.criteria[number] for number in sorted(numbers))
        return tuple(sorted(chosen, key=lambda one: (not one.critical, -one.points)))

    def _with(self, verdict: Verdict) -> frozenset[int]:
        return frozenset(n for n, one in enumerate(self.judgements) if one.verdict is verdict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A written critique of one criterion: what is wrong with the answer and what mends it."""

    criterion: int
    problem: str
    remedy: str


LEAST_GAIN = 0.2
"""What a criterion's probability must rise by to count as newly met: the width of the band in which
the judge leans to neither side. A smaller rise is within what one judge gives on one answer twice
(`benchmarks/LOG.md`), so .59 before and .61 after is no gain."""


def is_better(candidate: Critique, best: Critique, *, mends_form: bool = False) -> bool:
    """Say whether a candidate may replace the best answer so far.

    Both must be judged in full on one rubric. The candidate must satisfy everything that the best
    answer satisfies, and something more, by more than the judge's noise. That is stricter than a
    higher score: no gain, however large, pays for a criterion that was right before, critical ones
    above all. `mends_form` says that the candidate has the form that was asked for and the best
    answer has not; that is more.
    """
    if candidate.rubric is not best.rubric:
        raise ValueError("answers are compared on one frozen rubric")
    if not (candidate.complete and best.complete):
        return False
    if mends_form and candidate.met >= best.met:
        return True
    return candidate.met > best.met and any(
        _rise(candidate, best, number) >= LEAST_GAIN for number in candidate.met - best.met
    )


def _rise(candidate: Critique, best: Critique, number: int) -> float:
    """Return how much likelier the judge holds it that the criterion is satisfied.

    A judgement without a probability is as sure as its verdict.
    """
    after, before = (one.judgements[number] for one in (candidate, best))
    return round(_likelihood(after) - _likelihood(before), 6)  # .6 - .4 is below .2 in floats


def _likelihood(judgement: Judgement) -> float:
    if judgement.probability is not None:
        return judgement.probability
    return {Verdict.MET: 1.0, Verdict.UNCLEAR: 0.5, Verdict.UNMET: 0.0}[judgement.verdict]
