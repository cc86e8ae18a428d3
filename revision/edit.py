"""Step: a better answer by edits of the one that is there.

The prompt names the segments by their first words after the answer itself, so that it begins as
every hidden prompt does and the prefix cache serves it. The revision is as free as a rewrite: what
is added may be of any length and anywhere.
"""

import regex

from models.messages import Call, Completion, Json
from revision.apply import apply
from revision.attempt import Attempt
from revision.case import Case
from revision.critique import Critique, Finding
from revision.editable import holds, tokens_of
from revision.edits import FORM, SCHEMA, edits_of
from revision.errors import Unparsable
from revision.mending import to_mend
from revision.prompts import render
from revision.review import Reviewed
from revision.segments import Segmented
from revision.structured import read

FEWEST_TOKENS = 600
GROWTH = 1.5
"""Of the answer's tokens that its edits may take beyond these: all anew, and half of it added."""
FEWEST_WORDS, MOST_WORDS = 4, 10
"""Of a segment that the prompt shows, as many as tell it from the others."""

_UNIT = regex.compile(
    r"\s*(?:[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}]{1,3}|\S+?(?=\s|\p{Han}|\Z))"
)


async def edit(
    case: Case,
    best: Reviewed,
    critique: Critique,
    findings: tuple[Finding, ...],
    draft: Segmented,
) -> Attempt:
    """Return the answer with the model's edits in it.

    Raises:
        Unparsable: there are no edits to apply, or the model would rather write the answer anew.
        ModelError, DeadlinePassed: the model could not be asked.

    """
    numbers, items = to_mend(critique, findings)
    instruction = render("edit", nonce=case.nonce, items=items, segments=listed(draft))
    options: dict[str, Json] = {k: v for k, v in case.options.other.items() if k == "top_p"}
    call = Call(
        step="edit",
        messages=case.conversation.with_answer(best.answer.text, instruction),
        max_tokens=FEWEST_TOKENS + int(GROWTH * tokens_of(best.answer.text)),
        temperature=case.options.temperature,
        schema=SCHEMA,
        options=options,
        thinks=False,
    )
    reply = await case.calls.write("revise", call)
    edits = edits_of(read(reply, FORM), numbers)
    if any(one.op == "rewrite" for one in edits):
        raise Unparsable("the model would rather write the answer anew")
    applied = apply(draft, edits)
    if 2 * applied.done < len(edits):
        raise Unparsable("most edits cannot be applied")
    most = case.options.max_tokens
    if most is not None and not holds(most, best, tokens_of(applied.text)):
        raise Unparsable("the edits make the answer longer than it may be")
    answer = Completion(text=applied.text, finish_reason="stop", usage=reply.usage)
    return Attempt(answer=answer, by="edits", changes=applied.changes)


def listed(draft: Segmented) -> list[dict[str, str]]:
    """Return the segments as the prompt names them: each by the words that tell it from others."""
    texts = [" ".join(one.text.split()) for one in draft.segments]
    begins = [_first(text, FEWEST_WORDS) for text in texts]
    for count in range(FEWEST_WORDS + 1, MOST_WORDS + 1):
        twice = {one for one in begins if begins.count(one) > 1}
        if not twice:
            break
        begins = [
            _first(text, count) if one in twice else one
            for text, one in zip(texts, begins, strict=True)
        ]
    return [
        {"id": f"S{one.number}", "begins": begin}
        for one, begin in zip(draft.segments, begins, strict=True)
    ]


def _first(text: str, count: int) -> str:
    """Return the first words of a text, or what is as much in scripts that part no words."""
    end = 0
    for _ in range(count):
        found = _UNIT.match(text, end)
        if found is None:
            break
        end = found.end()
    return text[:end]
