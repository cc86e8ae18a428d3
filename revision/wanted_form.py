"""The form in which the user wants the answer: a limit on its length, a list, a table, plain text.

Only what the last message (or the operator's) says plainly counts: a limit that was never meant
would refuse good answers. So a limit that the best answer is far from keeping is not believed.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import regex

from revision.statements import plain

Unit = Literal["words", "sentences", "items", "paragraphs", "lines", "characters"]

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

_NUMBERS = {
    word: value
    for value, words_of in enumerate(
        (
            "one a single un una uno une ein eine einem um uma",
            "two dos deux zwei dois duas due",
            "three tres trois drei tre",
            "four cuatro quatre vier quatro quattro",
            "five cinco cinq funf cinque",
            "six seis sechs sei",
            "seven siete sept sieben sete sette",
            "eight ocho huit acht oito otto",
            "nine nueve neuf neun nove",
            "ten diez dix zehn dez dieci",
        ),
        1,
    )
    for word in words_of.split()
}
_UNITS: dict[str, Unit] = {
    word: unit
    for unit, words_of in (
        ("words", "word words palabras mots worter worten wortern palavras parole woorden slow слов слова 字 शब्द शब्दों كلمة"),
        ("sentences", "sentence sentences frase frases oracion oraciones phrase phrases satz satze satzen frasi zin zinnen предложение предложения предложениях 句 句话 वाक्य جملة"),
        ("items", "bullet bullets points point items item bullet-points puntos vinetas punkte punkten pontos topicos punti пункта пунктов 点 条"),
        ("paragraphs", "paragraph paragraphs parrafo parrafos paragraphe paragraphes absatz absatze absatzen paragrafo paragrafos paragrafi абзац абзаца 段"),
        ("lines", "line lines lineas lignes zeilen linhas righe строк 行"),
        ("characters", "characters character chars caracteres zeichen caratteri символов 字符 文字"),
    )
    for word in words_of.split()
}  # fmt: skip
_UNIT = "|".join(sorted(map(re.escape, _UNITS), key=len, reverse=True))
_NUMBER = rf"(?:\d{{1,4}}|{'|'.join(_NUMBERS)})"
_UPPER = (
    r"under|below|within|at most|max|maximum|maximum of|no more than|not more than|up to|less than|"
    r"fewer than|limit \w+ to|limited to|keep it to|menos de|maximo|como maximo|hasta|no mas de|"
    r"moins de|pas plus de|au plus|hochstens|maximal|nicht mehr als|unter|ate|no maximo|meno di|"
    r"al massimo|hoogstens|maximaal|не более|не больше|до|不超过|最多|以内"
)
_ABOUT = (
    r"in|in about|in around|in exactly|exactly|about|around|approximately|roughly|only|just|using|"
    r"give me|list|write|en|en unas|unas|environ|en environ|ungefahr|etwa|mit|em|em cerca de|in circa|"
    r"circa|в|примерно|用|大约|约"
)
_LIMIT = regex.compile(
    rf"(?:(?P<upper>\b(?:{_UPPER}))|(?P<about>\b(?:{_ABOUT})))[ :]{{0,2}}"
    rf"(?:(?:{_NUMBER})(?: ?[-–] ?| to | a | bis ))?(?P<number>{_NUMBER})"
    rf"[ -]{{0,2}}(?:short |simple |brief |clear |key |main |bullet |numbered )?"
    rf"(?P<unit>{_UNIT})(?![\p{{Latin}}])"
    rf"|(?P<number>{_NUMBER})[ -](?P<unit>{_UNIT})[ -](?:answer|summary|reply|response|limit|max|explanation|version|list)\b"
    rf"|(?P<number>{_NUMBER}) (?P<unit>bullets|bullet points|{_UNIT}) (?:or less|or fewer|max|maximum|only|please|o menos|ou moins|oder weniger)\b"
    rf"|(?P<number>\b(?:one|1|a single))[ -](?P<unit>sentence|paragraph|line)\b(?! of)",
)  # fmt: skip
_LIST = re.compile(
    r"\b(?:bullet(?:ed)?(?: points?| list)?|numbered list|as a list|in a list|step[- ]by[- ]step|"
    r"checklist|lista|liste|aufzahlung|stichpunkt\w*|vinetas|topicos)\b|列表|清单|списк"
)
_PLAIN = re.compile(
    r"\b(?:no|without|don't use|avoid|sin|sans|ohne|sem|senza) (?:any )?"
    r"(?:bullet(?:s| points)?|lists?|markdown|formatting|listas?|listes?|listen|liste|formato)\b|"
    r"\bplain (?:text|prose)\b|\bas prose\b|\btexto plano\b"
)
_ITEM = re.compile(r"^[ \t>]*(?:[-*+•·▪◦]|\d{1,2}[.)、])[ \t]+\S", re.MULTILINE)
_ROW = re.compile(r"^[ \t]*\|.*\|[ \t]*$", re.MULTILINE)
_FENCE = re.compile(r"^[ \t]*```", re.MULTILINE)
_WORDS = regex.compile(r"[\p{Han}\p{Hiragana}\p{Katakana}]|[\p{L}\p{M}\p{N}][\p{L}\p{M}\p{N}'’.,-]*")
_SENTENCES = regex.compile(r"[.!?。！？।؟]+(?=\s|$|[\"')\]]|\p{Han})|\n\s*\n")
_STRICTNESS = {"upper": 1.0, "about": 1.25}
Loss = Literal["longer than asked", "format lost", "format not wanted"]


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
        for found in _LIMIT.finditer(text):
            unit = _UNITS[found["unit"].removesuffix(" points")]
            strictness = _STRICTNESS["upper" if found["upper"] else "about"]
            if unit in {"words", "characters"} or found["upper"]:
                limits[unit] = _number(found["number"]) * strictness
            else:
                limits[unit] = _number(found["number"])
        without = without or _PLAIN.search(text) is not None
        listed = (listed or _LIST.search(text) is not None) and not without
    return WantedForm(limits=tuple(limits.items()), items=listed, plain_text=without)


def loss_of_form(wanted: WantedForm, before: str, after: str, *, room: bool) -> Loss | None:
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
    return int(word) if word.isdigit() else _NUMBERS.get(word.split()[-1], 1)
