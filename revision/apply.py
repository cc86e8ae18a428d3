"""Edits applied to a draft, exactly: what no edit names stays as it is, byte for byte.

What a wrong edit list may never do: lose the draft, say a standing sentence twice, break a table,
JSON or code. So an edit that cannot be applied is dropped with its reason, a text that repeats what
stands is cut by that, and the result is read again: what was whole must be whole in it.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

from revision.edits import Edit
from revision.errors import Unparsable
from revision.pieces import (
    Piece,
    between,
    cleaned,
    core,
    in_place_of,
    is_broken,
    original,
    shaped,
    without,
)
from revision.segments import ATOMIC, Segment, Segmented, segmented

Dropped = Literal["unknown segment", "overlaps", "breaks a block", "stands already"]

_NUMBERED = re.compile(r"(?P<indent>[ \t]*)(?P<number>\d{1,9})(?P<rest>[.)][ \t])")


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What became of an edit: what stood at its place and what stands there now.

    `dropped` says why it was not applied, if so.
    """

    edit: Edit
    before: str
    text: str
    dropped: Dropped | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """An edited answer and its changes, in the order in which they came."""

    text: str
    changes: tuple[Change, ...]

    @property
    def done(self) -> int:
        """How many edits were applied."""
        return sum(one.dropped is None for one in self.changes)


def apply(draft: Segmented, edits: Sequence[Edit]) -> Applied:
    """Return the draft with the edits in it.

    Raises:
        Unparsable: the result has lost or broken a block that no edit names, or says nothing.

    """
    plan = _Plan(draft)
    refused = [plan.take_out(edit) for edit in edits]  # first, so that what goes can come elsewhere
    changes = tuple(
        plan.put_in(edit, dropped) for edit, dropped in zip(edits, refused, strict=True)
    )
    pieces = _renumbered(list(plan.pieces()), plan.lists, draft)
    gaps = [between(one, following, draft) for one, following in pairwise(pieces)]
    joined = "".join(one.text + gap for one, gap in zip(pieces, [*gaps, ""], strict=False))
    text = draft.lead + joined + (draft.segments[-1].gap if draft.segments else "")
    if edits and (not joined.strip() or not _is_whole(pieces, text)):
        raise Unparsable("the edits do not leave a whole answer")
    return Applied(text=text, changes=changes)


class _Plan:
    """What is to become of each segment; grows edit by edit."""

    def __init__(self, draft: Segmented) -> None:
        self.lists: set[int] = set()
        self._draft = draft
        self._count = len(draft.segments)
        self._gone: dict[int, Edit] = {}
        self._instead: dict[int, list[Piece]] = {}
        self._after: dict[int, list[list[Piece] | Edit]] = {}
        self._moved_after: set[int] = set()
        self._standing = Counter(core(one.text) for one in draft.segments)
        self._blocks = self._count

    def take_out(self, edit: Edit) -> Dropped | None:
        """Take out what an edit removes from its place, or say why the edit cannot be applied."""
        dropped = self._wrong(edit)
        if dropped is not None or edit.op == "insert_after":
            return dropped
        segments = self._draft.segments[edit.first - 1 : edit.last]
        self._gone |= dict.fromkeys((one.number for one in segments), edit)
        self.lists |= {one.listing for one in segments if one.listing is not None}
        if edit.op == "move":
            self._moved_after.add(edit.after)
        else:
            self._standing.subtract(core(one.text) for one in segments)
        return None

    def put_in(self, edit: Edit, dropped: Dropped | None) -> Change:
        """Put in what an edit adds, less what stands already, and return what became of it."""
        before = "" if edit.op == "insert_after" else self._between(edit.first, edit.last)
        text = cleaned(edit.text)
        if dropped is None and text.strip():
            standing = (one for one, count in self._standing.items() if one and count > 0)
            text = without(text, standing)
        if dropped is None and edit.op == "insert_after" and not text.strip():
            dropped = "stands already"
        if dropped is not None:
            return Change(edit=edit, before=before, text=edit.text, dropped=dropped)
        if edit.op == "move":
            self._follows(edit.after, edit)
        elif text.strip():
            self._blocks += 1
            self._standing.update(core(one.text) for one in segmented(text).segments)
            made = self._shaped(edit, text)
            self.lists |= {piece.listing for piece in made if piece.listing is not None}
            if edit.op == "replace":
                first, last = (self._draft.segments[n - 1] for n in (edit.first, edit.last))
                self._instead[edit.first] = in_place_of(made, first, last)
            else:
                self._follows(edit.first, made)
        return Change(edit=edit, before=before, text=text.strip())

    def _follows(self, number: int, what: "list[Piece] | Edit") -> None:
        self._after.setdefault(number, []).append(what)
        listing = self._draft.segments[number - 1].listing if number else None
        self.lists |= set() if listing is None else {listing}

    def pieces(self) -> Iterator[Piece]:
        """Yield the pieces of the answer in order."""
        yield from self._following(0)
        for segment in self._draft.segments:
            moved = self._gone.get(segment.number)
            if moved is None or moved.op != "move":
                yield from self._at(segment)

    def _at(self, segment: Segment) -> Iterator[Piece]:
        number = segment.number
        if number in self._instead:
            yield from self._instead[number]
        elif number not in self._gone or self._gone[number].op == "move":
            yield original(segment)
        yield from self._following(number)

    def _following(self, number: int) -> Iterator[Piece]:
        for one in self._after.get(number, ()):
            if isinstance(one, Edit):
                self._blocks += 1
                yield from self._moved(one, self._blocks)
            else:
                yield from one

    def _moved(self, edit: Edit, block: int) -> Iterator[Piece]:
        """Yield what is moved; sentences that leave their paragraph make one of their own."""
        at = self._draft.segments[edit.after - 1] if edit.after else None
        for segment in self._draft.segments[edit.first - 1 : edit.last]:
            for piece in self._at(segment):
                joins = at is not None and at.kind == piece.kind == "sentence"
                if at is not None and at.kind == piece.kind == "item":
                    yield replace(piece, listing=at.listing)
                elif piece.kind == "sentence":
                    yield replace(piece, block=at.block if joins and at is not None else -block)
                else:
                    yield piece

    def _wrong(self, edit: Edit) -> Dropped | None:
        lowest = 0 if edit.op == "insert_after" else 1
        if not lowest <= edit.first <= edit.last <= self._count or edit.after > self._count:
            return "unknown segment"
        span = range(edit.first, edit.last + 1)
        taken = edit.op != "insert_after" and any(number in self._gone for number in span)
        circles = any(number in self._moved_after for number in span)
        if taken or (edit.op == "move" and (circles or self._goes_into_a_move(edit))):
            return "overlaps"
        return "breaks a block" if is_broken(cleaned(edit.text)) else None

    def _goes_into_a_move(self, edit: Edit) -> bool:
        target = self._gone.get(edit.after)
        inside = edit.first <= edit.after <= edit.last
        return inside or (target is not None and target.op == "move")

    def _shaped(self, edit: Edit, text: str) -> list[Piece]:
        draft = self._draft
        if edit.first == 0:
            return [Piece(text=text.strip("\r\n").rstrip(), kind="other", block=self._blocks)]
        at = draft.segments[edit.first - 1]
        return shaped(text, at, draft=draft, block=self._blocks, replacing=edit.op == "replace")

    def _between(self, first: int, last: int) -> str:
        chosen = self._draft.segments[max(0, first - 1) : max(0, last)]
        return "".join(one.text + one.gap for one in chosen).rstrip()


def _renumbered(pieces: list[Piece], lists: set[int], draft: Segmented) -> list[Piece]:
    """Return the pieces with the items of these lists counted on from each list's first number."""
    next_number: dict[int, int] = {}
    for one in draft.segments:
        begins = _NUMBERED.match(one.text) if one.listing in lists else None
        if begins is not None and one.listing is not None:
            next_number.setdefault(one.listing, int(begins["number"]))
    for place, piece in enumerate(pieces):
        found = _NUMBERED.match(piece.text) if piece.kind == "item" else None
        if found is None or piece.listing not in next_number:
            continue
        number = next_number[piece.listing]
        next_number[piece.listing] = number + 1
        head = f"{found['indent']}{number}{found['rest']}"
        pieces[place] = replace(piece, text=head + piece.text[found.end() :])
    return pieces


def _is_whole(pieces: Sequence[Piece], text: str) -> bool:
    """Say whether every table, code and JSON of the draft that stands is one in the result too."""
    kept = Counter(one.text for one in pieces if one.origin is not None and one.kind in ATOMIC)
    found = Counter(one.text for one in segmented(text).segments if one.kind in ATOMIC)
    return kept <= found
