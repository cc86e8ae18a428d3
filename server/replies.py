"""The response bodies: OpenAI's forms with the `revision` extension."""

from collections.abc import Collection, Iterable, Mapping
from typing import get_args

import orjson

from models.messages import Completion, Json, Usage
from revision.apply import Change
from revision.calls import Step, total_usage, usage_by_step
from revision.critique import Critique
from revision.events import Critiqued, Decided, Event, Explained, Found
from revision.policy import Mode
from revision.review import Review, StopReason
from server.citations import annotations
from server.errors import ReviewDegraded
from server.exposed import exposed, under_both_names
from server.job import Job

NOTICE = "\n\nNote: this answer was not fully checked against clinical criteria. ({})"
_WHY = {
    "deadline": "There was not enough time.",
    "model_error": "The reviewing step failed.",
    "unparsable": "The reviewing step gave no usable verdict.",
}


def answer_of(job: Job, review: Review) -> Completion:
    """Return the answer to send, by what the operator wants of degraded ones.

    Raises:
        ReviewDegraded: it is degraded, and the setting is `error`.

    """
    best = review.best.answer
    policy = job.services.settings.on_degraded
    if not review.degraded or policy == "mark":
        return best
    if policy == "error":
        raise ReviewDegraded
    if job.steps.case.options.wants_json or _is_json(best.text):
        return best
    why = _WHY.get(review.stop_reason, "An important criterion is still not met.")
    if job.calls.limits and review.status == "unreviewed":
        why = "The conversation is too long."
    return Completion(
        text=best.text + NOTICE.format(why),
        finish_reason=best.finish_reason,
        usage=best.usage,
        reasoning=best.reasoning,
        tool_calls=best.tool_calls,
    )


def completion_body(job: Job, review: Review, events: Collection[Event]) -> dict[str, Json]:
    """Return the chat completion.

    Raises:
        ReviewDegraded: as `answer_of`.

    """
    answer = answer_of(job, review)
    message: dict[str, Json] = {"role": "assistant", "content": answer.text or None}
    if answer.tool_calls:
        message["tool_calls"] = list(answer.tool_calls)
    else:
        message["content"] = None if answer.refusal and not answer.text else answer.text
        message["refusal"] = answer.refusal or None
    if job.exposes_reasoning:
        message |= under_both_names(exposed(review.draft.answer))
    if job.cites:
        message["annotations"] = annotations(job, review, answer, events)
    choice: dict[str, Json] = {
        "index": 0,
        "message": message,
        "finish_reason": answer.finish_reason,
        "logprobs": None,
    }
    return {
        "id": job.opening.id,
        "object": "chat.completion",
        "created": job.opening.created,
        "model": job.opening.model,
        "system_fingerprint": job.opening.fingerprint,
        "choices": [choice],
        "usage": usage_body(total_usage(job.calls.records)),
        "revision": extension(job, review, events),
    }


def revision_body(kind: str, job: Job, review: Review, events: Iterable[Event]) -> dict[str, Json]:
    """Return the answer of `/v1/critiques` and `/v1/revisions`.

    A critique is wanted most where the answer is bad: it comes whatever the operator wants of
    degraded answers, and the caller's answer comes back untouched.

    Raises:
        ReviewDegraded: as `answer_of`, for a revision.

    """
    given = review.draft.answer
    return {
        "id": job.revision_id,
        "object": kind,
        "created": job.opening.created,
        "model": job.opening.model,
        "system_fingerprint": job.opening.fingerprint,
        "answer": (given if kind == "critique" else answer_of(job, review)).text,
        "revision": extension(job, review, events),
        "usage": usage_body(total_usage(job.calls.records)),
    }


def extension(job: Job, review: Review, events: Iterable[Event]) -> dict[str, Json]:
    """Return the extension `revision`."""
    seen = tuple(events)
    found = next((event.retrieved for event in seen if isinstance(event, Found)), None)
    if review.status == "off":
        found = None  # nothing was judged by what may have been found meanwhile
    body: dict[str, Json] = {
        "id": job.revision_id,
        "status": review.status,
        "stop_reason": review.stop_reason,
        "mode": review.mode,
        "rounds": review.rounds,
        "changed": review.changed,
        "score": {"draft": _score(review.draft.critique), "final": _score(review.best.critique)},
        "principles": [
            {"id": hit.principle.id, "title": hit.principle.title}
            for hit in (found.principles if found else ())
        ],
        "criteria": _criteria(review),
        "limits": list(job.calls.limits),
        "usage": _usage_by_step(job),
    }
    if job.trace:
        body["trace"] = _trace(review, seen)
    return body


def _usage_by_step(job: Job) -> dict[str, Json]:
    """Return what each step has cost; empty for a step that made no call."""
    return _by_step(usage_by_step(job.calls.records))


def _by_step(spent: Mapping[Step, Usage]) -> dict[str, Json]:
    return {
        step: {
            "prompt_tokens": spent[step].prompt_tokens,
            "completion_tokens": spent[step].completion_tokens,
        }
        if step in spent
        else {}
        for step in get_args(Step)
    }


def off_extension(
    revision_id: str, mode: Mode, reason: StopReason, usage: Usage | None = None
) -> dict[str, Json]:
    """Return the extension of an answer that is not reviewed: not asked for, or no answer.

    `usage` is what it has cost, where that is known.
    """
    return {
        "id": revision_id,
        "status": "off",
        "stop_reason": reason,
        "mode": mode,
        "rounds": 0,
        "changed": False,
        "score": {"draft": None, "final": None},
        "principles": [],
        "criteria": [],
        "limits": [],
        "usage": _by_step({} if usage is None else {"draft": usage}),
    }


def usage_body(usage: Usage) -> dict[str, Json]:
    """Return OpenAI's usage object."""
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }


def _is_json(text: str) -> bool:
    """Return whether a program rather than a person reads the text."""
    try:
        return isinstance(orjson.loads(text), dict | list)
    except orjson.JSONDecodeError:
        return False


def _score(critique: Critique | None) -> float | None:
    score = critique.score if critique else None
    return None if score is None else round(score, 4)


def _criteria(review: Review) -> list[Json]:
    if review.rubric is None:
        return []
    return [
        {
            "criterion": criterion.text,
            "principle": criterion.principle,
            "points": criterion.points,
            "critical": criterion.critical,
            "kind": criterion.kind,
            "origin": criterion.origin,
            "bank_entry": criterion.source,
            "draft": _verdict(review.draft.critique, number),
            "final": _verdict(review.best.critique, number),
        }
        for number, criterion in enumerate(review.rubric.criteria)
    ]


def _verdict(critique: Critique | None, number: int) -> str:
    return critique.judgements[number].verdict.value if critique else "unclear"


def _change(one: Change) -> dict[str, Json]:
    """Return an edit: what it did where, and by their places the criteria that it serves."""
    edit = one.edit
    span = f"S{edit.first}" if edit.first == edit.last else f"S{edit.first}-S{edit.last}"
    return {
        "op": edit.op,
        "segments": span,
        "after": f"S{edit.after}" if edit.op == "move" else None,
        "before": one.before,
        "text": one.text,
        "criteria": list(edit.criteria),
        "dropped": one.dropped,
    }


def _trace(review: Review, events: tuple[Event, ...]) -> dict[str, Json]:
    """Return the draft, every critique and every edit."""
    critiques: list[Json] = [
        {
            "round": event.round,
            "verdicts": [
                {"verdict": one.verdict.value, "probability": one.probability, "judged": one.judged}
                for one in event.critique.judgements
            ],
        }
        for event in events
        if isinstance(event, Critiqued)
    ]
    findings: list[Json] = [
        {
            "round": event.round,
            "criterion": finding.criterion,
            "problem": finding.problem,
            "remedy": finding.remedy,
        }
        for event in events
        if isinstance(event, Explained)
        for finding in event.findings
    ]
    edits: list[Json] = [
        {
            "round": event.round,
            "answer": event.candidate.text,
            "accepted": event.accepted,
            "objection": event.objection,
            "by": event.by,
            "changes": [_change(one) for one in event.changes],
        }
        for event in events
        if isinstance(event, Decided)
    ]
    return {
        "draft": review.draft.answer.text,
        "critiques": critiques,
        "findings": findings,
        "edits": edits,
    }
