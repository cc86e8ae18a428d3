"""Text that may stand in a library: printable, without control characters, of bounded length."""

import unicodedata
from typing import Annotated, TypeAlias

from pydantic import AfterValidator, Field


def _printable(value: str) -> str:
    for character in value:
        # Cc: control characters; Cf: invisible marks that can reorder or hide text; Co, Cs: none.
        if (
            unicodedata.category(character) in {"Cc", "Cf", "Co", "Cs"}
            and character not in "\n\u200c\u200d"
        ):
            raise ValueError(f"contains the control character U+{ord(character):04X}")
    if not value.strip():
        raise ValueError("is blank")
    return value


Identifier: TypeAlias = Annotated[
    str, Field(pattern=r"^[a-z0-9]+(?:[-_.][a-z0-9]+)*$", max_length=80)
]
Line: TypeAlias = Annotated[str, Field(max_length=400), AfterValidator(_printable)]
Passage: TypeAlias = Annotated[str, Field(max_length=2000), AfterValidator(_printable)]
Document: TypeAlias = Annotated[str, Field(max_length=50_000), AfterValidator(_printable)]
