"""Finding phrases of several languages in a statement, by whole words or by how words begin.

Phrases are filed under the two letters that they begin with, so a statement is held only against
those that may be in it: the time goes with the text's length and hardly with the lists'. One large
alternation of patterns would try every phrase at every letter.
"""

import json
import unicodedata
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path

from revision.statements import Statement, plain

_DATA = Path(__file__).parent / "data"
_JOINED = ("CJK", "HIRAGANA", "KATAKANA", "HANGUL", "THAI", "ARABIC", "HEBREW")
"""Scripts without blanks between words, or with small words written onto the next one."""


def load(name: str) -> dict[str, object]:
    """Return one of the lists in `data`, without the note on its source."""
    listed: dict[str, object] = json.loads((_DATA / f"{name}.json").read_text("utf-8"))
    listed.pop("source")
    return listed


class Phrases:
    """Phrases to look for. `word` stands for every word that begins so, `word$` for itself."""

    def __init__(self, listed: Iterable[str]) -> None:
        self._by_head: dict[str, list[str]] = {}
        for phrase in dict.fromkeys(map(searched, listed)):
            head = phrase[1:3].strip() if phrase.startswith(" ") else phrase[0]
            self._by_head.setdefault(head, []).append(phrase)

    def found(self, statement: Statement) -> Iterator[tuple[str, int]]:
        """Yield the phrases that a statement has, and where in its padded words."""
        padded = statement.padded
        for head in statement.heads:
            for phrase in self._by_head.get(head, ()):
                place = padded.find(phrase)
                if place >= 0:
                    yield phrase, place

    def are_in(self, statement: Statement) -> bool:
        """Say whether a statement has any of the phrases."""
        return next(self.found(statement), None) is not None


@lru_cache(maxsize=4096)
def searched(phrase: str) -> str:
    """Return a phrase as it is looked for: " word" begins a word, " word " is one."""
    folded = plain(phrase.strip())
    if folded.endswith("$"):
        return f" {folded[:-1]} "
    joined = any(unicodedata.name(one, "").startswith(_JOINED) for one in folded)
    return folded if joined else f" {folded}"
