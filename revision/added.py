"""Medicines and figures in a candidate that nobody gave before it: they are judged on their own.

Support is what the user, a tool or the operator said, the answer before, and criteria that
physicians wrote. A criterion that the model worded supports nothing, nor does its written critique:
a figure that it invented there would vouch for itself.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from revision.points import Point, Said, said
from revision.rubric import Rubric

MOST_READ = 200_000
"""Characters of a conversation, from its end; what stands before supports nothing."""
LONGEST_SHOWN = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsupported:
    """A statement of the candidate, and what in it is new."""

    statement: str
    items: tuple[str, ...]


def support(before: Said, turns: Iterable[str], rubric: Rubric | None) -> Said:
    """Return all that a candidate may draw its medicines and figures from."""
    cited = () if rubric is None else rubric.criteria
    texts = [*_last(turns), *(one.text for one in cited if one.origin != "new")]
    return Said(points=(*before.points, *said(texts).points))


def unsupported(after: Said, known: Said) -> tuple[Unsupported, ...]:
    """Return the candidate's statements with medicines or figures that are not known."""
    found: dict[str, Unsupported] = {}
    for point in after.points:
        items = tuple(dict.fromkeys(_new(point, known)))
        if items:
            shown = point.statement.shown[:LONGEST_SHOWN]
            found.setdefault(shown, Unsupported(statement=shown, items=items))
    return tuple(found.values())


def _new(point: Point, known: Said) -> Iterator[str]:
    for mention in point.mentions:
        if mention.name not in known.medicines:
            yield mention.shown
    moved = {key for key, name in point.pairs if _is_moved(key, name, known)}
    for figure in point.figures:
        if not known.has(figure) or figure.key in moved:
            yield figure.shown


def _is_moved(key: tuple[float, str], name: str | None, known: Said) -> bool:
    """Say whether a known dose is here another medicine's."""
    of = {medicine for other, medicine in known.pairs if other == key}
    return name is not None and bool(of) and None not in of and name not in of


def _last(turns: Iterable[str]) -> list[str]:
    """Return the turns, the oldest cut off where they are too long."""
    kept: list[str] = []
    left = MOST_READ
    for turn in reversed(list(turns)):
        kept.append(turn[-left:] if left else "")
        left = max(0, left - len(turn))
    return kept[::-1]
