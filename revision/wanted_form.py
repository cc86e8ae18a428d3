"""The form in which the user wants the answer: a limit on its length, a list, a table, plain text.

Only what the last message (or the operator's) says plainly counts: a limit that was never meant
would refuse good answers. So a limit that the best answer is far from keeping is not believed.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Literal, cast

import regex

from revision.phrases import load
from revision.statements import plain

Unit = Literal["words", "sentences", "items", "paragraphs", "lines", "characters"]

ABOUT = 1.25
"""Times the words that were asked for, where nothing says that this is the most."""
FAR = 3.0
"""An answer this many times over a limit shows that none was meant."""
ROOM: dict[Unit, int] = {
    "words": 40,
    "sentences": 2,
    "items": 2,
    "paragraphs": 1,
    "lines": 2,
    "characters": 240,
}
MOST_READ = 4000
"""Characters of a message's end in which its wishes are looked for."""

_ITEM = re.compile(r"^[ \t>]*(?:[-*+•·▪◦]|\d{1,2}[.)、])[ \t]+\S", re.MULTILINE)
_ROW = re.compile(r"^[ \t]*\|.*\|[ \t]*$", re.MULTILINE)
_FENCE = re.compile(r"^[ \t]*```", re.MULTILINE)
_WORDS = regex.compile(
    r"[\p{Han}\p{Hiragana}\p{Katakana}]|[\p{L}\p{M}\p{N}][\p{L}\p{M}\p{N}'’.,-]*"  # noqa: RUF001
)
_SENTENCES = regex.compile(
    r"[.!?。！？।؟]+(?=\s|$|[\"')\]]|\p{Han})|\n\s*\n"  # noqa: RUF001
)
LossOfForm = Literal["longer than asked", "format lost", "format not wanted"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedForm:
    """What was asked for. `limits` are the most of each unit that is still within the wish."""

    limits: tuple[tuple[Unit, float], ...] = ()
    items: bool = False
    plain_text: bool = False


def wanted_form(messages: Iterable[str]) -> WantedForm:
    """Return the form that messages ask for; each is read at its end."""
    limits: dict[Unit, float] = {}
    listed = without = False
    for message in messages:
        text = plain(message[-MOST_READ:])
        for found in _wishes().limit.finditer(text):
            unit = _wishes().units[found["unit"].removesuffix(" points")]
            may_differ = unit in {"words", "characters"} and not found["upper"]
            limits[unit] = _number(found["number"]) * (ABOUT if may_differ else 1)
        without = without or _wishes().plain_text.search(text) is not None
        listed = (listed or _wishes().items.search(text) is not None) and not without
    return WantedForm(limits=tuple(limits.items()), items=listed, plain_text=without)


def loss_of_form(wanted: WantedForm, before: str, after: str, *, room: bool) -> LossOfForm | None:
    """Say which wish the later text fails that the earlier one met, or failed by less.

    `room` leaves some for what an answer must not lack: no limit is worth an ambulance not called.
    """
    for unit, limit in wanted.limits:
        most = limit + ROOM[unit] if room else limit
        was, now = _count(before, unit), _count(after, unit)
        if now > max(most, was) and was <= FAR * limit:
            return "longer than asked"
    if wanted.plain_text and _ITEM.search(after) and not _ITEM.search(before):
        return "format not wanted"
    kept = (
        (True, _is_table),
        (True, lambda text: _FENCE.search(text) is not None),
        (wanted.items, lambda text: _ITEM.search(text) is not None),
    )
    lost = any(asked and has(before) and not has(after) for asked, has in kept)
    return "format lost" if lost else None


def _is_table(text: str) -> bool:
    return len(_ROW.findall(text)) >= 2  # noqa: PLR2004  # a head and a row


def _count(text: str, unit: Unit) -> int:
    match unit:
        case "words":
            return len(_WORDS.findall(text))
        case "sentences":
            return len([one for one in _SENTENCES.split(text) if one.strip()])
        case "items":
            return len(_ITEM.findall(text))
        case "paragraphs":
            return len([one for one in re.split(r"\n[ \t]*\n", text) if one.strip()])
        case "lines":
            return len([one for one in text.splitlines() if one.strip()])
        case "characters":
            return len(text)


def _number(word: str) -> int:
    return int(word) if word.isdigit() else _wishes().numbers.get(word.rsplit(maxsplit=1)[-1], 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wishes:
    units: dict[str, Unit]
    numbers: dict[str, int]
    limit: regex.Pattern[str]
    items: re.Pattern[str]
    plain_text: re.Pattern[str]


@cache
def _wishes() -> _Wishes:
    listed = load("wanted_form")
    by_unit = cast(dict[Unit, str], listed["units"])
    by_number = cast(dict[str, str], listed["numbers"])
    units = {word: unit for unit, words in by_unit.items() for word in words.split()}
    numbers = {word: int(value) for value, words in by_number.items() for word in words.split()}
    return _Wishes(
        units=units,
        numbers=numbers,
        limit=_limit(units, numbers, listed),
        items=re.compile("|".join(cast(list[str], listed["list"]))),
        plain_text=re.compile("|".join(cast(list[str], listed["plain"]))),
    )


def _limit(
    units: Iterable[str], numbers: Iterable[str], listed: dict[str, object]
) -> regex.Pattern[str]:
    """Return the pattern of a wish for a length: "under 70 words", "a 70-word summary"."""
    upper, about = ("|".join(cast(list[str], listed[name])) for name in ("upper", "about"))
    unit = "|".join(sorted(map(re.escape, units), key=len, reverse=True))
    number = rf"(?:\d{{1,4}}|a single|{'|'.join(numbers)})"
    return regex.compile(
        rf"(?:(?P<upper>\b(?:{upper}))|\b(?:{about}))[ :]{{0,2}}"
        rf"(?:{number}(?: ?[-–] ?| to | a | bis ))?(?P<number>{number})[ -]{{0,2}}"  # noqa: RUF001
        rf"(?:short |simple |brief |clear |key |main |bullet |numbered )?"
        rf"(?P<unit>{unit})(?![\p{{Latin}}])"
        rf"|(?P<number>{number})[ -](?P<unit>{unit})[ -](?:{listed['noun']})\b"
        rf"|(?P<number>{number}) (?P<unit>bullets|bullet points|{unit}) (?:{listed['tail']})\b"
        rf"|\b(?P<number>one|1|a single)[ -](?P<unit>sentence|paragraph|line)\b(?! of)"
    )
