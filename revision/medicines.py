"""Names of medicines in a text: a list of our own, and the stems by which new names are told.

Names are compared by how they sound, roughly: `ibuprofeno`, `ibuprofène` and `ибупрофен` are one
medicine, and an ending more or less makes no other one. What a list does not know is not seen; the
judge still sees it.
"""

import json
import re
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

from revision.phrases import Phrases, searched
from revision.statements import Statement, plain

_SHORTEST = 5
_SHORTEST_BY_SOUND = 7
"""Shorter names are told by their letters alone: `Prozac` sounds too much like `process`."""
_LATIN_FOR = str.maketrans(
    {
        **dict(zip("абвгдезийклмнопрстуфыэіў", "abvgdezijklmnoprstufiiiu", strict=True)),
        "ж": "j",
        "\u0445": "h",
        "ц": "c",
        "ч": "c",
        "ш": "s",
        "щ": "s",
        "ь": "",
        "ъ": "",
        "ю": "u",
        "я": "a",
        "ё": "e",
        "є": "e",
        "ї": "i",
        "ґ": "g",
    }
)
_SOUNDS = (("ph", "f"), ("th", "t"), ("ch", "c"), ("qu", "c"), ("eu", "o"), ("ae", "e"))
_LETTERS = str.maketrans(
    {"y": "i", "j": "i", "w": "v", "k": "c", "q": "c", "z": "c", "s": "c", "x": "c"}
)
_DOUBLED = re.compile(r"(.)\1+")
_SILENT = re.compile(r"(?:um|[aeou])?(?:c|om|[aeiou])?$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mention:
    """A medicine that a statement names: its INN where known, else the name's sound.

    `place` is where it stands first in the plain statement.
    """

    name: str
    shown: str
    place: int


def medicines(statement: Statement) -> tuple[Mention, ...]:
    """Return the medicines that a statement names."""
    found = [
        Mention(name=name, shown=word, place=statement.plain.find(word))
        for word in dict.fromkeys(statement.words)
        if len(word) >= _SHORTEST and (name := _name(word)) is not None
    ]
    if not statement.plain.isascii():
        known = _known()
        found += [
            Mention(name=known.elsewhere[word], shown=word.strip(), place=place)
            for word, place in known.phrases.found(statement)
        ]
    return tuple(found)


def classes(statement: Statement) -> frozenset[str]:
    """Return the classes of medicines that a statement speaks of, as of NSAIDs."""
    known = _known().class_words
    pairs = zip(statement.words, statement.words[1:], strict=False)
    spoken = {*statement.words, *(f"{one}-{other}" for one, other in pairs)}
    return frozenset(known[word] for word in spoken if word in known)


def class_of(name: str) -> str | None:
    """Return the class of a listed medicine."""
    return _known().class_of.get(name)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    by_letters: dict[str, str]
    by_sound: dict[str, str]
    elsewhere: dict[str, str]
    phrases: Phrases
    class_of: dict[str, str]
    class_words: dict[str, str]
    stems: tuple[str, ...]
    not_medicines: frozenset[str]


@cache
def _known() -> _Known:
    listed = json.loads((Path(__file__).parent / "data" / "medicines.json").read_text("utf-8"))
    class_of = {name: kind for kind, names in listed["classes"].items() for name in names.split()}
    others = {plain(word): name for word, name in listed["other_names"].items()}
    written = {name: name for name in class_of}
    written |= {word: name for word, name in others.items() if _alphabetic(word)}
    elsewhere = {word: name for word, name in others.items() if not _alphabetic(word)}
    return _Known(
        by_letters=written,
        by_sound={_sound(w): name for w, name in written.items() if len(w) >= _SHORTEST_BY_SOUND},
        elsewhere={searched(word): name for word, name in elsewhere.items()},
        phrases=Phrases(elsewhere),
        class_of=class_of,
        class_words={
            plain(word): kind
            for kind, words in listed["class_words"].items()
            for word in words.split()
        },
        stems=tuple({_sound(stem) for stem in listed["stems"].split()}),
        not_medicines=frozenset(map(_sound, listed["not_medicines"].split())),
    )


@lru_cache(maxsize=8192)
def _name(word: str) -> str | None:
    if not _alphabetic(word):
        return None
    known = _known()
    latin = word.translate(_LATIN_FOR)
    name = known.by_letters.get(latin) or known.by_letters.get(latin.removesuffix("s"))
    if name is not None or len(word) < _SHORTEST_BY_SOUND:
        return name
    sound = _sound(word)
    if sound in known.not_medicines:
        return None
    return known.by_sound.get(sound) or (sound if sound.endswith(known.stems) else None)


def _alphabetic(word: str) -> bool:
    """Say whether a word is in the Latin or the Cyrillic alphabet, whose sounds are known here."""
    return all(character < "\u0530" for character in word)


def _sound(word: str) -> str:
    """Return roughly how a name sounds: languages spell one name in many ways."""
    sound = word[:40].translate(_LATIN_FOR)
    for spelling, heard in _SOUNDS:
        sound = sound.replace(spelling, heard)
    return _SILENT.sub("", _DOUBLED.sub(r"\1", sound.translate(_LETTERS)))
