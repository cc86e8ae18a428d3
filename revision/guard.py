"""What a candidate must pass before a judge sees it: checks that need no model.

A judge asks whether the criteria are met; it does not ask whether half the answer has vanished, or
whether a dose came out of nowhere. These checks do. Each has a reason to give from a closed list.
Where they cannot read (a language without a list), they say nothing, and the critical criteria
decide; what is new and may be right they report, to be judged on its own (ADR 16).
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from models.messages import Completion, Json
from revision.added import Unsupported, support, unsupported
from revision.conversation import Conversation
from revision.critique import Critique, Finding
from revision.form import AnswerForm, words
from revision.kept import Comparison, Loss
from revision.language import language_of, named, script
from revision.points import Said, said
from revision.rejected import Rejected, rejected
from revision.self_talk import refuses, talks_about_itself
from revision.statements import Statement, plain
from revision.wanted_form import Loss as LossOfForm
from revision.wanted_form import loss_of_form, wanted_form

KEPT_SHARE = 0.5
"""A revision of less than half the length has cut something; unless brevity was asked for."""
GROWN, GROWN_WHEN_BRIEF = 4.0, 2.0
"""Times the length of the answer before; more is not the same answer made better."""
ROOM, ROOM_WHEN_BRIEF = 3000, 600
"""Characters that any answer may gain: a one-line draft may have to become a full answer."""
LONGEST = 120_000
"""Characters that are compared; more could keep the gateway from other requests."""
REPEATED_SHARE = 0.5
"""More repeated sentences than this is a model in a loop."""
MOST_NEW = 12
"""Statements with something new that one judgement can bear; more is a new answer."""
LEAST_LETTERS = 20
"""A text of fewer has no script to speak of."""

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
        "another script",
        "another language",
        "much shorter",
        "much longer",
        "repeats itself",
        "too much is new",
    ]
    | Loss
    | LossOfForm
)

_SENTENCE = re.compile(r"[^.!?\n。！？]+")  # noqa: RUF001  # full-width stops end sentences too


@dataclass(frozen=True, kw_only=True)  # not slotted: cached_property keeps its value in __dict__
class Change:
    """An answer and the candidate to replace it, with all that may speak for the change.

    `critique` and `findings` are of the answer that is there, not of the candidate.
    """

    best: Completion
    candidate: Completion
    conversation: Conversation
    form: AnswerForm
    critique: Critique | None = None
    findings: tuple[Finding, ...] = ()

    @cached_property
    def texts_before(self) -> tuple[str, ...]:
        """What the answer says: of JSON the values, of prose all."""
        return _said(self.best.text.strip(), self.form)

    @cached_property
    def texts_after(self) -> tuple[str, ...]:
        """What the candidate says."""
        return _said(self.candidate.text.strip(), self.form)

    @cached_property
    def before(self) -> Said:
        """What the answer says, point by point."""
        return said(self.texts_before)

    @cached_property
    def after(self) -> Said:
        """What the candidate says, point by point."""
        return said(self.texts_after)

    @cached_property
    def rejected(self) -> Rejected:
        """What the critique found wrong."""
        return rejected(self.critique, self.findings)

    @property
    def should_shorten(self) -> bool:
        """Whether the user or the critique wants it shorter."""
        return self.conversation.asks_for_brevity or self.rejected.length

    @property
    def asked(self) -> str:
        """The user's last words."""
        turns = self.conversation.messages
        return next((one.text for one in reversed(turns) if one.role == "user"), "")


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
    return Inspection(objection="too much is new") if len(new) > MOST_NEW else Inspection(unsupported=new)


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
    """What the draft refused stays refused, in words as in the field for it (ADR 13)."""
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


def _another_language(change: Change) -> Iterator[Objection]:
    """The language stays, or becomes the user's own where the answer missed it."""
    before, after = _statements(change.before), _statements(change.after)
    wishes = plain(change.asked[-4000:])
    asked = said([change.asked[-4000:]])
    was, now = _script(before), _script(after)
    if was and now and was != now and (now != _script(_statements(asked)) or _is_named(was, wishes)):
        yield "another script"
    spoke, speaks = language_of(before), language_of(after)
    if spoke is None:
        return
    allowed = {spoke} | named(wishes)
    if spoke not in named(wishes):
        allowed.add(language_of(_statements(asked)) or spoke)
    if speaks is not None and speaks not in allowed:
        yield "another language"
    held = {language_of(part) for part in _parts(change.texts_before)}
    for part in _parts(change.texts_after):
        told = language_of(part)
        if told is not None and told not in allowed and told not in held:
            yield "another language"


def _another_form(change: Change) -> Iterator[Objection]:
    if change.form.is_json:
        return
    system = [m.text for m in change.conversation.messages if m.role in {"system", "developer"}]
    wanted = wanted_form([*system, change.asked])
    critical = change.critique is not None and change.critique.misses_critical
    lost = loss_of_form(wanted, change.best.text, change.candidate.text, room=critical)
    if lost is not None:
        yield lost


def _another_size(change: Change) -> Iterator[Objection]:
    was, now = (sum(map(len, texts)) for texts in (change.texts_before, change.texts_after))
    if not change.should_shorten and now < KEPT_SHARE * was:
        yield "much shorter"
    brief = change.conversation.asks_for_brevity
    times, room = (GROWN_WHEN_BRIEF, ROOM_WHEN_BRIEF) if brief else (GROWN, ROOM)
    if now > max(times * was, was + room):
        yield "much longer"
    most = max(REPEATED_SHARE, _most_repeated(change.texts_before))
    if _most_repeated(change.texts_after) > most:
        yield "repeats itself"


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
    _another_language,
    _another_size,
    _another_form,
    _lost,
)
"""In this order; the first objection stands."""


def _said(text: str, form: AnswerForm) -> tuple[str, ...]:
    """Return what an answer says: the values if it is JSON or holds it, as in a fence; else all."""
    value = form.read(text) or form.read(text[text.find("{") : text.rfind("}") + 1])
    return (text,) if value is None else tuple(words(value))


def _same(one: Json, other: Json) -> bool:
    """Say whether two values are the same JSON; Python holds `true` and `1` for equal."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def _statements(of: Said) -> list[Statement]:
    return [one.statement for one in of.points]


def _parts(texts: Iterable[str]) -> Iterator[list[Statement]]:
    """Yield the paragraphs of texts, each as statements."""
    for text in texts:
        for part in re.split(r"\n[ \t]*\n", text):
            yield _statements(said([part]))


def _script(listed: Iterable[Statement]) -> str:
    text = " ".join(one.plain for one in listed)
    return script(text) if sum(map(str.isalpha, text[: 10 * LEAST_LETTERS])) >= LEAST_LETTERS else ""


def _is_named(written: str, wishes: str) -> bool:
    """Say whether the user named a language of that script."""
    return bool(named(wishes) & _IN_SCRIPT.get(written, frozenset({written})))


_IN_SCRIPT = {
    "LATIN": frozenset("en es pt fr it de nl sv da pl ro cs tr id vi sw tl".split()),
    "CYRILLIC": frozenset({"ru", "uk", "bg"}),
    "ARABIC": frozenset({"ar", "fa", "ur"}),
    "DEVANAGARI": frozenset({"hi", "mr", "ne"}),
}


def _most_repeated(texts: Iterable[str]) -> float:
    """Return the largest share that any of the texts repeats; values may well be alike."""
    return max(map(_repeats, texts), default=0.0)


def _repeats(text: str) -> float:
    """Return the share of sentences that were said before."""
    sentences = [" ".join(one.split()).casefold() for one in _SENTENCE.findall(text)]
    sentences = [one for one in sentences if one]
    return 1 - len(set(sentences)) / len(sentences) if sentences else 0.0
