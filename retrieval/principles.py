"""The principle library: clinically grounded rules for an answer, and how to check each.

The file's form is fixed in one place, by the annotations of these classes: they validate the
lines of `principles.jsonl` and are what the rest of the system holds.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal, TypeAlias

from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter

from retrieval.dimensions import DIMENSIONS
from retrieval.errors import LibraryInvalid
from retrieval.jsonl import read_records
from retrieval.text import Identifier, Line, Passage

DEFAULT_FILE = Path(__file__).parent / "data" / "principles.jsonl"


def _known_values(dimensions: Mapping[str, tuple[str, ...]]) -> Mapping[str, tuple[str, ...]]:
    for dimension, values in dimensions.items():
        if dimension not in DIMENSIONS:
            raise ValueError(f"unknown dimension {dimension!r}; known: {', '.join(DIMENSIONS)}")
        for value in values:
            if value not in DIMENSIONS[dimension]:
                known = ", ".join(DIMENSIONS[dimension])
                raise ValueError(f"unknown value {value!r} of {dimension}; known: {known}")
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
class Library:
    """The principles of one file, in its order; `sha256` is the file's."""

    principles: tuple[Principle, ...]
    sha256: str

    def __iter__(self) -> Iterator[Principle]:
        return iter(self.principles)

    def __len__(self) -> int:
        return len(self.principles)

    def find(self, principle_id: str) -> Principle | None:
        """Return the principle of that id."""
        return next((known for known in self.principles if known.id == principle_id), None)


def load_library(path: Path = DEFAULT_FILE) -> Library:
    """Read and check a principle file.

    Raises:
        LibraryInvalid: with the line and the field at fault.

    """
    lines = read_records(path, TypeAdapter(Principle))
    seen: dict[str, int] = {}
    for number, principle in lines.records:
        if principle.id in seen:
            problem = f"field id: {principle.id!r} is already used in line {seen[principle.id]}"
            raise LibraryInvalid(path, problem, line=number)
        seen[principle.id] = number
    if not any(principle.always for _, principle in lines.records):
        raise LibraryInvalid(path, "no principle has `always`: at least one must always apply")
    return Library(
        principles=tuple(principle for _, principle in lines.records), sha256=lines.sha256
    )
