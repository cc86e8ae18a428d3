"""Where the sentences of one line of prose end, in any script.

Two sentences taken for one do no harm: an edit then replaces both. One taken for two may part a
dose from its unit. So a boundary is only where nothing speaks against it: after a decimal point,
an abbreviation or a list's number there is none, nor inside brackets, emphasis or code.
"""

import re
from collections.abc import Iterator

import regex

SHORTEST = 12
"""Columns; what is shorter ("Yes.") stands with the sentence after it."""
LONGEST = 8_000
"""Characters of a line that is read; a longer one is a sentence."""
NEAR = 24
"""Characters around a stop that say what it is."""
THAI_FROM = 80
"""Characters after which a blank ends a piece in a script that has no full stop."""

_END = regex.compile(
    r"(?:(?P<stop>\.)|[!?…؟۔।॥։።၊။។]|(?P<wide>[。！？｡]))"  # noqa: RUF001  # stops of many scripts
    r"[.!?…。！？]*"  # noqa: RUF001
    r"[*_~`\"'”’»)\]）」』]*"  # noqa: RUF001
    r"(?P<blank>\s+|$)?"
)
_CLAUSE = regex.compile(
    r"(?<=[\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}])[ \t]+(?=[\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}])"
)
_NO_STOP = regex.compile(r"[\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]")
"""Scripts in which a full stop only shortens a word."""
_LAST_WORD = regex.compile(r"[\p{L}\p{M}\p{N}.]+\Z")
_OPENING = regex.compile(r"[*_~`\"'“‘«(\[（「『¿¡]*")  # noqa: RUF001
_WIDE = regex.compile(r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}\p{Thai}\p{Lao}\p{Khmer}]")

_SHORTENED = """
    abb abs al approx art bzw ca cap cf co dr dra ed eds eg esp etc evtl fig figs ggf gen ie incl
    inj jr ltd m mr mrs ms nr no num o op p pag par pp prof pt resp sog sr sra st str syn tab tabl
    tel usw v vgl viz vol vs z zb т гг др см стр таб ред ул им напр
"""  # noqa: RUF001  # Russian ones
ABBREVIATIONS = frozenset(_SHORTENED.split())
"""Words that a full stop shortens, lower case and without it; "etc." may end a sentence, and is
then taken together with the next."""

_MARKS = ("**", "__", "~~", "``", "`", "$$")
_OPEN, _CLOSE = "([（「『", ")]）」』"  # noqa: RUF001


def sentences(line: str) -> list[tuple[int, int]]:
    """Return the spans of the line's sentences; what lies between two is blank.

    `line` begins and ends with something that is not blank.
    """
    ends = [at for at in _ends(line) if _is_balanced(line[:at])] if len(line) < LONGEST else []
    spans: list[tuple[int, int]] = []
    start = 0
    for end in [*ends, len(line)]:
        if end <= start or (end < len(line) and _columns(line[start:end]) < SHORTEST):
            continue
        spans.append((start, end))
        start = end + len(line[end:]) - len(line[end:].lstrip())
    return spans


def _ends(line: str) -> Iterator[int]:
    """Yield where a sentence may end, in order."""
    found = {_without_blank(one) for one in _END.finditer(line) if _is_end(line, one)}
    last = 0
    for clause in _CLAUSE.finditer(line):
        last = max([last, *(at for at in found if at <= clause.start())])
        if clause.start() - last >= THAI_FROM:
            found.add(clause.start())
    yield from sorted(found)


def _without_blank(found: "regex.Match[str]") -> int:
    return int(found.start("blank") if found["blank"] is not None else found.end())


def _is_end(line: str, found: "regex.Match[str]") -> bool:
    if found["wide"]:
        return True
    if not found["blank"]:
        return False
    if not found["stop"]:
        return True
    following = _OPENING.sub("", line[found.end() : found.end() + NEAR], count=1)[:1]
    before = _LAST_WORD.search(line[: found.start()], max(0, found.start() - NEAR))
    word = before.group().lower() if before is not None else ""
    if following.islower() or _NO_STOP.search(word):
        return False
    # A bare number is a list's ("1. Rest"); "e.g", "q.i.d" and a single letter are abbreviations.
    inner = "." in word.strip(".") and not word.replace(".", "").isdigit()
    bare_number = word.isdigit() and not line[: found.start()].strip("*_ " + word)
    return not (
        word in ABBREVIATIONS or inner or bare_number or (len(word) == 1 and word.isalpha())
    )


def _is_balanced(text: str) -> bool:
    """Say whether no emphasis, code or bracket is open at the end of the text."""
    rest = text
    for mark in _MARKS:
        if rest.count(mark) % 2:
            return False
        rest = rest.replace(mark, "")
    depth = 0
    for character in re.sub(r"(?:(?<=\s)|\A)[\w.]{1,3}\)", "", rest):  # the number of a list
        depth += (character in _OPEN) - (character in _CLOSE)
        depth = max(depth, 0)
    return depth == 0


def _columns(text: str) -> int:
    return len(text) + 2 * len(_WIDE.findall(text))
