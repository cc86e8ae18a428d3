"""A text as statements, each in a plain spelling in which two texts can be compared.

Reading is linear in the text and never fails: what is read here was written by a model, or by
whoever wrote to it. Digits of every script become the same ten, so no figure hides in another one.
"""

import re
import unicodedata
from dataclasses import dataclass
from functools import cached_property, lru_cache

import regex

_END = re.compile(r"(?<=[.!?;])[*_\"')\]]*\s+|[\n\r。！？；।॥؟۔|]+")  # noqa: RUF001
_MARKUP = re.compile(r"[*_`~\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\u00ad]+")
_LEADER = re.compile(
    r"[\s>#•·▪◦‣-]*(?:(?:step|paso|étape|etape|schritt|passo|шаг)\s+)?"
    r"(?:[(（]?\d{1,2}(?:[.:](?=\s)|[)、）]|[.:]?$))?\s*",  # noqa: RUF001
    re.IGNORECASE,
)
_PLAIN_SIGNS = str.maketrans(
    {"\u2019": "'", "\u2018": "'", "\u066b": ".", "\u066c": ",", "\u2212": "-", "\u2044": "/"}
)
_ACCENTS = re.compile(r"[\u0300-\u036f\u064b-\u0652\u0640]+")
_WORD = regex.compile(r"[\p{L}\p{M}]+")
_PIECE = regex.compile(r"[\p{L}\p{M}\p{N}]+(?:'[\p{L}\p{M}]+)?")


@dataclass(frozen=True, kw_only=True)  # not slotted: cached_property keeps its value in __dict__
class Statement:
    """One sentence, list item or table cell: as it stands in the text, and plain."""

    shown: str
    plain: str

    @cached_property
    def words(self) -> tuple[str, ...]:
        """Its words, of any script that puts blanks between them."""
        return tuple(_WORD.findall(self.plain))

    @cached_property
    def padded(self) -> str:
        """Its words and numbers between blanks, so that " word" finds where a word begins."""
        return f" {' '.join(_PIECE.findall(self.plain))} "

    @cached_property
    def heads(self) -> frozenset[str]:
        """How its words begin, and all letters that are not Latin: a phrase may begin there."""
        begun = {piece[:2] for piece in self.padded.split()}
        return frozenset(begun if self.plain.isascii() else {*begun, *self.plain})


def statements(text: str) -> tuple[Statement, ...]:
    """Return what a text says, statement by statement; list numbers and markup are left out."""
    pieces = (_LEADER.sub("", piece, count=1) for piece in _END.split(_MARKUP.sub("", text)))
    return tuple(
        Statement(shown=piece.strip(), plain=plain(piece)) for piece in pieces if piece.strip()
    )


def plain(text: str) -> str:
    """Return a text in lower case, without accents, with the digits of one script."""
    folded = unicodedata.normalize("NFKC", text).casefold().translate(_PLAIN_SIGNS)
    if folded.isascii():
        return folded
    folded = _ACCENTS.sub("", unicodedata.normalize("NFD", folded))
    return "".join(map(_digit, unicodedata.normalize("NFC", folded)))


@lru_cache(maxsize=4096)
def _digit(character: str) -> str:
    """Return the ASCII digit that a decimal digit of any script stands for; else the character."""
    value = unicodedata.decimal(character, None)
    return character if value is None else str(value)
