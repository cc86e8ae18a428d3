"""New text put into the form of the place where it goes: a sentence, a list item, a block.

A model that writes an edit does not see the marks around it. So a text that follows a list item
becomes an item, one that follows a sentence its neighbour, and all else stands in a block of its
own; what would break the Markdown around it is refused.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from revision.segments import MARKER, Kind, Segment, Segmented, segmented
from revision.statements import plain

ALIKE_FROM = 5
"""Letters and digits from which a sentence that stands is not said again."""

_FENCE = re.compile(r"^[ \t>]*(?:```|~~~)", re.MULTILINE)
_ROW = re.compile(r"^[ \t]*\|")
_ECHO = re.compile(r"\A\s*\[?S\d{1,3}\]?[:.]?[ \t]+(?=\S)")
_HEADING = re.compile(r"#{1,6}[ \t]+")
_NO_WORD = re.compile(r"[\W_]+")
_NO_BLANK_AFTER = re.compile(r"[。！？｡]\Z")  # noqa: RUF001
PARAGRAPH_FROM = 2
"""Sentences from which a text at a paragraph's end becomes a paragraph of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A stretch of the edited answer. `origin` is the segment that it is, untouched.

    `first` and `last` number the segments of the draft in whose place it stands; 0 for none.
    """

    text: str
    kind: Kind
    block: int
    listing: int | None = None
    origin: Segment | None = None
    first: int = 0
    last: int = 0


def original(segment: Segment) -> Piece:
    """Return a segment of the draft as a piece of the answer."""
    return Piece(
        text=segment.text,
        kind=segment.kind,
        block=segment.block,
        listing=segment.listing,
        origin=segment,
        first=segment.number,
        last=segment.number,
    )


def in_place_of(pieces: list[Piece], first: Segment, last: Segment) -> list[Piece]:
    """Return pieces of a form like that of the segments that they replace as standing for them."""
    if pieces[0].kind == first.kind:
        pieces[0] = replace(pieces[0], first=first.number)
    if pieces[-1].kind == last.kind:
        pieces[-1] = replace(pieces[-1], last=last.number)
    return pieces


def cleaned(text: str) -> str:
    """Return an edit's text without an id that was copied with it; blanks before it tell a form."""
    return _ECHO.sub("", text, count=1).rstrip()


def is_broken(text: str) -> bool:
    """Say whether a text would break what stands around it: an open fence, a row of no table."""
    if len(_FENCE.findall(text)) % 2:
        return True
    loose = (one for one in segmented(text).segments if one.kind not in {"table", "code"})
    return any(_ROW.match(line) for one in loose for line in one.text.splitlines())


def without(text: str, standing: Iterable[str]) -> str:
    """Return a text without the sentences and blocks that stand in the answer already."""
    known = frozenset(standing)
    parts = segmented(text)
    if not any(core(one.text) in known for one in parts.segments):
        return text
    kept = [one for one in parts.segments if core(one.text) not in known]
    return (parts.lead + "".join(one.text + one.gap for one in kept)).rstrip() if kept else ""


def core(text: str) -> str:
    """Return what a segment says, without marks and blanks; empty where that is next to nothing."""
    said = _NO_WORD.sub("", plain(MARKER.sub("", text, count=1)))
    return said if len(said) >= ALIKE_FROM else ""


def shaped(
    text: str, at: Segment, *, draft: Segmented, block: int, replacing: bool = False
) -> list[Piece]:
    """Return a text as pieces in the form of the segment `at`, which it follows or replaces.

    `block` is a number that no other block has.
    """
    parts = segmented(text.strip()).segments
    apart = not replacing and text.lstrip(" \t").startswith(("\n", "\r"))
    one_block = len({one.block for one in parts}) == 1
    is_line = (
        one_block and all(one.kind == "sentence" for one in parts) and "\n" not in text.strip()
    )
    if not apart and at.kind == "item" and (is_line or all(one.kind == "item" for one in parts)):
        return _items(parts if not is_line else (), text.strip(), at)
    if not apart and at.kind == "sentence" and is_line:
        ends = not replacing and _is_last_of_block(at, draft)
        if not (ends and len(parts) >= PARAGRAPH_FROM):
            return [Piece(text=text.strip(), kind="sentence", block=at.block)]
    if replacing and at.kind == "heading" and is_line and (mark := _HEADING.match(at.text)):
        return [Piece(text=mark.group() + text.strip(), kind="heading", block=block)]
    kind = parts[0].kind if len(parts) == 1 and parts[0].kind != "sentence" else "other"
    return [Piece(text=text.strip("\r\n").rstrip(), kind=kind, block=block)]


def _items(parts: tuple[Segment, ...], text: str, at: Segment) -> list[Piece]:
    """Return one item, or several, with the marker of the item `at`; deeper ones stay deeper."""
    marker = at.marker
    if not parts:
        return [Piece(text=marker + text, kind="item", block=at.block, listing=at.listing)]
    least = min(_indent(one.text) for one in parts)
    deeper = " " * (_indent(at.text))
    pieces: list[Piece] = []
    for one in parts:
        if _indent(one.text) > least and pieces:
            line = "\n".join(deeper + row[least:] for row in one.text.splitlines())
            last = pieces[-1]
            pieces[-1] = replace(last, text=f"{last.text}\n{line}")
        else:
            said = MARKER.sub("", one.text, count=1)
            pieces.append(
                Piece(text=marker + said, kind="item", block=at.block, listing=at.listing)
            )
    return pieces


def _indent(text: str) -> int:
    return len(text) - len(text.lstrip(" \t"))


def _is_last_of_block(segment: Segment, draft: Segmented) -> bool:
    following = draft.segments[segment.number :][:1]
    return not following or following[0].block != segment.block


def between(before: Piece, after: Piece, draft: Segmented) -> str:
    """Return what stands between two pieces: what stood there, or what their forms ask for."""
    newline = "\r\n" if "\r\n" in draft.text else "\n"
    if before.last and after.first == before.last + 1:
        return draft.segments[before.last - 1].gap
    gaps = [_needed(before, after, draft, newline)]
    of_one_list = before.listing is not None and before.listing == after.listing
    if after.first > 1 and not of_one_list:
        gaps.append(draft.segments[after.first - 2].gap)
        if before.last:
            gaps.append(draft.segments[before.last - 1].gap)
    return max(gaps, key=_lines)  # the first of equals: what is needed


def _needed(before: Piece, after: Piece, draft: Segmented, newline: str) -> str:
    if before.kind == after.kind == "sentence" and before.block == after.block:
        return "" if _NO_BLANK_AFTER.search(before.text) else " "
    if before.kind == after.kind == "item":
        if before.listing != after.listing:
            return newline
        loose = any(
            _lines(one.gap) > 1
            for one, following in zip(draft.segments, draft.segments[1:], strict=False)
            if one.listing == following.listing == before.listing
        )
        return newline * (2 if loose else 1)
    return newline * 2


def _lines(gap: str) -> int:
    return gap.count("\n") or gap.count("\r")
