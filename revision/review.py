"""How an answer was reviewed: what the loop ends with, and what the status means.

Statuses follow from what happened and are never set: an answer that nobody could judge cannot
come out as a reviewed one.
"""

from dataclasses import dataclass
from typing import Literal

from models.messages import Completion
from revision.critique import Critique
from revision.policy import Mode
from revision.rubric import Rubric

Status = Literal["clean", "revised", "kept_draft", "unreviewed", "off"]
StopReason = Literal[
    "all_met",
    "no_gain",
    "max_rounds",
    "deadline",
    "model_error",
    "unparsable",
    "overload",
    "bypass",
    "off",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reviewed:
    """An answer and its critique; None where it has none.

    `fits` is False where the answer is known not to have the form that was asked for.
    """

    answer: Completion
    critique: Critique | None = None
    fits: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """The loop's result. `best` is the answer to give; `rounds` counts attempts at a better one."""

    mode: Mode
    draft: Reviewed
    best: Reviewed
    rubric: Rubric | None
    rounds: int
    stop_reason: StopReason

    @property
    def changed(self) -> bool:
        """Whether the answer is another one than the draft."""
        return self.best is not self.draft

    @property
    def status(self) -> Status:
        """What a client is told; see the table in docs/architecture.md."""
        if self.stop_reason in {"off", "bypass"}:
            return "off"
        critique = self.draft.critique
        if critique is None or not critique.complete:
            return "unreviewed"
        if self.changed:
            return "revised"
        return "clean" if critique.all_met and self.draft.fits else "kept_draft"

    @property
    def degraded(self) -> bool:
        """Whether the answer is unreviewed or still fails a critical criterion."""
        if self.status == "off":
            return False
        critique = self.best.critique
        return self.status == "unreviewed" or critique is None or critique.misses_critical
