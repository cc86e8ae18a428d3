"""Edits applied to a draft, exactly: what no edit names stays as it is, byte for byte.

What a wrong edit list may never do: lose the draft, say a standing sentence twice, break a table,
JSON or code. So an edit that cannot be applied is dropped with its reason, a text that repeats what
stands is cut by that, and the result is read again: what was whole must be whole in it.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from revision.edits import Edit
from revision.errors import Unparsable
from revision.pieces import (
    Piece,
    between,
    cleaned,
    core,
    is_broken,
    original,
    shaped,
    without,
)
from revision.segments import ATOMIC, Segment, Segmented, segmented

Dropped = Literal["unknown segment", "overlaps", "breaks a block", "stands already", "not applied"]

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
    changes = tuple(plan.change(edit) for edit in edits)
    pieces = _renumbered(list(plan.pieces()), plan.lists)
    joined = "".join(
        piece.text + (between(piece, following, draft) if following is not None else "")
        for piece, following in zip(pieces, [*pieces[1:], None], strict=True)
    )
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
        self._standing = Counter(core(one.text) for one in draft.segments)
        self._blocks = self._count

    def change(self, edit: Edit) -> Change:
        """Take an edit into the plan, or say why not."""
        before = "" if edit.op == "insert_after" else self._between(edit.first, edit.last)
        text = cleaned(edit.text)
        dropped = self._wrong(edit, text)
        if dropped is None and edit.op in {"insert_after", "replace"}:
            self._stand(edit, -1)
            kept = without(text, (one for one in self._standing if one and self._standing[one] > 0))
            if not kept.strip() and not (edit.op == "replace" and not text.strip()):
                dropped = "stands already"
                self._stand(edit, 1)
            text = kept
        if dropped is not None:
            return Change(edit=edit, before=before, text=edit.text, dropped=dropped)
        self._take(edit, text)
        return Change(edit=edit, before=before, text=text.strip())

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

    def _wrong(self, edit: Edit, text: str) -> Dropped | None:
        lowest = 0 if edit.op == "insert_after" else 1
        if not lowest <= edit.first <= edit.last <= self._count or edit.after > self._count:
            return "unknown segment"
        if edit.op == "rewrite":
            return "not applied"
        span = range(edit.first, edit.last + 1)
        if edit.op != "insert_after" and any(number in self._gone for number in span):
            return "overlaps"
        if edit.op == "move" and self._goes_in_a_circle(edit, span):
            return "overlaps"
        if text and is_broken(text):
            return "breaks a block"
        if edit.op == "insert_after" and not text.strip():
            return "stands already"
        return None

    def _goes_in_a_circle(self, edit: Edit, span: range) -> bool:
        """Say whether a move goes into itself or another one, or another one into it."""
        target = self._gone.get(edit.after)
        into = target is not None and target.op == "move"
        taken = (
            place
            for place, what in self._after.items()
            if any(isinstance(one, Edit) for one in what)
        )
        return edit.after in span or into or any(place in span for place in taken)

    def _stand(self, edit: Edit, by: int) -> None:
        """Count what an edit takes away as no longer standing."""
        if edit.op in {"replace", "delete"}:
            for segment in self._draft.segments[edit.first - 1 : edit.last]:
                self._standing[core(segment.text)] += by

    def _take(self, edit: Edit, text: str) -> None:
        span = range(edit.first, edit.last + 1)
        if edit.op != "insert_after":
            self._gone |= dict.fromkeys(span, edit)
            self.lists |= {n for number in span if (n := self._draft.segments[number - 1].listing)}
        if edit.op == "delete":
            self._stand(edit, -1)
            return
        if edit.op == "move":
            self._after.setdefault(edit.after, []).append(edit)
            if edit.after and (listing := self._draft.segments[edit.after - 1].listing):
                self.lists.add(listing)
            return
        self._blocks += 1
        made = self._shaped(edit, text) if text.strip() else []
        self.lists |= {piece.listing for piece in made if piece.listing}
        self._standing.update(core(one.text) for one in segmented(text).segments)
        if edit.op == "replace":
            self._instead[edit.first] = made
        else:
            self._after.setdefault(edit.first, []).append(made)

    def _shaped(self, edit: Edit, text: str) -> list[Piece]:
        draft = self._draft
        if edit.first == 0:
            return [Piece(text=text.strip("\r\n").rstrip(), kind="other", block=self._blocks)]
        at = draft.segments[edit.first - 1]
        return shaped(text, at, draft=draft, block=self._blocks, replacing=edit.op == "replace")

    def _between(self, first: int, last: int) -> str:
        chosen = self._draft.segments[max(0, first - 1) : max(0, last)]
        return "".join(one.text + one.gap for one in chosen).rstrip()


def _renumbered(pieces: list[Piece], lists: set[int]) -> list[Piece]:
    """Return the pieces with the items of these lists counted on from each list's first number."""
    next_number: dict[int, int] = {}
    for place, piece in enumerate(pieces):
        found = _NUMBERED.match(piece.text) if piece.kind == "item" else None
        if found is None or piece.listing not in lists:
            continue
        number = next_number.get(piece.listing, int(found["number"]))
        next_number[piece.listing] = number + 1
        head = f"{found['indent']}{number}{found['rest']}"
        pieces[place] = replace(piece, text=head + piece.text[found.end() :])
    return pieces


def _is_whole(pieces: Sequence[Piece], text: str) -> bool:
    """Say whether every table, code and JSON of the draft that stands is one in the result too."""
    kept = Counter(one.text for one in pieces if one.origin is not None and one.kind in ATOMIC)
    found = Counter(one.text for one in segmented(text).segments if one.kind in ATOMIC)
    return kept <= found
