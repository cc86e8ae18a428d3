"""Figures in a text: doses, readings, times and other numbers, so that two texts can be compared.

`0.5 g`, `500 mg` and the same in Arabic digits are one figure. A figure is compared by its value in
a base unit, not by its digits: a revision may write the same dose otherwise, and no other one.
"""

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import regex

from revision.statements import Statement, plain

Key = tuple[float, str]
Unit = tuple[str, float]
"""A base unit and how much of it this one is."""

STRICT = frozenset(
    {"degree", "mass", "mass/kg", "iu", "ml", "ml/kg", "iu/kg", "mmol", "mass/dl", "mmhg", "%"}
)
"""Units of doses and readings: of these none may be lost."""
DRINK_ML = 250
"""From here on it is something to drink: how much of it may be said otherwise."""
DEGREES, FAHRENHEIT = "degree", "fahrenheit"
HOTTEST = 60
"""No body is so hot: more degrees than that, of no scale, are Fahrenheit's."""
_DOSES = frozenset({"mass", "ml", "iu", "tablet", "puff", "drop", "mmol"})
_TOKEN = regex.compile(  # a number behind a letter, as in B12, is a name
    r"[\p{Latin}]++\d[\p{Latin}\d]*+|covid-19|\d++(?:[.,']\d++)*+|[\p{L}\p{M}]++|\S"
)
_THOUSANDS = re.compile(r"[1-9]\d{0,2}(?:[.,']\d{3})+")
_DIGIT = re.compile(r"\d")
_LONGEST = 30
"""Digits beyond this are no dose; a number so long is compared by its beginning."""
_PER = frozenset({"/", "per", "por", "par", "pro", "на"})
_BEFORE_A_UNIT = frozenset({"-", "more", "full", "whole", "consecutive", "個"})
_DEGREE_WORDS = frozenset(
    ["°", "degrees", "degree", "grados", "degres", "grad", "graus", "gradi", "градусов", "度"]
)
_HARDLY = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A number with its unit.

    `number` is what is written, `value` what it is in the unit's base (mg, ml, hours); `unit` is
    empty for a bare number. `place` is where it stands in the plain statement.
    """

    number: float
    value: float
    unit: str
    shown: str
    place: int

    @property
    def key(self) -> Key:
        """What makes two figures the same."""
        return (self.value, self.unit)

    @property
    def is_dose(self) -> bool:
        """Whether it is an amount of something to take."""
        return self.unit.partition("/")[0] in _DOSES

    @property
    def is_strict(self) -> bool:
        """Whether it is a dose or a reading, of which none may be lost."""
        return self.unit in STRICT and not (self.unit == "ml" and self.value >= DRINK_ML)

    @property
    def alike(self) -> frozenset[Key]:
        """The keys that say the same: every eight hours is three times a day."""
        keys = {self.key}
        if self.unit in {"hour", "times"} and self.value > 0 and _is_whole(24 / self.value):
            keys.add((round(24 / self.value, 4), "times" if self.unit == "hour" else "hour"))
        return frozenset(keys)


def figures(statement: Statement) -> tuple[Figure, ...]:
    """Return the figures of a statement, in order."""
    if not _DIGIT.search(statement.plain) and _tables()[1].keys().isdisjoint(statement.words):
        return ()
    return tuple(_read([(one.group(), one.start()) for one in _TOKEN.finditer(statement.plain)]))


def _read(placed: list[tuple[str, int]]) -> Iterator[Figure]:
    """Yield the figures; the first of "4 to 6 hours" has its unit from the second."""
    _, numbers, between = _tables()
    tokens = [token for token, _ in placed]
    found: list[Figure] = []
    carried: Unit | None = None
    for place in range(len(tokens) - 1, -1, -1):
        token = tokens[place]
        spoken = numbers.get(token)
        if spoken is None and not token[0].isdigit():
            carried = carried if token in between else None
            continue
        own, length = _unit_after(tokens, place + 1)
        carried = own or carried
        if spoken is not None and carried is None:
            continue  # "one" alone is an article, and says nothing about a dose
        shown = " ".join(tokens[place : place + 1 + length])
        number = _value(token) if spoken is None else spoken
        value, unit = _in_base(number, carried or ("", 1.0))
        found.append(
            Figure(number=number, value=value, unit=unit, shown=shown, place=placed[place][1])
        )
    yield from reversed(found)


def _in_base(number: float, unit: Unit) -> tuple[float, str]:
    name, factor = unit
    if name == FAHRENHEIT or (name == DEGREES and number > HOTTEST):
        return round((number - 32) * 5 / 9, 1), DEGREES
    return round(number * factor, 1 if name == DEGREES else 4), name


def _unit_after(tokens: list[str], place: int) -> tuple[Unit | None, int]:
    """Return the unit that stands at this place and how many tokens it takes."""
    units, _, _ = _tables()
    token, following, third = (*tokens[place : place + 3], "", "", "")[:3]
    if token in _DEGREE_WORDS:
        scale = FAHRENHEIT if following in {"f", "fahrenheit"} else DEGREES
        return (scale, 1.0), 2 if following in {"c", "f", "celsius", "fahrenheit"} else 1
    if token in {"f", "fahrenheit", "c", "celsius"}:
        return (FAHRENHEIT if token.startswith("f") else DEGREES, 1.0), 1
    if token in _BEFORE_A_UNIT and following in units:  # "a 3-day course", "2 more days"
        return units[following], 2
    unit = units.get(token) or _glued(token, units)
    if unit is None:
        return None, 0
    per = "dl" if third == "dl" else units.get(third, ("", 0.0))[0]
    if following in _PER and per in {"dl", "kg"}:
        return (f"{unit[0]}/{per}", unit[1]), 3
    return unit, 1


def _glued(token: str, units: dict[str, Unit]) -> Unit | None:
    """Return the unit that a word of a script without blanks begins with."""
    if not "\u3040" <= token[:1] <= "\ud7af":
        return None
    beginnings = (token[:length] for length in (4, 3, 2, 1))
    return next((units[one] for one in beginnings if one in units), None)


def _value(digits: str) -> float:
    digits = digits[:_LONGEST]
    if _THOUSANDS.fullmatch(digits):
        return float(re.sub(r"[.,']", "", digits))
    whole, *rest = re.split(r"[.,']", digits)
    return float(f"{whole}.{''.join(rest)}") if len(rest) == 1 else float("".join([whole, *rest]))


def _is_whole(value: float) -> bool:
    return math.isfinite(value) and abs(value - round(value)) < _HARDLY


@cache
def _tables() -> tuple[dict[str, Unit], dict[str, float], frozenset[str]]:
    """Return units with base and factor, number words, and what stands between two numbers."""
    listed = json.loads((Path(__file__).parent / "data" / "units.json").read_text("utf-8"))
    listed.pop("source")
    numbers = {
        plain(word): float(value)
        for value, names in listed.pop("words").items()
        for word in names.split()
    }
    between = frozenset(plain(word) for word in listed.pop("between").split())
    units = {
        plain(word): (base, float(factor))
        for base, scales in listed.items()
        for factor, names in scales.items()
        for word in names.split()
    }
    return units, numbers, between
