"""What the critique of an answer rejected: only that may go from it, and only for that reason.

Criteria are mostly English and answers are not, so a rejection is matched by its figures, by its
medicines and their classes, and by common words only where there are some. Urgent advice is
rejected by a criterion alone, which was fixed before the answer was there, and never by the words
of a written critique, which whoever wrote the answer or the question may have steered.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from revision.critique import Critique, Finding
from revision.figures import Figure
from revision.medicines import class_of
from revision.points import Point, Said, said
from revision.rubric import Criterion
from revision.urgency import Urgency, speaks_of_urgency

SHARED_WORDS, SHARED_SHARE = 3, 0.4
"""A statement with so many words of what was rejected, or two that are much of it, is meant."""
HEAVY = 8
"""Points from which a prohibition that names nothing may mean any one statement."""

_OF_DOSES = re.compile(
    r"\b(?:dos(?:e|es|age|ing|is)|posolog\w*|amount|strength|overdose|regimen|threshold|figure|"
    r"number|calculat\w*|value)\b",
    re.IGNORECASE,
)
_OF_LENGTH = re.compile(
    r"\b(?:length|long|longer|brief\w*|concise\w*|succinct\w*|short|shorter|verbos\w*|bulk|padd\w*|"
    r"repetit\w*|repeat\w*|unrequested|unnecessar\w*|irrelevant|unneeded|filler|digress\w*|wordy|"
    r"does not serve|not need(?:ed)?|off[- ]topic)\b",
    re.IGNORECASE,
)
_ASKS_FOR_MORE = re.compile(
    r"\b(?:wait\w*|delay\w*|instead|discourag\w*|without|not|fail\w*|before|postpon\w*|dismiss\w*|"
    r"drive|omit\w*|lack\w*|miss\w*|rather than|only|plays? down|downplay\w*|reassur\w*)\b",
    re.IGNORECASE,
)


_NEEDLESS = re.compile(r"\b(?:without|no|not)\b (?:any )?(?:need|reason|cause|indication)\w*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """What was found wrong: in `all` by criteria and written critique, in `forbidden` by criteria.

    `length` says that the answer was found too long. `any_one` says that something was found wrong
    that the critique does not name: one statement, whichever it is, may go.
    """

    all: Said
    forbidden: Said
    length: bool = False
    any_one: bool = False
    too_urgent: bool = False

    def figure(self, figure: Figure, point: Point) -> bool:
        """Say whether a figure of this point was rejected."""
        return self.all.has(figure) or any(
            self._same_medicine(one, point)
            or (figure.is_dose and not one.medicines and _OF_DOSES.search(one.statement.plain))
            or _overlap(one, point)
            for one in self.all.points
        )

    def medicine(self, name: str, point: Point) -> bool:
        """Say whether a medicine that this point names was rejected."""
        return any(
            name in one.medicines or class_of(name) in one.classes or _overlap(one, point)
            for one in self.all.points
        )

    def flag(self, kind: str) -> bool:
        """Say whether a danger sign was rejected."""
        return self.too_urgent or kind in self.forbidden.flags

    def point(self, point: Point) -> bool:
        """Say whether a whole point was rejected."""
        return (
            any(self.figure(one, point) for one in point.figures)
            or any(self.medicine(name, point) for name in point.medicines)
            or any(map(self.flag, point.flags))
            or (self.too_urgent and point.urgency >= Urgency.AT_ONCE)
            or any(_overlap(one, point) for one in self.all.points)
        )

    def _same_medicine(self, one: Point, point: Point) -> bool:
        named = {class_of(name) for name in point.medicines}
        return not one.medicines.isdisjoint(point.medicines) or not one.classes.isdisjoint(named)


def rejected(critique: Critique | None, findings: Iterable[Finding]) -> Rejected:
    """Return what a critique rejected; nothing where there is none."""
    unmet = sorted(critique.unmet) if critique is not None else []
    criteria = {n: critique.rubric.criteria[n] for n in unmet} if critique is not None else {}
    problems = {one.criterion: one.problem for one in findings if one.criterion in criteria}
    texts = [one.text for one in criteria.values()]
    forbids = [one for one in criteria.values() if one.kind == "forbid"]
    return Rejected(
        all=said([*texts, *problems.values()]),
        forbidden=said(one.text for one in forbids if not _asks_for_more(one)),
        length=any(_OF_LENGTH.search(text) for text in [*texts, *problems.values()]),
        any_one=any(
            _names_nothing(one) and number not in problems for number, one in criteria.items()
        ),
        too_urgent=any(map(_is_against_urgency, criteria.values())),
    )


def _is_against_urgency(criterion: Criterion) -> bool:
    """Say whether a criterion that is not met finds the answer too urgent."""
    points = said([criterion.text]).points
    speaking = [one for one in points if speaks_of_urgency(one.statement)]
    if criterion.kind == "require":
        return bool(speaking) and all(one.urgency < Urgency.AT_ONCE for one in speaking)
    return bool(speaking) and not _asks_for_more(criterion)


def _asks_for_more(criterion: Criterion) -> bool:
    """Say whether a prohibition is one of doing too little, as "tells the reader to wait"."""
    return _ASKS_FOR_MORE.search(_NEEDLESS.sub("", criterion.text.lower())) is not None


def _names_nothing(criterion: Criterion) -> bool:
    """Say whether a criterion forbids something grave without saying what, as "a false claim"."""
    if criterion.kind != "forbid" or not (criterion.critical or criterion.points >= HEAVY):
        return False
    points = said([criterion.text]).points
    return not any(one.figures or one.medicines or one.classes or one.flags for one in points)


def _overlap(one: Point, point: Point) -> bool:
    shared = len(one.stems & point.stems)
    return shared >= SHARED_WORDS or shared >= max(2, SHARED_SHARE * len(point.stems))
