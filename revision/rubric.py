"""The rubric: checkable criteria for one question, frozen before its draft is seen."""

from dataclasses import dataclass
from typing import Literal

from retrieval.bank import BankCriterion, BankEntry
from retrieval.principles import Principle, PrincipleCriterion

Kind = Literal["require", "forbid"]
Origin = Literal["principle", "bank", "new"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Criterion:
    """One yes/no check of an answer.

    `points` run from 1 to 10. `kind` forbid: what `text` describes must not be in the answer.
    `critical`: a miss can harm. `urgent`: it asks for urgent advice, and is judged first in an
    emergency. `principle` is the id it came from, `source` the bank entry's.
    """

    text: str
    points: int
    kind: Kind = "require"
    critical: bool = False
    urgent: bool = False
    origin: Origin = "new"
    principle: str | None = None
    source: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rubric:
    """The criteria of one question. `made_by`: worded for it, or the retrieved ones as they are."""

    criteria: tuple[Criterion, ...]
    made_by: Literal["synthesis", "retrieval"]

    @property
    def possible(self) -> int:
        """The points of an answer that meets every criterion."""
        return sum(criterion.points for criterion in self.criteria)


def from_principle(principle: Principle, check: PrincipleCriterion) -> Criterion:
    """Return a principle's criterion as a rubric's."""
    return Criterion(
        text=check.criterion,
        points=check.points,
        kind=check.kind,
        critical=check.critical,
        urgent=check.critical and "emergent" in principle.dimensions.get("urgency", ()),
        origin="principle",
        principle=principle.id,
    )


def from_bank(entry: BankEntry, check: BankCriterion) -> Criterion:
    """Return a bank entry's criterion as a rubric's; negative points mark what is forbidden."""
    return Criterion(
        text=check.criterion,
        points=abs(check.points),
        kind="forbid" if check.points < 0 else "require",
        critical=check.critical,
        origin="bank",
        principle=check.principle,
        source=entry.id,
    )
