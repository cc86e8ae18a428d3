"""Urgent advice and red flags in a text, in the languages that the lists know.

What is not listed is not seen: in such a language these rules say nothing, and the critical
criteria of the rubric decide alone.
"""

import re
from enum import IntEnum
from functools import cache
from typing import cast

from retrieval.red_flags import red_flag
from revision import phrases
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
    if emergency_numbers(statement) and not _negated(statement, places=[_first_number(statement)]):
        return Urgency.EMERGENCY
    if _affirmed(known["at_once"], statement):
        return Urgency.AT_ONCE
    return Urgency.DOCTOR if phrases.first(known["see"], statement) else Urgency.NONE


def speaks_of_urgency(statement: Statement) -> bool:
    """Say whether a statement speaks of urgent help at all, negated or not."""
    known = _lists()
    return any(phrases.first(known[name], statement) for name in ("emergency", "at_once")) or bool(
        emergency_numbers(statement)
    )


def emergency_numbers(statement: Statement) -> frozenset[str]:
    """Return the emergency numbers that a statement names."""
    found = set(_NUMBER.findall(statement.plain))
    if found & _MORE_NUMBERS and not phrases.first(_lists()["call"], statement):
        found -= _MORE_NUMBERS
    return frozenset(found & (EMERGENCY_NUMBERS | _MORE_NUMBERS))


def red_flags(statement: Statement) -> frozenset[str]:
    """Return the danger signs that a statement names, by kind."""
    found = {kind for kind, signs in _flags().items() if phrases.first(signs, statement)}
    if not found and statement.plain.isascii() and red_flag(statement.plain) is not None:
        found.add("other")
    return frozenset(found)


def is_caution(statement: Statement) -> bool:
    """Say whether a statement warns of something."""
    return phrases.first(_lists()["caution"], statement) is not None


def _affirmed(known: tuple[str, ...], statement: Statement) -> bool:
    found = phrases.places(known, statement)
    return bool(found) and not _negated(statement, places=found)


def _negated(statement: Statement, *, places: list[int]) -> bool:
    """Say whether all these places are negated, as in "no need to"; "do not wait" is none."""
    known = _lists()
    return all(_is_no(statement.padded[max(0, at - _LOOK_BACK) : at + 1], known) for at in places)


def _is_no(before: str, known: dict[str, tuple[str, ...]]) -> bool:
    at = max((before.rfind(one) for one in known["not"]), default=-1)
    return at >= 0 and not any(one in before[at:] for one in known["wait"])


def _first_number(statement: Statement) -> int:
    numbers = sorted(emergency_numbers(statement), key=statement.padded.find)
    return max(0, statement.padded.find(f" {numbers[0]}"))


@cache
def _lists() -> dict[str, tuple[str, ...]]:
    listed = phrases.load("urgency")
    by_language = ("emergency", "at_once", "not")
    return {
        **{
            name: phrases.prepared(
                phrase
                for words in cast(dict[str, list[str]], listed[name]).values()
                for phrase in words
            )
            for name in by_language
        },
        **{
            name: phrases.prepared(cast(list[str], listed[name]))
            for name in ("wait", "call", "see", "caution")
        },
    }


@cache
def _flags() -> dict[str, tuple[str, ...]]:
    listed = cast(dict[str, list[str]], phrases.load("urgency")["flags"])
    return {kind: phrases.prepared(signs) for kind, signs in listed.items()}
