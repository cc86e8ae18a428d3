"""What a candidate must pass before a judge sees it: checks that need no model.

A judge asks whether the criteria are met; it does not ask whether half the answer has vanished, or
whether a dose came out of nowhere. These checks do. Each has a reason to give from a closed list.
Where they cannot read (a language without a list), they say nothing, and the critical criteria
decide; what is new and may be right they report, to be judged on its own (ADR 19).
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from models.messages import Json
from revision.added import Unsupported, support, unsupported
from revision.change import Change
from revision.kept import Comparison, LossOfContent
from revision.self_talk import refuses, talks_about_itself
from revision.size import WrongSize, another_size
from revision.tongue import WrongTongue, another_tongue
from revision.wanted_form import LossOfForm, loss_of_form

LONGEST = 60_000
"""Characters that are compared; more could keep the gateway from other requests."""
MOST_NEW = 12
"""Statements with something new that one judgement can bear; more is a new answer."""

Objection = (
    Literal[
        "empty",
        "unchanged",
        "calls tools",
        "refuses",
        "cut short",
        "cut by a filter",
        "not JSON",
        "too long to compare",
        "refusal undone",
        "talks about itself",
        "too much is new",
    ]
    | WrongTongue
    | WrongSize
    | LossOfForm
    | LossOfContent
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """The guard's word: why the candidate is refused, or else what in it is to be judged alone."""

    objection: Objection | None = None
    unsupported: tuple[Unsupported, ...] = ()


def inspect(change: Change) -> Inspection:
    """Return why the candidate must not replace the answer, or what speaks neither way.

    Blocks for as long as two long answers take to read; call it off the event loop. Whether JSON
    matches a schema is asked after this, in `revision.form`.
    """
    for rule in RULES:
        for reason in rule(change):
            return Inspection(objection=reason)
    turns = (turn.text for turn in change.conversation.messages)
    rubric = None if change.critique is None else change.critique.rubric
    new = unsupported(change.after, support(change.before, turns, rubric))
    if len(new) > MOST_NEW:
        return Inspection(objection="too much is new")
    return Inspection(unsupported=new)


def _no_answer(change: Change) -> Iterator[Objection]:
    best, candidate, form = change.best, change.candidate, change.form
    old, new = best.text.strip(), candidate.text.strip()
    was, now = form.read(best.text), form.read(candidate.text)
    if candidate.tool_calls:
        yield "calls tools"
    if candidate.refusal:
        yield "refuses"
    if not new:
        yield "empty"
    if new == old or (was is not None and _same(was, now)):
        yield "unchanged"
    for end, reason in _ENDS:
        if candidate.finish_reason == end != best.finish_reason:
            yield reason
    if form.is_json and now is None:
        yield "not JSON"
    if max(len(old), len(new)) > LONGEST:
        yield "too long to compare"


_ENDS: tuple[tuple[str, Objection], ...] = (
    ("length", "cut short"),
    ("content_filter", "cut by a filter"),
)


def _another_stand(change: Change) -> Iterator[Objection]:
    """Yield a change of mind: what was refused in words stays refused too (ADR 13)."""
    refused = any(map(refuses, change.texts_before))
    refusing = any(map(refuses, change.texts_after))
    if refused and not refusing:
        yield "refusal undone"
    if refusing and not refused:
        yield "refuses"


def _another_voice(change: Change) -> Iterator[Objection]:
    talked = any(talks_about_itself(one, asked=change.asked) for one in change.texts_before)
    if not talked and any(
        talks_about_itself(one, asked=change.asked) for one in change.texts_after
    ):
        yield "talks about itself"


def _another_form(change: Change) -> Iterator[Objection]:
    if change.form.is_json:
        return
    critical = change.critique is not None and change.critique.misses_critical
    before, after = change.best.text, change.candidate.text
    lost = loss_of_form(change.wanted, before, after, room=critical)
    if lost is not None:
        yield lost


def _lost(change: Change) -> Iterator[Objection]:
    yield from Comparison(
        before=change.before,
        after=change.after,
        rejected=change.rejected,
        shortened=change.should_shorten,
    ).losses()


RULES: tuple[Callable[[Change], Iterator[Objection]], ...] = (
    _no_answer,
    _another_stand,
    _another_voice,
    another_tongue,
    another_size,
    _another_form,
    _lost,
)
"""In this order; the first objection stands."""


def _same(one: Json, other: Json) -> bool:
    """Say whether two values are the same JSON; Python holds `true` and `1` for equal."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
