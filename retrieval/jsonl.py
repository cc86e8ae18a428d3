"""Reading a JSON Lines file of records, with errors that name the line and the field."""

import gzip
import hashlib
import stat
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol, TypeVar, cast

from pydantic import TypeAdapter, ValidationError

from retrieval.errors import LibraryInvalid
from retrieval.text import SHOWN, shown

Record = TypeVar("Record")


class HasId(Protocol):
    """A record with an id."""

    @property
    def id(self) -> str:
        """Unique in its file."""


Identified = TypeVar("Identified", bound=HasId)

MAX_FILE = 1024 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Lines(Generic[Record]):
    """The records of a file, each with its line number, and the file's SHA-256."""

    records: tuple[tuple[int, Record], ...]
    sha256: str


def read_records(path: Path, kind: TypeAdapter[Record]) -> Lines[Record]:
    """Read and validate every line of the file; blank lines are skipped.

    Raises:
        LibraryInvalid: unreadable, too large, not UTF-8, empty, or a line of another form.

    """
    content = _bytes(path)
    records = tuple(
        (number, _record(path, number, line, kind)) for number, line in _lines(path, content)
    )
    if not records:
        raise LibraryInvalid(path, "the file is empty")
    return Lines(records=records, sha256=hashlib.sha256(content).hexdigest())


def scan_records(
    path: Path, kind: TypeAdapter[Record]
) -> Iterator[tuple[int, Record | LibraryInvalid]]:
    """Yield every line with its number: the record, or what is wrong with it.

    Raises:
        LibraryInvalid: the file as a whole is unreadable, too large, not UTF-8 or empty.

    """
    lines = list(_lines(path, _bytes(path)))
    if not lines:
        raise LibraryInvalid(path, "the file is empty")
    for number, line in lines:
        try:
            yield number, _record(path, number, line, kind)
        except LibraryInvalid as fault:
            yield number, fault


def refuse_repeated_ids(path: Path, lines: Lines[Identified]) -> None:
    """Check that no id is used twice.

    Raises:
        LibraryInvalid: naming both lines.

    """
    seen: dict[str, int] = {}
    for number, record in lines.records:
        if record.id in seen:
            problem = f"field id: {record.id!r} is already used in line {seen[record.id]}"
            raise LibraryInvalid(path, problem, line=number)
        seen[record.id] = number


def _bytes(path: Path) -> bytes:
    too_large = LibraryInvalid(path, f"the file is larger than {MAX_FILE} bytes")
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):  # a pipe may never end
            raise LibraryInvalid(path, "is not a file; save what it holds and name that")
        if path.suffix == ".gz":
            with gzip.open(path) as packed:
                content = packed.read(MAX_FILE + 1)  # what it unpacks to, not what it weighs
        elif path.stat().st_size > MAX_FILE:
            raise too_large
        else:
            content = path.read_bytes()
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise LibraryInvalid(path, "is not a complete gzip file") from None
    except OSError as error:
        raise LibraryInvalid(path, f"cannot be read ({error.strerror})") from error
    if len(content) > MAX_FILE:
        raise too_large
    return content


def _lines(path: Path, content: bytes) -> Iterator[tuple[int, str]]:
    for number, raw in enumerate(content.split(b"\n"), start=1):
        try:
            line = raw.decode("utf-8")
        except UnicodeDecodeError:
            raise LibraryInvalid(path, "not UTF-8", line=number) from None
        if line.startswith("\ufeff"):
            raise LibraryInvalid(path, "starts with a byte order mark; remove it", line=number)
        if line.strip():
            yield number, line


def _record(path: Path, number: int, line: str, kind: TypeAdapter[Record]) -> Record:
    try:
        return kind.validate_json(line)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        place = first["loc"][_has_forms(kind) :]
        field = ".".join(_part(part) for part in place)
        problem = first["msg"][0].lower() + first["msg"][1:]
        # The parser counts lines too, always from this one.
        problem = problem.replace("at line 1 column", "at column")
        at = f"field {field}: " if field else ""
        raise LibraryInvalid(path, f"{at}{problem}", line=number) from None


def _has_forms(kind: TypeAdapter[Record]) -> bool:
    """Say whether lines are of several forms: locations then begin with a form, no field."""
    schema: Mapping[str, object] = kind.core_schema
    while schema.get("type") == "definitions":
        schema = cast("Mapping[str, object]", schema["schema"])
    return schema.get("type") == "tagged-union"


def _part(part: str | int) -> str:
    """Return a step of a location; keys that the file made up are shown as such."""
    name = str(part)
    return name if name.isprintable() and len(name) <= SHOWN else shown(name)
