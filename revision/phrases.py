"""Finding phrases of several languages in a statement, by whole words or by how words begin.

Plain substring search, one phrase after another: it stays linear in the text for any text, which
one large alternation of patterns does not.
"""

import json
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from revision.statements import Statement, plain

_DATA = Path(__file__).parent / "data"


def load(name: str) -> dict[str, object]:
    """Return one of the lists in `data`, without the note on its source."""
    listed: dict[str, object] = json.loads((_DATA / f"{name}.json").read_text("utf-8"))
    listed.pop("source")
    return listed


def prepared(phrases: Iterable[str]) -> tuple[str, ...]:
    """Return phrases as they are searched for: ` word` begins a word, ` word ` is one."""
    return tuple(dict.fromkeys(_searched(phrase) for phrase in phrases))


def first(phrases: tuple[str, ...], statement: Statement) -> str | None:
    """Return a phrase that the statement has, if any."""
    padded = statement.padded
    return next((one for one in phrases if one in padded), None)


def places(phrases: tuple[str, ...], statement: Statement) -> list[int]:
    """Return where in the padded statement the phrases stand first."""
    padded = statement.padded
    return [place for one in phrases if (place := padded.find(one)) >= 0]


@lru_cache(maxsize=4096)
def _searched(phrase: str) -> str:
    folded = plain(phrase.strip())
    whole = folded.endswith("$")
    folded = folded.removesuffix("$")
    if whole:
        return f" {folded} "
    return f" {folded}" if _has_blanks(folded) else folded  # nothing marks where a word begins


def _has_blanks(text: str) -> bool:
    """Say whether a text is in a script that puts blanks between words, and nothing before them.

    Arabic and Hebrew put the article and prepositions before a word without a blank.
    """
    return not any(unicodedata.name(one, "").startswith(_JOINED) for one in text)


_JOINED = ("CJK", "HIRAGANA", "KATAKANA", "HANGUL", "THAI", "ARABIC", "HEBREW")
