"""Reading rubric data: this project's rubric lines, and HealthBench's form, plain or gzip.

What others publish is read as it comes: criteria may be long and of several lines. Their spaces
are squeezed, and nothing else is changed.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypeAlias

from pydantic import (
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    TypeAdapter,
)

from retrieval.errors import LibraryInvalid
from retrieval.jsonl import Lines, read_records, scan_records


def _squeezed(value: object) -> object:
    return " ".join(value.split()) if isinstance(value, str) else value


def _text(value: object) -> object:
    """Read a turn's content; content parts are joined, what is not text is left out."""
    if isinstance(value, list):
        return "\n".join(part["text"] for part in value if _is_text(part))
    return value


def _is_text(part: object) -> bool:
    return isinstance(part, dict) and isinstance(part.get("text"), str)


class Turn(BaseModel):
    """One turn of a conversation."""

    model_config = ConfigDict(frozen=True)

    role: str
    content: Annotated[str, BeforeValidator(_text), Field(max_length=200_000)]


class Demand(BaseModel):
    """A physician's criterion; below zero, `points` mark what must not be in the answer."""

    model_config = ConfigDict(frozen=True)

    criterion: Annotated[str, BeforeValidator(_squeezed), Field(min_length=1, max_length=8000)]
    points: Annotated[float, Field(ge=-100, le=100, allow_inf_nan=False)]
    tags: tuple[str, ...] = ()
    critical: bool = False


class _Line(BaseModel):
    model_config = ConfigDict(frozen=True)

    id: Annotated[str, Field(validation_alias=AliasChoices("id", "prompt_id"), max_length=200)]
    example_tags: tuple[str, ...] = ()
    theme: str | None = None
    source: Annotated[str, Field(max_length=400)] = ""
    licence: Annotated[str, Field(max_length=400)] = ""


class _Ours(_Line):
    messages: Annotated[tuple[Turn, ...], Field(min_length=1)]
    rubric: Annotated[tuple[Demand, ...], Field(min_length=1)]


class _HealthBench(_Line):
    messages: Annotated[tuple[Turn, ...], Field(min_length=1, validation_alias="prompt")]
    rubric: Annotated[tuple[Demand, ...], Field(min_length=1, validation_alias="rubrics")]


def _form(line: object) -> str:
    return "healthbench" if isinstance(line, dict) and "rubrics" in line else "ours"


RubricLine: TypeAlias = _Ours | _HealthBench

_ADAPTER: TypeAdapter[RubricLine] = TypeAdapter(
    Annotated[
        Annotated[_Ours, Tag("ours")] | Annotated[_HealthBench, Tag("healthbench")],
        Discriminator(_form),
    ]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RubricFile:
    """The lines of one file, in its order; `sha256` is the file's."""

    lines: tuple[RubricLine, ...]
    sha256: str


def read_rubrics(path: Path) -> RubricFile:
    """Read and check a rubric file; a name that ends in `.gz` is unpacked.

    Raises:
        LibraryInvalid: with the line and the field at fault.

    """
    read: Lines[RubricLine] = read_records(path, _ADAPTER)
    return RubricFile(lines=tuple(line for _, line in read.records), sha256=read.sha256)


def scan_rubrics(path: Path) -> Iterator[tuple[int, RubricLine | LibraryInvalid]]:
    """Yield every line with its number: the rubric line, or what is wrong with it.

    Raises:
        LibraryInvalid: the file as a whole cannot be read.

    """
    yield from scan_records(path, _ADAPTER)


def axis_of(demand: Demand) -> str:
    """Return HealthBench's axis of a criterion; empty where it has none."""
    return _tag(demand.tags, "axis:")


def cluster_of(demand: Demand) -> str:
    """Return the physicians' consensus criterion that this is; empty where it is the item's own."""
    return _tag(demand.tags, "cluster:")


def theme_of(line: RubricLine) -> str:
    """Return the theme of a line; empty where it has none."""
    return line.theme or _tag(line.example_tags, "theme:")


def _tag(tags: tuple[str, ...], start: str) -> str:
    return next((tag.removeprefix(start) for tag in tags if tag.startswith(start)), "")
