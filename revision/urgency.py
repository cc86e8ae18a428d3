"""Urgent advice and red flags in a text, in the languages that the lists know.

What is not listed is not seen: in such a language these rules say nothing, and the critical
criteria of the rubric decide alone.
"""

import re
from enum import IntEnum
from functools import cache, lru_cache
from typing import cast

from retrieval.red_flags import red_flag
from revision.phrases import Phrases, load, searched
from revision.statements import Statement

EMERGENCY_NUMBERS = frozenset({"911", "112", "999", "988", "000", "111"})
"""Told by their digits alone; others, which may well be doses, only where one is told to call."""

_MORE_NUMBERS = frozenset(
    [
        "15",
        "17",
        "18",
        "061",
        "100",
        "102",
        "103",
        "104",
        "108",
        "110",
        "113",
        "115",
        "116",
        "117",
        "118",
        "119",
        "120",
        "122",
        "123",
        "144",
        "190",
        "191",
        "192",
        "193",
        "194",
        "995",
        "997",
        "998",
        "1122",
    ]
)
_NUMBER = re.compile(
    r"(?<![\d.,/+-])(\d{2,4})(?![\d%]|[.,/:-]\d| ?(?:mg|mcg|µg|g|kg|ml|l|mm|mmhg|bpm|iu|мг|мл)\b)"
)
_LOOK_BACK = 32
"""Characters in which a negation is sought: some five words."""


class Urgency(IntEnum):
    """How soon help should be sought: not said, from a doctor, at once, as an emergency."""

    NONE = 0
    DOCTOR = 1
    AT_ONCE = 2
    EMERGENCY = 3


def urgency(statement: Statement) -> Urgency:
    """Return the most urgent advice of a statement; what is negated advises nothing."""
    known = _lists()
    if _affirmed(known["emergency"], statement):
        return Urgency.EMERGENCY
    numbers = [statement.padded.find(f" {one}") for one in emergency_numbers(statement)]
    if numbers and not _negated(statement, numbers):
        return Urgency.EMERGENCY
    if _affirmed(known["at_once"], statement):
        return Urgency.AT_ONCE
    return Urgency.DOCTOR if known["see"].are_in(statement) else Urgency.NONE


def speaks_of_urgency(statement: Statement) -> bool:
    """Say whether a statement speaks of urgent help at all, negated or not."""
    known = _lists()
    spoken = known["emergency"].are_in(statement) or known["at_once"].are_in(statement)
    return spoken or bool(emergency_numbers(statement))


def emergency_numbers(statement: Statement) -> frozenset[str]:
    """Return the emergency numbers that a statement names."""
    found = set(_NUMBER.findall(statement.plain))
    if found & _MORE_NUMBERS and not _lists()["call"].are_in(statement):
        found -= _MORE_NUMBERS
    return frozenset(found & (EMERGENCY_NUMBERS | _MORE_NUMBERS))


def red_flags(statement: Statement) -> frozenset[str]:
    """Return the danger signs that a statement names, by kind."""
    kinds, signs = _flags()
    found = {kind for sign, _ in signs.found(statement) for kind in kinds[sign]}
    if not found and statement.plain.isascii() and red_flag(statement.plain) is not None:
        found.add("other")
    return frozenset(found)


def is_caution(statement: Statement) -> bool:
    """Say whether a statement warns of something."""
    return _lists()["caution"].are_in(statement)


def _affirmed(known: Phrases, statement: Statement) -> bool:
    found = [place for _, place in known.found(statement)]
    return bool(found) and not _negated(statement, found)


def _negated(statement: Statement, places: list[int]) -> bool:
    """Say whether all these places are negated, as in "no need to"; "do not wait" is none."""
    return all(_is_no(statement.padded[max(0, at - _LOOK_BACK) : at + 1]) for at in places)


@lru_cache(maxsize=4096)
def _is_no(before: str) -> bool:
    said = Statement(shown=before, plain=before)
    at = max((place for _, place in _lists()["not"].found(said)), default=-1)
    if at < 0:
        return False
    return all(place < at for _, place in _lists()["wait"].found(said))


@cache
def _lists() -> dict[str, Phrases]:
    listed = load("urgency")
    by_language = cast(dict[str, dict[str, list[str]]], listed)
    plain_lists = cast(dict[str, list[str]], listed)
    return {
        name: Phrases(phrase for some in by_language[name].values() for phrase in some)
        for name in ("emergency", "at_once", "not")
    } | {name: Phrases(plain_lists[name]) for name in ("wait", "call", "see", "caution")}


@cache
def _flags() -> tuple[dict[str, list[str]], Phrases]:
    """Return the kinds that each sign is of, and the signs."""
    listed = cast(dict[str, list[str]], load("urgency")["flags"])
    kinds: dict[str, list[str]] = {}
    for kind, signs in listed.items():
        for sign in signs:
            kinds.setdefault(searched(sign), []).append(kind)
    return kinds, Phrases(sign for signs in listed.values() for sign in signs)
