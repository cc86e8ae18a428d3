"""Text that may stand in a library: printable, without control characters, of bounded length."""

import unicodedata
from typing import Annotated, TypeAlias

from pydantic import AfterValidator, Field

JOINERS = "\u200c\u200d"
"""Invisible, but letters of Persian and Hindi, and emoji, need them."""

HIDDEN = frozenset({"Cc", "Cf", "Co", "Cs", "Zl", "Zp"})
"""Unicode categories that show as nothing. Cc: control characters; Cf: invisible marks that can
reorder or hide text; Zl, Zp: line and paragraph separators; Co, Cs: no characters at all."""

SHOWN = 40


def shown(name: str) -> str:
    """Return a name that a file made up as it may be printed: short, and without control codes."""
    return repr(name if len(name) <= SHOWN else f"{name[:SHOWN]}…")


def _printable(value: str) -> str:
    for character in value:
        hidden = unicodedata.category(character) in HIDDEN
        if hidden and character not in f"\n{JOINERS}":
            raise ValueError(f"contains the control character U+{ord(character):04X}")
    return value


def _one_line(value: str) -> str:
    if "\n" in value:
        raise ValueError("must be one line")
    return value


def _said(value: str) -> str:
    if not value.strip():
        raise ValueError("is blank")
    return value


Identifier: TypeAlias = Annotated[
    str, Field(pattern=r"^[a-z0-9]+(?:[-_.][a-z0-9]+)*$", max_length=80)
]
Line: TypeAlias = Annotated[
    str,
    Field(max_length=400),
    AfterValidator(_printable),
    AfterValidator(_one_line),
    AfterValidator(_said),
]
Label: TypeAlias = Annotated[
    str, Field(max_length=400), AfterValidator(_printable), AfterValidator(_one_line)
]
Passage: TypeAlias = Annotated[
    str, Field(max_length=2000), AfterValidator(_printable), AfterValidator(_said)
]
Document: TypeAlias = Annotated[
    str, Field(max_length=50_000), AfterValidator(_printable), AfterValidator(_said)
]
