"""The principle library: clinically grounded rules for an answer, and how to check each.

The file's form is fixed in one place, by the annotations of these classes: they validate the
lines of `principles.jsonl` and are what the rest of the system holds.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, ClassVar, Literal, TypeAlias

from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter

from retrieval.dimensions import DIMENSIONS
from retrieval.errors import LibraryInvalid
from retrieval.jsonl import read_records, refuse_repeated_ids
from retrieval.text import Identifier, Line, Passage, shown

DEFAULT_FILE = Path(__file__).parent / "data" / "principles.jsonl"
ASKS_FILE = DEFAULT_FILE.with_name("asks.jsonl")


def _known_values(dimensions: Mapping[str, tuple[str, ...]]) -> Mapping[str, tuple[str, ...]]:
    for dimension, values in dimensions.items():
        if dimension not in DIMENSIONS:
            raise ValueError(
                f"unknown dimension {shown(dimension)}; known: {', '.join(DIMENSIONS)}"
            )
        for value in values:
            if value not in DIMENSIONS[dimension]:
                known = ", ".join(DIMENSIONS[dimension])
                raise ValueError(f"unknown value {shown(value)} of {dimension}; known: {known}")
    return dimensions


Dimensions: TypeAlias = Annotated[Mapping[str, tuple[str, ...]], AfterValidator(_known_values)]


@dataclass(frozen=True, slots=True, kw_only=True)
class PrincipleCriterion:
    """A yes/no check of an answer. `forbid`: what it describes must not be in the answer."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", strict=False)

    criterion: Line
    points: Annotated[int, Field(ge=1, le=10, strict=True)]
    kind: Literal["require", "forbid"] = "require"
    critical: Annotated[bool, Field(strict=True)] = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Public guidance that a principle rests on; `url` is empty where it is not certain."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    label: Line
    url: Annotated[str, Field(pattern=r"^(https://[^\s<>\"]+)?$", max_length=400)] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Principle:
    """One principle. A dimension that it does not name does not matter to it."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    id: Identifier
    title: Line
    text: Passage
    dimensions: Dimensions
    criteria: Annotated[tuple[PrincipleCriterion, ...], Field(min_length=1, max_length=8)]
    sources: tuple[Source, ...] = ()
    always: Annotated[bool, Field(strict=True)] = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Asks:
    """Questions that call for a principle, as people write them, to find it by.

    Document expansion: an embedder puts a question nearer to other questions than to the abstract
    wording of a rule.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    id: Identifier
    asks: Annotated[tuple[Line, ...], Field(min_length=1)]


@dataclass(frozen=True, kw_only=True)  # not slotted: cached_property keeps its value in __dict__
class Library:
    """The principles of one file, in its order; `sha256` covers all that is indexed."""

    principles: tuple[Principle, ...]
    asks: Mapping[str, tuple[str, ...]]
    sha256: str

    @cached_property
    def standing(self) -> tuple[Principle, ...]:
        """The principles that always apply."""
        return tuple(principle for principle in self.principles if principle.always)

    @cached_property
    def _by_id(self) -> Mapping[str, Principle]:
        return {principle.id: principle for principle in self.principles}

    def __iter__(self) -> Iterator[Principle]:
        return iter(self.principles)

    def __len__(self) -> int:
        return len(self.principles)

    def rows(self, principle: Principle) -> tuple[str, ...]:
        """Return the texts that the principle is found by.

        Criteria speak of answers, not of questions; they serve only where no questions are known.
        """
        criteria = tuple(check.criterion for check in principle.criteria)
        found_by = self.asks.get(principle.id, criteria)
        return (f"{principle.title}. {principle.text}", *found_by)

    def find(self, principle_id: str) -> Principle | None:
        """Return the principle of that id."""
        return self._by_id.get(principle_id)


def load_library(path: Path = DEFAULT_FILE, asks: Path = ASKS_FILE) -> Library:
    """Read and check a principle file, and the questions that its principles are found by.

    Questions for principles that the library does not have are left aside.

    Raises:
        LibraryInvalid: with the line and the field at fault.

    """
    lines = read_records(path, TypeAdapter(Principle))
    refuse_repeated_ids(path, lines)
    known = {principle.id for _, principle in lines.records}
    questions = read_records(asks, TypeAdapter(Asks))
    library = Library(
        principles=tuple(principle for _, principle in lines.records),
        asks={entry.id: entry.asks for _, entry in questions.records if entry.id in known},
        sha256=hashlib.sha256(f"{lines.sha256}{questions.sha256}".encode()).hexdigest(),
    )
    if not library.standing:
        raise LibraryInvalid(path, "no principle has `always`: at least one must always apply")
    return library
