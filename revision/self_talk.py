"""Answers that speak of themselves instead of to the reader, and answers that refuse.

"Here is the revised answer" tells a patient that there was another one, and "I can't help with
that" is a decision that no second call may undo (ADR 13). Read in several languages, from how such
sentences begin; the patterns have no nested repeats, and see only an answer's ends.
"""

import re
from functools import cache
from typing import cast

from revision.phrases import load
from revision.statements import plain

_FIRST = 240
"""Characters in which an answer introduces itself."""
_LAST = 400
_REFUSES_WITHIN = 600


def talks_about_itself(answer: str, *, asked: str) -> bool:
    """Say whether an answer tells of its own making; `asked` is what the user wanted.

    Who asked for an edit of a text may be told that here it is.
    """
    patterns = _patterns()
    ends = f"{plain(answer[:_FIRST])}\n{plain(answer[-_LAST:])}"
    if patterns["tells_of_review"].search(ends):
        return True
    first_line = plain(answer.lstrip()[:_FIRST].partition("\n")[0])
    if not patterns["introduces"].search(first_line):
        return False
    return not patterns["asks_for_an_edit"].search(plain(asked))


def refuses(answer: str) -> bool:
    """Say whether an answer declines, in words; that it gives no medical advice is no refusal."""
    return _patterns()["refuses"].search(plain(answer[:_REFUSES_WITHIN])) is not None


@cache
def _patterns() -> dict[str, re.Pattern[str]]:
    listed = cast(dict[str, list[str]], load("self_talk"))
    advice = listed.pop("advice")
    unless = [f"{one}(?! {advice})" for one in listed.pop("refuses_unless_advice")]
    listed["refuses"] = [*unless, *listed["refuses"]]
    return {name: re.compile("|".join(patterns)) for name, patterns in listed.items()}
