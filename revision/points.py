"""What a text says that may do harm or prevent it: its figures, medicines and urgent advice.

Two answers are compared point by point, never word by word: a revision may say everything anew.
"""

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from revision.figures import DEGREES, Figure, Key, figures
from revision.language import is_small
from revision.medicines import Mention, classes, medicines
from revision.statements import Statement, statements
from revision.urgency import Urgency, emergency_numbers, is_caution, red_flags, urgency

FEVER = 37.5
_CONTENT_WORD = 4
_STEM = 6

Pair = tuple[Key, str | None]
"""A dose and the medicine that it is of; None where the statement names none."""


@dataclass(frozen=True, kw_only=True)  # not slotted: cached_property keeps its value in __dict__
class Point:
    """One statement, read. Everything but the statement is read when it is asked for."""

    statement: Statement

    @cached_property
    def figures(self) -> tuple[Figure, ...]:
        """Its doses, readings, times and numbers."""
        return figures(self.statement)

    @cached_property
    def mentions(self) -> tuple[Mention, ...]:
        """The medicines that it names, as it names them."""
        return medicines(self.statement)

    @cached_property
    def medicines(self) -> frozenset[str]:
        """The medicines that it names."""
        return frozenset(one.name for one in self.mentions)

    @cached_property
    def classes(self) -> frozenset[str]:
        """The classes of medicines that it speaks of."""
        return classes(self.statement)

    @cached_property
    def urgency(self) -> Urgency:
        """How urgently it sends its reader for help."""
        return urgency(self.statement)

    @cached_property
    def flags(self) -> frozenset[str]:
        """The danger signs that it names; a temperature of the body speaks of fever."""
        hot = any(one.unit == DEGREES and one.value >= FEVER for one in self.figures)
        return red_flags(self.statement) | ({"fever"} if hot else set())

    @cached_property
    def is_caution(self) -> bool:
        """Whether it warns."""
        return is_caution(self.statement)

    @cached_property
    def emergency_numbers(self) -> frozenset[str]:
        """The emergency numbers that it names."""
        return emergency_numbers(self.statement)

    @cached_property
    def stems(self) -> frozenset[str]:
        """The beginnings of the words that say what it is about."""
        said_of = (word for word in self.statement.words if len(word) >= _CONTENT_WORD)
        return frozenset(word[:_STEM].rstrip("s") for word in said_of if not is_small(word))

    @cached_property
    def pairs(self) -> frozenset[Pair]:
        """Its doses, each with the medicine named last before it, or else first after it."""
        named = sorted(self.mentions, key=lambda one: one.place)
        places = [one.place for one in named]
        found: set[Pair] = set()
        for figure in self.figures:
            if figure.is_dose:
                before = bisect_left(places, figure.place)
                nearest = named[max(0, before - 1)].name if named else None
                found.add((figure.key, nearest))
        return frozenset(found)

    @property
    def has_weight(self) -> bool:
        """Whether it says anything that must not vanish without cause."""
        return bool(self.figures or self.medicines or self.flags or self.urgency >= Urgency.AT_ONCE)


@dataclass(frozen=True, kw_only=True)
class Said:
    """All points of a text, or of several."""

    points: tuple[Point, ...]

    @cached_property
    def medicines(self) -> frozenset[str]:
        """All medicines named."""
        return frozenset(name for one in self.points for name in one.medicines)

    @cached_property
    def warned_of(self) -> frozenset[str]:
        """The medicines that are named where something is warned of, or right before it."""
        following = [*self.points[1:], *self.points[-1:]]
        return frozenset(
            name
            for one, after in zip(self.points, following, strict=True)
            if one.is_caution or after.is_caution
            for name in one.medicines
        )

    @cached_property
    def flags(self) -> frozenset[str]:
        """All danger signs."""
        return frozenset(kind for one in self.points for kind in one.flags)

    @cached_property
    def urgency(self) -> Urgency:
        """The most urgent advice."""
        return max((one.urgency for one in self.points), default=Urgency.NONE)

    @cached_property
    def emergency_numbers(self) -> frozenset[str]:
        """All emergency numbers."""
        return frozenset(number for one in self.points for number in one.emergency_numbers)

    @cached_property
    def pairs(self) -> frozenset[Pair]:
        """All doses with their medicines."""
        return frozenset(pair for one in self.points for pair in one.pairs)

    @cached_property
    def _with_unit(self) -> frozenset[Key]:
        return frozenset(k for one in self.points for f in one.figures if f.unit for k in f.alike)

    @cached_property
    def _bare(self) -> frozenset[float]:
        return frozenset(f.number for one in self.points for f in one.figures if not f.unit)

    @cached_property
    def _numbers(self) -> frozenset[float]:
        return frozenset(f.number for one in self.points for f in one.figures)

    def has(self, figure: Figure) -> bool:
        """Say whether a figure is said here, in whatever unit; one of the two may have none."""
        if not figure.unit:
            return figure.number in self._numbers
        return figure.number in self._bare or not figure.alike.isdisjoint(self._with_unit)

    def keeps(self, point: Point) -> bool:
        """Say whether anything of a point's weight is said here."""
        return (
            any(map(self.has, point.figures))
            or not point.medicines.isdisjoint(self.medicines)
            or not point.flags.isdisjoint(self.flags)
            or Urgency.AT_ONCE <= point.urgency <= self.urgency
        )


def said(texts: Iterable[str]) -> Said:
    """Return what some texts say; what is said twice is read once."""
    read: dict[str, Point] = {}
    listed = (one for text in texts for one in statements(text))
    return Said(points=tuple(read.setdefault(one.shown, Point(statement=one)) for one in listed))
