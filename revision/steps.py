"""The steps of one request, bound to its conversation, models and retriever."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from models.errors import ModelError
from models.messages import Completion
from retrieval.retriever import Retriever
from revision.alone import doubt
from revision.attempt import Attempt
from revision.case import Case
from revision.change import Change
from revision.critique import Critique, Finding
from revision.draft import draft
from revision.editable import to_edit
from revision.errors import JudgeUnfit, ShareSpent
from revision.events import Drafted, Event, Objection, PreparationFailed
from revision.explain import explain
from revision.guard import inspect
from revision.judge import judge
from revision.prepare import prepare
from revision.review import Reviewed
from revision.revise import merge, revise
from revision.rubric import Rubric


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSteps:
    """Implements `revision.protocols.Steps`.

    `retriever` is None where nothing is reviewed; `given` is an answer that the caller has;
    `unfit` says that the judge's verdicts are not to be used.
    """

    case: Case
    retriever: Retriever | None
    given: str | None = None
    unfit: bool = False

    async def draft(self) -> AsyncGenerator[Event, None]:
        """Yield events up to `Drafted`."""
        if self.given is not None:
            self.case.calls.room.expect(self.given)
            yield Drafted(drafts=(Completion(text=self.given, finish_reason="stop"),))
            return
        async for event in draft(self.case):
            yield event

    def prepare(self) -> AsyncGenerator[Event, None]:
        """Yield events up to `RubricReady` or `PreparationFailed`."""
        if self.retriever is None:
            raise ValueError("a review needs a retriever")
        return _no_judge() if self.unfit else prepare(self.case, self.retriever)

    async def judge(self, answer: str, rubric: Rubric) -> Critique:
        """Judge an answer on every criterion."""
        clock = asyncio.get_running_loop().time
        started = clock()
        critique = await judge(self.case, answer, rubric)
        self.case.calls.time.judged(clock() - started)
        return critique

    async def has_time(self, best: Reviewed) -> bool:
        """Say whether there is time for another round."""
        time, case = self.case.calls.time, self.case
        if best.critique is not None and self.case.policy.drafts == 1:
            edited = await asyncio.to_thread(to_edit, case, best, best.critique, ())
            time.writes_less(by_edits=edited is not None)
        return time.has_time_for_round()

    async def fits(self, answer: str) -> bool:
        """Say whether an answer may have the form asked for: not if it is known to lack it."""
        misfit = await self.case.options.form.misfit(answer, seconds=self.case.calls.time_left())
        return misfit in {None, "cannot be checked"}

    async def explain(self, best: Reviewed) -> tuple[Finding, ...]:
        """Write what is wrong with the answer; nothing in modes that save the call."""
        if best.critique is None or not best.critique.unmet or not self.case.policy.explains:
            return ()
        try:
            return await explain(self.case, best.answer.text, best.critique)
        except (ShareSpent, ModelError):
            return ()  # the criteria themselves say what is asked; the revision comes first

    async def revise(self, best: Reviewed, findings: tuple[Finding, ...]) -> Attempt:
        """Write a better answer."""
        if best.critique is None:
            raise ValueError("an answer is revised only after its critique")
        return await revise(self.case, best, best.critique, findings)

    async def merge(self, drafts: tuple[Completion, ...]) -> Attempt:
        """Write one answer from several drafts."""
        return await merge(self.case, tuple(one.text for one in drafts))

    async def objection(
        self, best: Reviewed, candidate: Completion, findings: tuple[Finding, ...]
    ) -> Objection | None:
        """Say why the candidate may not be judged as a whole, if so."""
        case = self.case
        form = case.options.form
        if case.nonce in candidate.text:
            return "shows our markers"  # and could close a fence in the next round's prompts
        change = Change(
            best=best.answer,
            candidate=candidate,
            conversation=case.conversation,
            form=form,
            critique=best.critique,
            findings=findings,
        )
        found = await asyncio.to_thread(inspect, change)  # two long answers take a while to read
        return (
            found.objection
            or await form.misfit(candidate.text, seconds=case.calls.time_left())
            or await doubt(case, candidate.text, found.unsupported)
        )


async def _no_judge() -> AsyncGenerator[Event, None]:
    """Yield why nothing is judged; what a judge that cannot judge prefers may well do harm."""
    yield PreparationFailed(error=JudgeUnfit("the judge has not passed the known answers"))
