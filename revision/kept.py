"""What a candidate has lost of the answer that it would replace, without the critique's leave.

Of urgent advice, emergency numbers, doses, readings and warnings about a medicine nothing may be
lost. Of other statements of weight some may: a revision that says things anew joins and drops them,
and one lost in many is no reason to refuse it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Literal

from revision.points import Point, Said
from revision.rejected import Rejected
from revision.urgency import EMERGENCY_NUMBERS, Urgency

CUT_SHARE, CUT_SHARE_WHEN_SHORTENED = 0.34, 0.67
"""Of the statements with figures, medicines or danger signs; more than this must not vanish."""
FEWEST_CUT = 2
URGENT_SHARE = 0.5
"""Of the urgent statements, where the most urgent one is kept: a list may well become one."""
FLAGS_WHEN_SHORTENED = 0.5
"""Of the danger signs, where the user or the critique wants the answer shorter."""

LossOfContent = Literal[
    "emergency number lost",
    "urgent advice lost",
    "red flag lost",
    "dose lost",
    "medicine warning lost",
    "correct statements cut",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two answers and what the critique of the first has rejected. `shortened`: so it should be."""

    before: Said
    after: Said
    rejected: Rejected
    shortened: bool

    def losses(self) -> Iterator[LossOfContent]:
        """Yield what was lost without cause, gravest first."""
        if self._lost_number():
            yield "emergency number lost"
        if self._lost_urgency():
            yield "urgent advice lost"
        if self._lost_flags():
            yield "red flag lost"
        if self._beyond_pardon(self._without_dose()):
            yield "dose lost"
        if self._beyond_pardon(self._without_warning()):
            yield "medicine warning lost"
        if self._cut_too_much():
            yield "correct statements cut"

    def _lost_number(self) -> bool:
        lost = self.before.emergency_numbers - self.after.emergency_numbers
        if not lost or self.rejected.too_urgent:
            return False
        named = self.rejected.all.emergency_numbers
        corrected = bool(self.after.emergency_numbers) and bool(lost & named)
        return bool(lost & EMERGENCY_NUMBERS) and not corrected

    def _lost_urgency(self) -> bool:
        if self.rejected.too_urgent or self.before.urgency < Urgency.AT_ONCE:
            return False
        if self.after.urgency < self.before.urgency:
            return True
        had, has = (_urgent(one) for one in (self.before, self.after))
        return not self.shortened and has < URGENT_SHARE * had

    def _lost_flags(self) -> bool:
        had = self.before.flags
        if self.before.urgency == Urgency.NONE:
            return False  # a text on a disease names its signs without warning anyone of them
        lost = {kind for kind in had - self.after.flags if not self.rejected.flag(kind)}
        if self.shortened:
            return len(lost) > FLAGS_WHEN_SHORTENED * len(had)
        return bool(lost)

    def _without_dose(self) -> Iterator[Point]:
        return (
            point
            for point in self.before.points
            if any(
                one.is_strict and not self.after.has(one) and not self.rejected.figure(one, point)
                for one in point.figures
            )
        )

    def _without_warning(self) -> Iterator[Point]:
        return (
            point
            for point in self.before.points
            if point.is_caution
            and any(
                not self.rejected.medicine(name, point)
                for name in point.medicines - self.after.warned_of
            )
        )

    def _beyond_pardon(self, lost: Iterator[Point]) -> bool:
        """Say whether more was lost than the one statement that an unnamed fault may stand for."""
        pardoned = 1 if self.rejected.any_one else 0
        return next(islice(lost, pardoned, None), None) is not None

    def _cut_too_much(self) -> bool:
        weighty = [one for one in self.before.points if one.has_weight]
        cut = [one for one in weighty if not self.after.keeps(one) and not self.rejected.point(one)]
        most = CUT_SHARE_WHEN_SHORTENED if self.shortened else CUT_SHARE
        return len(cut) >= FEWEST_CUT and len(cut) > most * len(weighty)


def _urgent(said: Said) -> int:
    """Return how many statements advise urgency."""
    return sum(one.urgency >= Urgency.AT_ONCE for one in said.points)
