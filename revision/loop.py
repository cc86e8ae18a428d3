"""Self-revision: draft and rubric side by side, critique, revise what is unmet, re-check, stop.

The method is ClinAlign's inference-time use of principles (Lyu et al., Findings of ACL 2026),
with two rules of this project: the rubric is frozen before the draft is seen, and a revision that
loses anything the draft had right is not taken.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress

from models.errors import ModelError
from models.messages import Completion
from revision.attempt import Attempt
from revision.critique import Critique, Finding, is_better
from revision.errors import DeadlinePassed, RevisionError, Unparsable
from revision.events import (
    Critiqued,
    Decided,
    Drafted,
    Event,
    Explained,
    Objection,
    PreparationFailed,
    RubricReady,
    StageBegan,
    Stopped,
)
from revision.policy import Policy
from revision.protocols import Steps
from revision.review import Review, Reviewed, StopReason
from revision.rubric import Rubric
from revision.together import together


async def self_revise(  # noqa: C901  # the method, whole, on one page
    steps: Steps, policy: Policy
) -> AsyncGenerator[Event, None]:
    """Answer one conversation; the last event is `Stopped`. Consume under `contextlib.aclosing`.

    Raises:
        ModelError, RevisionError: there is no draft. Once there is one, nothing is raised: the
            best answer so far comes back, with the reason for stopping.

    """
    # 1. Draft and rubric, neither knowing of the other.
    drafts: tuple[Completion, ...] = ()
    rubric: Rubric | None = None
    obstacle: Exception | None = None
    sources = (steps.draft(), steps.prepare()) if policy.reviewed else (steps.draft(),)
    async with aclosing(together(*sources)) as opening:
        async for event in opening:
            yield event
            match event:
                case Drafted():
                    drafts = event.drafts
                    if not drafts[0].is_prose:
                        rubric = None  # whether there was one already is a matter of chance
                        break
                case RubricReady():
                    rubric = event.rubric
                case PreparationFailed():
                    obstacle = event.error

    draft = best = Reviewed(answer=drafts[0])
    rounds = 0
    reason = _no_review(policy, draft.answer, obstacle)
    try:
        # 2. Judge the draft.
        if reason is None and rubric is not None:
            yield StageBegan(stage="critique", count=len(rubric.criteria))
            critique = await steps.judge(draft.answer.text, rubric)
            yield Critiqued(round=0, critique=critique)
            fits = await steps.fits(draft.answer.text)
            draft = best = Reviewed(answer=draft.answer, critique=critique, fits=fits)
            reason = _enough(critique, rounds, policy, fits=fits)

        # 3. Revise what is unmet, 4. take it only if it is judged better, 5. stop.
        while reason is None and rubric is not None:
            if not await steps.has_time(best):
                reason = "deadline"
                break
            rounds += 1
            async with aclosing(_round(steps, rounds, best, drafts)) as attempt:
                async for event in attempt:
                    yield event
                    if isinstance(event, Decided):
                        best, reason = _conclude(event, best, policy)
    except (ModelError, RevisionError) as error:
        reason = stop_reason(error)
    yield Stopped(
        review=Review(
            mode=policy.mode,
            draft=draft,
            best=best,
            rubric=rubric,
            rounds=rounds,
            stop_reason=reason or "model_error",
        )
    )


async def _round(
    steps: Steps, number: int, best: Reviewed, drafts: tuple[Completion, ...]
) -> AsyncGenerator[Event, None]:
    """Yield one attempt at a better answer; the last event is `Decided`."""
    if best.critique is None:
        raise ValueError("an answer is revised only after its critique")
    rubric = best.critique.rubric
    findings: tuple[Finding, ...] = ()
    attempt: Attempt | None = None
    if number == 1 and len(drafts) > 1:
        yield StageBegan(stage="merge", count=len(drafts))
        # One that fails, or has no room for all drafts, leaves the round to the critique.
        with suppress(ModelError):
            attempt = await steps.merge(drafts)
    if attempt is None:
        yield StageBegan(stage="revise", count=len(best.critique.unmet))
        findings = await steps.explain(best)
        yield Explained(round=number, findings=findings)
        attempt = await steps.revise(best, findings)

    candidate = attempt.answer
    objection: Objection | None = await steps.objection(best, candidate, findings)
    recheck = None
    if objection is None:
        yield StageBegan(stage="recheck", count=len(rubric.criteria))
        recheck = await steps.judge(candidate.text, rubric)
        yield Critiqued(round=number, critique=recheck)
        if not recheck.complete:
            objection = "could not be judged"
        elif not is_better(recheck, best.critique, mends_form=not best.fits):
            objection = "not judged better"
    yield Decided(
        round=number,
        candidate=candidate,
        critique=recheck,
        objection=objection,
        by=attempt.by,
        changes=attempt.changes,
    )


def _conclude(
    decided: Decided, best: Reviewed, policy: Policy
) -> tuple[Reviewed, StopReason | None]:
    """Return the best answer after a round, and why to stop, if so."""
    if decided.accepted and decided.critique is not None:
        best = Reviewed(answer=decided.candidate, critique=decided.critique)
        return best, _enough(decided.critique, decided.round, policy)
    if decided.critique is not None and not decided.critique.complete:
        return best, stop_reason(decided.critique.failure)
    # A merge knows nothing of the critique; when it fails, the critique still deserves its turn.
    return best, None if decided.by == "merge" and decided.round < policy.max_rounds else "no_gain"


def _no_review(policy: Policy, draft: Completion, obstacle: Exception | None) -> StopReason | None:
    """Say why the draft goes out unjudged, if so."""
    if not policy.reviewed:
        return "off"
    if not draft.is_prose:
        return "bypass"  # a call of a tool, or a refusal: see ADR 0013
    return stop_reason(obstacle) if obstacle is not None else None


def _enough(
    critique: Critique, rounds: int, policy: Policy, *, fits: bool = True
) -> StopReason | None:
    """Say why no further round is needed or possible, if so."""
    if not critique.complete:
        return stop_reason(critique.failure)
    # An answer without the form that was asked for may never be shown: it is not good enough yet.
    if fits and critique.all_met:
        return "all_met"
    if fits and not critique.unmet:
        return "no_gain"  # what is merely unclear never triggers a revision
    if rounds >= policy.max_rounds or (fits and critique.urgent_advice_stands):
        return "max_rounds"  # in an emergency, urgent advice that stands does not wait for polish
    return None


def stop_reason(error: Exception | None) -> StopReason:
    """Return the stop reason that a failure stands for."""
    match error:
        case DeadlinePassed():
            return "deadline"
        case Unparsable():
            return "unparsable"
        case _:
            return "model_error"
