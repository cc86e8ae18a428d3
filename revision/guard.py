"""What a candidate must pass before a judge sees it: checks that need no model.

A judge asks whether the criteria are met; it does not ask whether half the answer has vanished.
These checks do. They are blunt on purpose: a rejected candidate costs a round, an accepted
wreck costs the user the answer.
"""

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable

from models.messages import Completion, Json
from revision.conversation import Conversation
from revision.form import AnswerForm, words

KEPT_SHARE = 0.5
"""A revision of less than half the length has cut something; unless brevity was asked for."""

REPEATED_SHARE = 0.5
"""More repeated sentences than this is a model in a loop."""

_SENTENCE = re.compile(r"[^.!?\n。！？]+")  # noqa: RUF001  # full-width stops end sentences too
_EMERGENCY_NUMBER = re.compile(
    r"(?<![\d.,/])(?:911|112|999|988|000|111)(?![\d]|[.,/]\d| ?(?:mg|mcg|ml|mm|kg|g|%))"
)
_ABOUT_ITSELF = re.compile(
    r"\A\W*(?:(?:sure|certainly|of course|okay)\b[^\n]{0,20}?\W+)?"
    r"(?:here(?:'s| is)|below is|this is)"
    r"[^\n]{0,40}\b(?:revis|rewrit|updat|edit|improv|correct)\w*[^\n]{0,60}(?::|\n)",
    re.IGNORECASE,
)


def objection(
    best: Completion, candidate: Completion, conversation: Conversation, form: AnswerForm
) -> str | None:
    """Return why the candidate must not replace the best answer, or None if nothing speaks up.

    Of JSON, what is looked at are the words that its values hold: keys, brackets and white space
    are no prose. Whether it matches a schema is asked after this, in `revision.form`.
    """
    old, new = best.text.strip(), candidate.text.strip()
    was, now = form.read(best.text), form.read(candidate.text)
    before, after = _said(old, form), _said(new, form)
    said_before, said_after = "\n".join(before), "\n".join(after)
    least = 0 if conversation.asks_for_brevity else KEPT_SHARE * len(said_before)
    checks = (
        (not new, "empty"),
        (new == old or (was is not None and _same(was, now)), "unchanged"),
        (bool(candidate.tool_calls), "calls tools"),
        (bool(candidate.refusal), "refuses"),
        (candidate.finish_reason == "length" and best.finish_reason != "length", "cut short"),
        (
            candidate.finish_reason == "content_filter" and best.finish_reason != "content_filter",
            "cut by a filter",
        ),
        (form.is_json and now is None, "not JSON"),
        (any(_ABOUT_ITSELF.search(one) for one in after), "talks about itself"),
        (_script(said_after) != _script(said_before), "another script"),
        (len(said_after) < least, "much shorter"),
        (bool(_numbers(said_before) - _numbers(said_after)), "emergency number lost"),
        (_most_repeated(after) > max(REPEATED_SHARE, _most_repeated(before)), "repeats itself"),
    )
    return next((reason for failed, reason in checks if failed), None)


def _said(text: str, form: AnswerForm) -> tuple[str, ...]:
    """Return what an answer says: the values if it is JSON or holds it, as in a fence; else all."""
    value = form.read(text) or form.read(text[text.find("{") : text.rfind("}") + 1])
    return (text,) if value is None else tuple(words(value))


def _same(one: Json, other: Json) -> bool:
    """Say whether two values are the same JSON; Python holds `true` and `1` for equal."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def _numbers(text: str) -> set[str]:
    return set(_EMERGENCY_NUMBER.findall(text))


def _script(text: str) -> str:
    """Return the script most letters are written in, such as LATIN or DEVANAGARI."""
    letters = (character for character in text[:4000] if character.isalpha())
    names = Counter(unicodedata.name(letter, "?").split(" ")[0] for letter in letters)
    return names.most_common(1)[0][0] if names else ""


def _most_repeated(texts: Iterable[str]) -> float:
    """Return the largest share that any of the texts repeats; values may well be alike."""
    return max(map(_repeats, texts), default=0.0)


def _repeats(text: str) -> float:
    """Return the share of sentences that were said before."""
    sentences = [" ".join(one.split()).casefold() for one in _SENTENCE.findall(text)]
    sentences = [one for one in sentences if one]
    return 1 - len(set(sentences)) / len(sentences) if sentences else 0.0
