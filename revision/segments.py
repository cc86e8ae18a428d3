"""A draft as numbered segments that a model can name: sentences, list items, whole blocks.

The segments and what lies between them join to the draft, byte for byte, so that an edit of one
leaves all others as they are. Tables, code and JSON are never taken apart: half a table is none.
"""

import json
import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal, TypeAlias

from markdown_it import MarkdownIt

from revision.sentences import sentences

Kind = Literal["sentence", "item", "heading", "table", "code", "json", "quote", "other"]
_Block: TypeAlias = "tuple[int, int, Kind, int | None]"
"""First line, the line after the last, kind, list."""

ATOMIC: frozenset[Kind] = frozenset({"table", "code", "json"})

MOST_JSON = 20
"""Places at which JSON without a fence is looked for."""

_LINE_END = re.compile(r"\r\n?|\n")
_VALUE = re.compile(r"[ \t]*[{\[]")
MARKER = re.compile(r"[ \t]*(?:[-*+•▪◦‣●○]|\d{1,9}[.)])[ \t]+(?:\[[ xX]\][ \t]+)?")
_LEAVES: dict[str, Kind] = {
    "heading_open": "heading",
    "fence": "code",
    "code_block": "code",
    "table_open": "table",
    "html_block": "other",
    "hr": "other",
    "paragraph_open": "sentence",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """One segment. `gap` is what stands between it and the next.

    `block` is shared by the sentences of one paragraph, `listing` by the items of one list.
    """

    number: int
    kind: Kind
    text: str
    gap: str
    block: int
    listing: int | None = None

    @property
    def marker(self) -> str:
        """A list item's bullet or number, with the blanks around it."""
        found = MARKER.match(self.text) if self.kind == "item" else None
        return found.group() if found is not None else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Segmented:
    """A draft in segments, numbered from 1; `lead` is what stands before the first."""

    lead: str
    segments: tuple[Segment, ...]

    @property
    def text(self) -> str:
        """The draft."""
        return self.lead + "".join(one.text + one.gap for one in self.segments)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Piece:
    start: int
    end: int
    kind: Kind
    block: int
    listing: int | None = None


def segmented(text: str, *, sentence_by_sentence: bool = True) -> Segmented:
    """Return the segments of a Markdown text; on request, paragraphs stay whole."""
    pieces: list[_Piece] = []
    for leaf in _leaves(text):
        pieces += _parts(text, leaf, sentence_by_sentence) if leaf.kind == "sentence" else [leaf]
    ends = [*(one.start for one in pieces[1:]), len(text)][: len(pieces)]
    return Segmented(
        lead=text[: pieces[0].start] if pieces else text,
        segments=tuple(
            Segment(
                number=number,
                kind=piece.kind,
                text=text[piece.start : piece.end],
                gap=text[piece.end : end],
                block=piece.block,
                listing=piece.listing,
            )
            for number, (piece, end) in enumerate(zip(pieces, ends, strict=True), 1)
        ),
    )


def _leaves(text: str) -> Iterator[_Piece]:
    """Yield the blocks of a text in order, each without the blank lines around it."""
    starts = [0, *(found.end() for found in _LINE_END.finditer(text))]
    ranges = _blocks(text)
    code = [(first, last) for first, last, kind, _ in ranges if kind == "code"]
    values = [
        one for one in _json(text, starts) if not any(a < one[0] and one[1] <= b for a, b in code)
    ]
    ranges = [one for one in ranges if not any(a < one[1] and one[0] < b for a, b in values)]
    ranges = sorted([*ranges, *((first, last, "json", None) for first, last in values)], key=_lines)
    bounds = [(0, 0), *map(_lines, ranges), (len(starts), len(starts))]
    missed: list[_Block] = [(a[1], b[0], "other", None) for a, b in pairwise(bounds) if a[1] < b[0]]
    starts.append(len(text))
    found = sorted([*ranges, *missed], key=_lines)
    for block, (first, last, kind, listing) in enumerate(found):
        start, end = starts[first], starts[last]
        while start < end and not text[start : starts[bisect_right(starts, start)]].strip():
            start = starts[bisect_right(starts, start)]
        end = start + len(text[start:end].rstrip())
        if start < end:
            yield _Piece(start=start, end=end, kind=kind, block=block, listing=listing)


def _lines(block: _Block) -> tuple[int, int]:
    return block[0], block[1]


def _blocks(text: str) -> list[_Block]:
    """Return the leaf blocks."""
    parser = MarkdownIt("commonmark").enable("table")
    parser.core.ruler.enableOnly(["normalize", "block"])
    found: list[_Block] = []
    lists: list[int] = []
    opened = quoted = tabled = 0
    begins_item = False
    for token in parser.parse(text):
        kind = _LEAVES.get(token.type)
        if token.type in {"bullet_list_open", "ordered_list_open"}:
            opened += 1
            lists.append(opened)
        elif token.type in {"bullet_list_close", "ordered_list_close"}:
            lists.pop()
        elif token.type == "list_item_open":
            begins_item = True
        elif token.type.startswith("blockquote"):
            quoted += token.nesting
        elif token.type in {"table_open", "table_close"}:
            tabled += token.nesting
        if kind is None or token.map is None or (tabled and kind != "table"):
            continue
        first, last = token.map
        if quoted:
            kind = "quote" if kind == "sentence" else kind
        elif lists and kind == "sentence":
            kind = "item" if begins_item else "other"
        found.append((first, last, kind, lists[-1] if lists and kind == "item" else None))
        begins_item = False
    return found


def _json(text: str, starts: list[int]) -> list[tuple[int, int]]:
    """Return the lines of JSON objects and lists that stand in the text without a fence."""
    found: list[tuple[int, int]] = []
    tried = 0
    for line, start in enumerate(starts):
        begins = _VALUE.match(text, start)
        if begins is None or (found and line < found[-1][1]):
            continue
        tried += 1
        if tried > MOST_JSON:
            break
        try:
            value, end = json.JSONDecoder().raw_decode(text, begins.end() - 1)
        except (ValueError, RecursionError):
            continue
        last = bisect_right(starts, end - 1)
        line_end = starts[last] if last < len(starts) else len(text)
        if len(json.dumps(value)) > len("[100]") and not text[end:line_end].strip():
            found.append((line, last))
    return found


def _parts(text: str, leaf: _Piece, sentence_by_sentence: bool) -> Iterator[_Piece]:  # noqa: FBT001
    """Yield the sentences of a paragraph; a line that begins with a bullet is an item."""
    at = leaf.start
    for line in _LINE_END.split(text[leaf.start : leaf.end]):
        begin = at + len(line) - len(line.lstrip())
        end = at + len(line.rstrip())
        at += len(line)
        at += len(found.group()) if (found := _LINE_END.match(text, at)) else 0
        if begin >= end:
            continue
        if (marker := MARKER.match(line)) and not marker.group().strip()[0].isdigit():
            yield replace(leaf, start=begin, end=end, kind="item", listing=-1 - leaf.block)
        elif sentence_by_sentence:
            for first, last in sentences(text[begin:end]):
                yield replace(leaf, start=begin + first, end=begin + last)
        else:
            yield replace(leaf, start=begin, end=end)
