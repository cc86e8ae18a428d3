"""Which language a text is in, by its script and, within a script, by its commonest small words.

Small and our own on purpose: the guard must not take two honest texts in one language for two.
Where the words do not tell plainly, or there is no list, nothing is said.
"""

import json
import unicodedata
from collections import Counter
from collections.abc import Iterable
from functools import cache, lru_cache
from pathlib import Path

from revision.statements import Statement, plain

ENOUGH_WORDS = 10
"""Fewer words tell no language."""
LEAST_HITS = 4
"""Fewer of its small words tell none either: many languages have an `in`."""
LEAST_SHARE = 0.2
"""A text has at least this share of its language's small words; else it is no running text."""
MARGIN = 1.4
"""By how much a language must lead its neighbours: Galician is neither Spanish nor Portuguese."""
DENSE = 3
"""Letters of scripts without blanks weigh as much as three: one stands for half a word."""
KANA_SHARE = 0.08
MOST_LETTERS = 20_000

_SPACELESS = frozenset({"CJK", "HIRAGANA", "KATAKANA", "HANGUL", "THAI"})
_NAMES = {
    "en": "english inglés inglese anglais englisch inglês английск 英语 英語 الإنجليزية अंग्रेज",
    "es": "spanish español espanol castellano espagnol spanisch испанск 西班牙",
    "pt": "portuguese português portugués portugais portugiesisch",
    "fr": "french francés français französisch francês французск 法语",
    "it": "italian italiano italien",
    "de": "german alemán allemand deutsch alemão tedesco немецк 德语",
    "nl": "dutch nederlands", "sv": "swedish svenska", "da": "danish norwegian dansk norsk",
    "pl": "polish polski", "ro": "romanian română", "cs": "czech česk", "tr": "turkish türkçe",
    "id": "indonesian bahasa malay melayu", "vi": "vietnamese việt", "sw": "swahili kiswahili",
    "tl": "tagalog filipino", "ru": "russian ruso russe russisch русск 俄语",
    "uk": "ukrainian україн", "bg": "bulgarian българ", "ar": "arabic árabe arabe العربية 阿拉伯",
    "fa": "persian farsi dari فارسی", "ur": "urdu اردو", "hi": "hindi हिंदी हिन्दी",
    "mr": "marathi मराठी", "ne": "nepali नेपाली",
    "CJK": "chinese mandarin cantonese chino chinois chinesisch 中文 汉语 漢語 китайск",
    "JAPANESE": "japanese japonés japonais 日本語", "HANGUL": "korean coreano 한국어",
}  # fmt: skip


def script(text: str) -> str:
    """Return the script that most letters are written in, such as LATIN; empty without letters."""
    counts = Counter(_script_of(one) for one in text[:MOST_LETTERS] if one.isalpha())
    kana, han = counts.pop("HIRAGANA", 0) + counts.pop("KATAKANA", 0), counts.pop("CJK", 0)
    if kana + han:
        counts["JAPANESE" if kana >= KANA_SHARE * (kana + han) else "CJK"] = DENSE * (kana + han)
    for name in _SPACELESS & counts.keys() - {"CJK"}:
        counts[name] *= DENSE
    return max(counts, key=counts.__getitem__, default="")


def language(words: Iterable[str]) -> str | None:
    """Return the language of the words of a plain text, or None where they do not tell."""
    listed = list(words)[: MOST_LETTERS // 4]
    if len(listed) < ENOUGH_WORDS:
        return None
    hits: Counter[str] = Counter()
    for word in listed:
        hits.update(_languages().get(word, ()))
    ranked = [*hits.most_common(2), ("", 0), ("", 0)]
    (told, most), (_, second) = ranked[0], ranked[1]
    enough = most >= max(LEAST_HITS, LEAST_SHARE * len(listed), MARGIN * second, second + 2)
    return told if enough else None


def language_of(said: Iterable[Statement]) -> str | None:
    """Return the language of some statements, or their script where that says it all."""
    listed = list(said)
    written = script(" ".join(one.plain for one in listed))
    if written in {"CJK", "JAPANESE", "HANGUL", "THAI"}:
        return written
    return language([word for one in listed for word in one.words])


def is_small(word: str) -> bool:
    """Say whether a plain word is one of a language's small words, which say nothing alone."""
    return word in _languages()


def named(text: str) -> frozenset[str]:
    """Return the languages that a plain text names, as in "answer in Spanish"."""
    return frozenset(told for told, names in _named().items() if any(one in text for one in names))


@lru_cache(maxsize=8192)
def _script_of(letter: str) -> str:
    return unicodedata.name(letter, "?").partition(" ")[0].partition("-")[0]


@cache
def _languages() -> dict[str, tuple[str, ...]]:
    """Return for each small word the languages that have it."""
    listed = json.loads((Path(__file__).parent / "data" / "function_words.json").read_text("utf-8"))
    listed.pop("source")
    found: dict[str, list[str]] = {}
    for told, words in listed.items():
        for word in dict.fromkeys(plain(words).split()):
            found.setdefault(word, []).append(told)
    return {word: tuple(of) for word, of in found.items()}


@cache
def _named() -> dict[str, tuple[str, ...]]:
    return {told: tuple(map(plain, names.split())) for told, names in _NAMES.items()}
