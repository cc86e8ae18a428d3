"""The rubric bank: questions as they are asked, each with the criteria physicians demand of it.

Its lines are rubric lines in HealthBench's vocabulary: negative points mark what must not be in
an answer.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal, TypeAlias

from pydantic import ConfigDict, Field, TypeAdapter

from retrieval.errors import LibraryInvalid
from retrieval.jsonl import read_records, refuse_repeated_ids
from retrieval.language import is_english
from retrieval.query import query_text
from retrieval.text import Document, Identifier, Label, Line

DEFAULT_FILE = Path(__file__).parent / "data" / "rubrics.jsonl"

LONGEST_ROW = 1000

Role: TypeAlias = Literal["system", "developer", "user", "assistant"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BankTurn:
    """One turn of an entry's conversation."""

    role: Role
    content: Document


@dataclass(frozen=True, slots=True, kw_only=True)
class BankCriterion:
    """A criterion; below zero, `points` mark what must not be in the answer."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="ignore")

    criterion: Line
    points: Annotated[int, Field(ge=-10, le=10, strict=True)]
    principle: Identifier | None = None
    critical: Annotated[bool, Field(strict=True)] = False


@dataclass(frozen=True, slots=True, kw_only=True)
class BankEntry:
    """One question type and its criteria."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    id: Identifier
    messages: Annotated[tuple[BankTurn, ...], Field(min_length=1)]
    rubric: Annotated[tuple[BankCriterion, ...], Field(min_length=1, max_length=60)]
    theme: Label = ""
    source: Label = ""
    licence: Label = ""

    @property
    def turns(self) -> tuple[tuple[str, str], ...]:
        """The conversation as (role, text)."""
        return tuple((turn.role, turn.content) for turn in self.messages)

    def row(self) -> str:
        """Return the text that the entry is found by, as conversations are searched for.

        The bundled embedder knows English only, and criteria are English whatever the question's
        language: they stand in for one that it would not understand.
        """
        asked = query_text(self.turns)
        if is_english(asked):
            return asked
        wanted = sorted(self.rubric, key=lambda one: -one.points)
        return " ".join(one.criterion for one in wanted)[:LONGEST_ROW]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bank:
    """The entries of one file, in its order; `sha256` is the file's."""

    entries: tuple[BankEntry, ...]
    sha256: str

    def __iter__(self) -> Iterator[BankEntry]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)


def load_banks(paths: Sequence[Path]) -> Bank:
    """Read several bank files as one; an id belongs to the first file that has it.

    Raises:
        LibraryInvalid: with the file, the line and the field at fault.

    """
    banks = [load_bank(path) for path in paths]
    entries: dict[str, BankEntry] = {}
    for bank in banks:
        for entry in bank:
            entries.setdefault(entry.id, entry)
    hashes = [bank.sha256 for bank in banks]
    joined = hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()
    return Bank(entries=tuple(entries.values()), sha256=joined)


def load_bank(path: Path = DEFAULT_FILE) -> Bank:
    """Read and check a bank file.

    Raises:
        LibraryInvalid: with the line and the field at fault.

    """
    lines = read_records(path, TypeAdapter(BankEntry))
    refuse_repeated_ids(path, lines)
    for number, entry in lines.records:
        if entry.messages[-1].role != "user":
            raise LibraryInvalid(path, "field messages: must end with a user turn", line=number)
        if any(criterion.points == 0 for criterion in entry.rubric):
            raise LibraryInvalid(path, "field rubric.points: must not be 0", line=number)
    return Bank(entries=tuple(entry for _, entry in lines.records), sha256=lines.sha256)
