"""The seam between the loop and its steps."""

from collections.abc import AsyncGenerator
from typing import Protocol

from models.messages import Completion
from revision.attempt import Attempt
from revision.critique import Critique, Finding
from revision.events import Event, Objection
from revision.review import Reviewed
from revision.rubric import Rubric


class Steps(Protocol):
    """What the loop does, one method a step, each bound to one request.

    Every method raises `ModelError` or `RevisionError` and nothing else.
    """

    def draft(self) -> AsyncGenerator[Event, None]:
        """Yield events up to `Drafted`."""

    def prepare(self) -> AsyncGenerator[Event, None]:
        """Yield events up to `RubricReady` or `PreparationFailed`; never raises."""

    async def judge(self, answer: str, rubric: Rubric) -> Critique:
        """Judge an answer on every criterion, knowing of no earlier verdict."""

    async def fits(self, answer: str) -> bool:
        """Say whether an answer may have the form that was asked for."""

    async def has_time(self, best: Reviewed) -> bool:
        """Say whether there is time for another round, its re-check included."""

    async def explain(self, best: Reviewed) -> tuple[Finding, ...]:
        """Write what is wrong with the answer where it falls short."""

    async def revise(self, best: Reviewed, findings: tuple[Finding, ...]) -> Attempt:
        """Write a better answer."""

    async def merge(self, drafts: tuple[Completion, ...]) -> Attempt:
        """Write one answer from several drafts."""

    async def objection(
        self, best: Reviewed, candidate: Completion, findings: tuple[Finding, ...]
    ) -> Objection | None:
        """Say why the candidate may not be judged as a whole, if so."""
