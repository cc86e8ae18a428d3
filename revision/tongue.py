"""Whether a candidate keeps the language and the script of the answer, or finds the user's own."""

import re
from collections.abc import Iterable, Iterator
from typing import Literal

from revision.change import Change
from revision.language import language_of, named, script
from revision.points import Said, said
from revision.statements import Statement, plain

LEAST_LETTERS = 10
"""A text of fewer has no script to speak of."""

WrongTongue = Literal["another script", "another language"]


def another_tongue(change: Change) -> Iterator[WrongTongue]:
    """Yield what is wrong: the language stays, or becomes the user's own where it was missed."""
    before, after = _statements(change.before), _statements(change.after)
    wishes, asked = plain(change.asked), said([change.asked])
    was, now = _script(before), _script(after)
    if was and now and was != now:
        mended = now == _script(_statements(asked)) and not _is_named(was, wishes)
        if not mended:
            yield "another script"
        return
    spoke, speaks = language_of(before), language_of(after)
    if spoke is None:
        return
    allowed = {spoke} | named(wishes)
    if spoke not in named(wishes):
        allowed.add(language_of(_statements(asked)) or spoke)
    if speaks is not None and speaks not in allowed:
        yield "another language"
    held = {language_of(part) for part in _parts(change.texts_before)}
    for part in _parts(change.texts_after):
        told = language_of(part)
        if told is not None and told not in allowed and told not in held:
            yield "another language"


def _statements(of: Said) -> list[Statement]:
    return [one.statement for one in of.points]


def _parts(texts: Iterable[str]) -> Iterator[list[Statement]]:
    """Yield the paragraphs of texts, each as statements."""
    for text in texts:
        for part in re.split(r"\n[ \t]*\n", text):
            yield _statements(said([part]))


def _script(listed: Iterable[Statement]) -> str:
    text = " ".join(one.plain for one in listed)
    letters = sum(map(str.isalpha, text[: 10 * LEAST_LETTERS]))
    return script(text) if letters >= LEAST_LETTERS else ""


def _is_named(written: str, wishes: str) -> bool:
    """Say whether the user named a language of that script."""
    return bool(named(wishes) & _IN_SCRIPT.get(written, frozenset({written})))


_IN_SCRIPT = {
    "LATIN": frozenset(
        [
            "en",
            "es",
            "pt",
            "fr",
            "it",
            "de",
            "nl",
            "sv",
            "da",
            "pl",
            "ro",
            "cs",
            "tr",
            "id",
            "vi",
            "sw",
            "tl",
        ]
    ),
    "CYRILLIC": frozenset({"ru", "uk", "bg"}),
    "ARABIC": frozenset({"ar", "fa", "ur"}),
    "DEVANAGARI": frozenset({"hi", "mr", "ne"}),
}
