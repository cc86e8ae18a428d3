"""The outermost handler of a hidden step: what nobody foresaw costs the review, not the answer.

A step promises `ModelError` and `RevisionError` and nothing else. A mistake of ours in one of them
(a text that breaks a rule of the guard, an index library that raises what it never raised before)
must not become a 500 in place of a draft that is there. It is logged as the mistake that it is, and
told to the loop as a step that broke. Where there is no draft yet there is nothing to save, so the
draft itself stands outside (ADR 0023).
"""

from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass

from models.errors import ModelError
from models.messages import Completion
from revision.attempt import Attempt
from revision.critique import Critique, Finding
from revision.errors import RevisionError, StepBroke
from revision.events import Event, Objection, PreparationFailed
from revision.protocols import Steps
from revision.review import Reviewed
from revision.rubric import Rubric
from server.log import unhandled


@dataclass(frozen=True, slots=True)
class Contained:
    """Steps that keep their promise; implements `revision.protocols.Steps`."""

    steps: Steps

    def draft(self) -> AsyncGenerator[Event, None]:
        """Yield events up to `Drafted`."""
        return self.steps.draft()

    async def prepare(self) -> AsyncGenerator[Event, None]:
        """Yield events up to `RubricReady` or `PreparationFailed`."""
        try:
            with contained():
                async with aclosing(self.steps.prepare()) as events:
                    async for event in events:
                        yield event
        except StepBroke as error:
            yield PreparationFailed(error=error)

    async def judge(self, answer: str, rubric: Rubric) -> Critique:
        """Judge an answer on every criterion."""
        with contained():
            return await self.steps.judge(answer, rubric)

    async def fits(self, answer: str) -> bool:
        """Say whether an answer may have the form that was asked for."""
        with contained():
            return await self.steps.fits(answer)

    async def has_time(self, best: Reviewed) -> bool:
        """Say whether there is time for another round."""
        with contained():
            return await self.steps.has_time(best)

    async def explain(self, best: Reviewed) -> tuple[Finding, ...]:
        """Write what is wrong with the answer where it falls short."""
        with contained():
            return await self.steps.explain(best)

    async def revise(self, best: Reviewed, findings: tuple[Finding, ...]) -> Attempt:
        """Write a better answer."""
        with contained():
            return await self.steps.revise(best, findings)

    async def merge(self, drafts: tuple[Completion, ...]) -> Attempt:
        """Write one answer from several drafts."""
        with contained():
            return await self.steps.merge(drafts)

    async def objection(
        self, best: Reviewed, candidate: Completion, findings: tuple[Finding, ...]
    ) -> Objection | None:
        """Say why the candidate may not be judged as a whole, if so."""
        with contained():
            return await self.steps.objection(best, candidate, findings)


@contextmanager
def contained() -> Iterator[None]:
    """Log what no step may raise, and raise what the loop knows instead.

    Raises:
        StepBroke: something else than `ModelError` and `RevisionError` was raised.

    """
    try:
        yield
    except (ModelError, RevisionError):
        raise
    except Exception as error:  # noqa: BLE001  # the last resort of a hidden step
        unhandled(error)
        raise StepBroke("a step of the review failed") from None
