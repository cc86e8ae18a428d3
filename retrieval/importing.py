"""Taking rubric data that others hold into the bank: what is taken, and what is left out and why.

HealthBench's form and this project's rubric lines are read. Nothing that is evaluated on may get
into the bank: conversations are compared by a hash that spaces and capitals do not change, with
the hashes of this project's held-out questions and with those of any file the user names.
"""

import hashlib
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

from pydantic import TypeAdapter, ValidationError

from retrieval.bank import BankEntry, Role
from retrieval.errors import LibraryInvalid
from retrieval.rubric_lines import Demand, RubricLine, scan_rubrics, theme_of
from retrieval.text import HIDDEN, JOINERS

HELD_OUT_FILE = Path(__file__).parent / "data" / "held_out.sha256"
LONGEST_CRITERION = 400
MOST_CRITERIA = 60
MOST_POINTS = 10
LONGEST_ID = 80

_ENTRY = TypeAdapter(BankEntry)
_HASH = re.compile(r"[0-9a-f]{64}")
_BLANK = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0\ufe00-\ufe0f\U000e0100-\U000e01ef]"
)
"""Letters and marks by category that show as nothing: fillers, joiners, variation selectors."""
_ROLES = frozenset(get_args(Role))


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """A line that was not taken; `reason` is the same text for the same cause."""

    line: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """What an import takes. `shortened` counts criteria that were left out of entries taken."""

    entries: tuple[BankEntry, ...]
    left_out: tuple[LeftOut, ...]
    shortened: int

    def by_reason(self) -> dict[str, tuple[int, ...]]:
        """Return the numbers of the lines left out, by reason, most first."""
        counts = Counter(one.reason for one in self.left_out)
        return {
            reason: tuple(one.line for one in self.left_out if one.reason == reason)
            for reason, _ in counts.most_common()
        }


def conversation_hash(turns: Iterable[tuple[str, str]]) -> str:
    """Return a hash of (role, text) turns.

    Spaces, capitals, Unicode forms, characters that nobody sees and roles that the bank does not
    know change nothing. A reworded item has another hash and is not recognised.
    """
    plain = [[_role(role), " ".join(_visible(text).casefold().split())] for role, text in turns]
    return hashlib.sha256(json.dumps(plain, ensure_ascii=False).encode()).hexdigest()


def read_hashes(path: Path) -> frozenset[str]:
    """Return the conversation hashes of a file: a list of them, or rubric data of any form here.

    Raises:
        LibraryInvalid: it is neither.

    """
    try:
        words = path.read_text(encoding="utf-8").split()
    except UnicodeDecodeError:
        words = []  # packed rubric data
    except OSError as error:
        raise LibraryInvalid(path, f"cannot be read ({error.strerror})") from error
    if words and all(_HASH.fullmatch(word) for word in words):
        return frozenset(words)
    hashes = set()
    for _, line in scan_rubrics(path):
        if isinstance(line, LibraryInvalid):
            raise line
        hashes.add(conversation_hash((turn.role, turn.content) for turn in line.messages))
    return frozenset(hashes)


def read_import(
    file: Path,
    *,
    name: str,
    source: str,
    licence: str,
    known: Sequence[BankEntry],
    evaluated: frozenset[str],
) -> Import:
    """Read a file of rubric data into bank entries.

    Args:
        file: JSON lines, `.gz` too.
        name: begins the entries' ids, so that no two files' ids meet.
        source: where the data are from, kept in every entry that names no source of its own.
        licence: likewise.
        known: the entries that the bank has already.
        evaluated: hashes of conversations that must not get in.

    Raises:
        LibraryInvalid: the file as a whole cannot be read.

    """
    seen = {conversation_hash(entry.turns) for entry in known}
    ids = {entry.id for entry in known}
    taken: list[BankEntry] = []
    left_out: list[LeftOut] = []
    shortened = 0
    for number, line in scan_rubrics(file):
        if isinstance(line, LibraryInvalid):
            left_out.append(LeftOut(line=number, reason=f"malformed: {_cause(line)}"))
            continue
        made = _entry(line, name)
        if isinstance(made, str):
            left_out.append(LeftOut(line=number, reason=made))
            continue
        entry, cut = made
        # Of the line as it came: what was cleaned away must not be a disguise.
        digest = conversation_hash((turn.role, turn.content) for turn in line.messages)
        reason = (
            "an evaluation item"
            if digest in evaluated
            else "in the bank already"
            if digest in seen
            else "an id that is taken already"
            if entry.id in ids
            else None
        )
        if reason is not None:
            left_out.append(LeftOut(line=number, reason=reason))
            continue
        seen.add(digest)
        ids.add(entry.id)
        shortened += cut
        taken.append(
            replace(entry, source=entry.source or source, licence=entry.licence or licence)
        )
    return Import(entries=tuple(taken), left_out=tuple(left_out), shortened=shortened)


def to_line(entry: BankEntry) -> str:
    """Return an entry as a line of a bank file."""
    return _ENTRY.dump_json(entry).decode()


def _cause(fault: LibraryInvalid) -> str:
    """Return a fault without the place, which every line has its own of."""
    return str(fault).partition(": ")[2]


def _entry(line: RubricLine, name: str) -> tuple[BankEntry, int] | str:
    """Return the entry and how many criteria it lost, or why there is none."""
    usable = [demand for demand in line.rubric if _is_usable(demand)]
    if not usable:
        return "no criterion of up to 400 characters with points other than 0"
    if line.messages[-1].role != "user":
        return "the conversation does not end with a user turn"
    kept, scale = usable[:MOST_CRITERIA], _scale(usable)
    body = {
        "id": _identifier(name, line.id),
        "messages": [
            {"role": _role(turn.role), "content": _clean(turn.content)} for turn in line.messages
        ],
        "rubric": [
            {
                "criterion": _clean(demand.criterion).replace("\n", " "),
                "points": _points(demand.points, scale),
                "critical": demand.critical,
            }
            for demand in kept
        ],
        "theme": _clean(theme_of(line))[:LONGEST_CRITERION],
        "source": line.source,
        "licence": line.licence,
    }
    try:
        return _ENTRY.validate_python(body), len(line.rubric) - len(kept)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"] if isinstance(part, str))
        return f"malformed: field {place}: {first['msg'][0].lower()}{first['msg'][1:]}"


def _is_usable(demand: Demand) -> bool:
    return len(demand.criterion) <= LONGEST_CRITERION and _points(demand.points) != 0


def _points(points: float, scale: float = 1.0) -> int:
    """Return whole points of the bank's scale; what is smaller than 1 still counts as 1."""
    return round(points * scale) or (0 if points == 0 else 1 if points > 0 else -1)


def _scale(demands: Sequence[Demand]) -> float:
    """Return what brings a line's points to the bank's scale: 1 where they are on it."""
    return min(1.0, MOST_POINTS / max(abs(demand.points) for demand in demands))


def _identifier(name: str, line_id: str) -> str:
    """Return a bank's id; where a line's own is no such id, a hash of it keeps two apart."""
    plain = "-".join(re.findall(r"[a-z0-9]+", line_id.lower()))
    digest = hashlib.sha256(line_id.encode()).hexdigest()
    if not plain or len(plain) > LONGEST_ID - len(name) - 10:
        return f"{name}-{digest[:32]}"
    return f"{name}-{plain}" if plain == line_id else f"{name}-{plain}-{digest[:8]}"


def _role(role: str) -> str:
    return role if role in _ROLES else "user"


def _visible(text: str) -> str:
    """Return a text in one Unicode form, without characters that nobody sees."""
    plain = unicodedata.normalize("NFKC", text)
    return "".join(" " if one.isspace() else one for one in plain if not _is_hidden(one))


def _is_hidden(character: str) -> bool:
    if character.isspace():
        return False
    return unicodedata.category(character) in HIDDEN or _BLANK.match(character) is not None


def _clean(text: str) -> str:
    """Return a text without what may not stand in a library: control and invisible characters."""
    kept = []
    for character in text.replace("\r\n", "\n"):
        if character in f"\n{JOINERS}":
            kept.append(character)
        elif character.isspace():
            kept.append(" ")
        elif not _is_hidden(character):
            kept.append(character)
    return "".join(kept)
