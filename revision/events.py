"""What the loop tells as it goes. Streams, metrics, records and the command line fold over these.

Events hold the health text itself; whoever folds them decides what of it may be kept.
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from models.messages import Completion, Delta
from retrieval.retriever import Retrieved
from revision.alone import Doubt
from revision.apply import Change
from revision.attempt import By
from revision.critique import Critique, Finding
from revision.form import Misfit
from revision.guard import Objection as GuardObjection
from revision.review import Review
from revision.rubric import Rubric

Stage = Literal["draft", "retrieve", "rubric", "critique", "revise", "merge", "recheck"]

Objection = GuardObjection | Misfit | Doubt | Literal["not judged better", "shows our markers"]
"""Every reason for which a candidate is not taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StageBegan:
    """A hidden step begins. `count` is what it works on: principles, criteria, unmet criteria."""

    stage: Stage
    count: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftPiece:
    """Words of the first draft as they come; only where someone asked to see them."""

    delta: Delta


@dataclass(frozen=True, slots=True, kw_only=True)
class Drafted:
    """The drafts are there; the first one is the draft."""

    drafts: tuple[Completion, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Retrieval is done."""

    retrieved: Retrieved


@dataclass(frozen=True, slots=True, kw_only=True)
class RubricReady:
    """The rubric is frozen."""

    rubric: Rubric


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparationFailed:
    """There is no rubric, so there can be no review."""

    error: Exception


@dataclass(frozen=True, slots=True, kw_only=True)
class Critiqued:
    """An answer was judged: the draft in round 0, candidates from round 1 on."""

    round: int
    critique: Critique


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """The written critique that the revision of this round goes by."""

    round: int
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """A candidate was taken, or the objection says why not; `critique` if it was judged.

    `changes` are the edits that made it, where it was made by edits. A `merge` joins several drafts
    and knows nothing of the critique.
    """

    round: int
    candidate: Completion
    critique: Critique | None
    objection: Objection | None
    by: By
    changes: tuple[Change, ...] = ()

    @property
    def accepted(self) -> bool:
        """Whether the candidate is the best answer now."""
        return self.objection is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped:
    """The end: the answer and how it was reviewed."""

    review: Review


Event: TypeAlias = (
    StageBegan
    | DraftPiece
    | Drafted
    | Found
    | RubricReady
    | PreparationFailed
    | Critiqued
    | Explained
    | Decided
    | Stopped
)
