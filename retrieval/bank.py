"""The rubric bank: questions as they are asked, each with the criteria physicians demand of it.

Its lines are rubric lines in HealthBench's vocabulary: negative points mark what must not be in
an answer.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field, TypeAdapter

from retrieval.errors import LibraryInvalid
from retrieval.jsonl import read_records, refuse_repeated_ids
from retrieval.text import Document, Identifier, Label, Line

DEFAULT_FILE = Path(__file__).parent / "data" / "rubrics.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class BankTurn:
    """One turn of an entry's conversation."""

    role: Literal["system", "developer", "user", "assistant"]
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Bank:
    """The entries of one file, in its order; `sha256` is the file's."""

    entries: tuple[BankEntry, ...]
    sha256: str

    def __iter__(self) -> Iterator[BankEntry]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)


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
