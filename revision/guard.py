"""What a candidate must pass before a judge sees it: checks that need no model.

A judge asks whether the criteria are met; it does not ask whether half the answer has vanished.
These checks do. They are blunt on purpose: a rejected candidate costs a round, an accepted
wreck costs the user the answer.
"""

import json
import re
import unicodedata
from collections import Counter

from models.messages import Completion
from revision.conversation import AnswerOptions, Conversation

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
    best: Completion, candidate: Completion, conversation: Conversation, options: AnswerOptions
) -> str | None:
    """Return why the candidate must not replace the best answer, or None if nothing speaks up."""
    old, new = best.text.strip(), candidate.text.strip()
    checks = (
        (not new, "empty"),
        (new == old, "unchanged"),
        (bool(candidate.tool_calls), "calls tools"),
        (candidate.finish_reason == "length" and best.finish_reason != "length", "cut short"),
        (
            candidate.finish_reason == "content_filter" and best.finish_reason != "content_filter",
            "cut by a filter",
        ),
        (options.wants_json and not _is_json(new), "not JSON"),
        (_ABOUT_ITSELF.search(new) is not None, "talks about itself"),
        (_script(new) != _script(old), "another script"),
        (len(new) < KEPT_SHARE * len(old) and not conversation.asks_for_brevity, "much shorter"),
        (bool(_numbers(old) - _numbers(new)), "emergency number lost"),
        (_repeats(new) > max(REPEATED_SHARE, _repeats(old)), "repeats itself"),
    )
    return next((reason for failed, reason in checks if failed), None)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _numbers(text: str) -> set[str]:
    return set(_EMERGENCY_NUMBER.findall(text))


def _script(text: str) -> str:
    """Return the script most letters are written in, such as LATIN or DEVANAGARI."""
    letters = (character for character in text[:4000] if character.isalpha())
    names = Counter(unicodedata.name(letter, "?").split(" ")[0] for letter in letters)
    return names.most_common(1)[0][0] if names else ""


def _repeats(text: str) -> float:
    """Return the share of sentences that were said before."""
    sentences = [" ".join(one.split()).casefold() for one in _SENTENCE.findall(text)]
    sentences = [one for one in sentences if one]
    return 1 - len(set(sentences)) / len(sentences) if sentences else 0.0
