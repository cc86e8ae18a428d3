"""Whether a candidate has a sane length beside the answer that it would replace."""

import re
from collections.abc import Iterable, Iterator
from typing import Literal

from revision.change import Change

KEPT_SHARE = 0.5
"""A revision of less than half the length has cut something; unless brevity was asked for."""
GROWN, GROWN_WHEN_BRIEF = 4.0, 2.0
"""Times the length of the answer before; more is not the same answer made better."""
ROOM, ROOM_WHEN_BRIEF = 3000, 600
"""Characters that any answer may gain: a one-line draft may have to become a full answer."""
REPEATED_SHARE = 0.5
"""More repeated sentences than this is a model in a loop."""

WrongSize = Literal["much shorter", "much longer", "repeats itself"]

_SENTENCE = re.compile(r"[^.!?\n。！？]+")  # noqa: RUF001  # full-width stops end sentences too


def another_size(change: Change) -> Iterator[WrongSize]:
    """Yield what is wrong with the candidate's length."""
    was, now = (sum(map(len, texts)) for texts in (change.texts_before, change.texts_after))
    shrunk = not change.should_shorten and now < KEPT_SHARE * was
    if shrunk and now < KEPT_SHARE * (was - _rejected(change)):
        yield "much shorter"
    brief = change.conversation.asks_for_brevity
    times, room = (GROWN_WHEN_BRIEF, ROOM_WHEN_BRIEF) if brief else (GROWN, ROOM)
    if now > max(times * was, was + room):
        yield "much longer"
    most = max(REPEATED_SHARE, _most_repeated(change.texts_before))
    if _most_repeated(change.texts_after) > most:
        yield "repeats itself"


def _rejected(change: Change) -> int:
    """Return the length of what the critique rejected, and may go."""
    points = change.before.points
    return sum(len(one.statement.shown) for one in points if change.rejected.point(one))


def _most_repeated(texts: Iterable[str]) -> float:
    """Return the largest share that any of the texts repeats; values may well be alike."""
    return max(map(_repeats, texts), default=0.0)


def _repeats(text: str) -> float:
    """Return the share of sentences that were said before."""
    sentences = [" ".join(one.split()).casefold() for one in _SENTENCE.findall(text)]
    sentences = [one for one in sentences if one]
    return 1 - len(set(sentences)) / len(sentences) if sentences else 0.0
