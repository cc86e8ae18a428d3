"""Whether an answer is better edited or written anew.

Edits cost what they say and some 20 tokens each; a rewrite costs the whole answer again. But edits
cannot hold a limit on the whole, nor a form that a program reads: such answers are written anew.
"""

from models.messages import Json
from revision.case import Case
from revision.change import Change
from revision.critique import Critique, Finding
from revision.review import Reviewed
from revision.segments import Segmented, segmented

TOKENS_AN_EDIT = 45
"""What one unmet criterion costs to mend: the edit's form and a sentence or two."""
BYTES_A_TOKEN = 4.0
MOST_SEGMENTS = 120
"""Beyond these, paragraphs stay whole; beyond twice as many, the answer is written anew."""

SHAPING = frozenset(
    {
        "stop",
        "stop_token_ids",
        "include_stop_str_in_output",
        "logit_bias",
        "bad_words",
        "allowed_token_ids",
        "min_tokens",
        "structured_outputs",
        "prediction",
    }
)
"""Options with which the engine shapes the text of a whole answer."""


def tokens_of(answer: str) -> float:
    """Return about how many tokens a text has, in any script."""
    return len(answer.encode()) / BYTES_A_TOKEN


def to_edit(
    case: Case, best: Reviewed, critique: Critique, findings: tuple[Finding, ...]
) -> Segmented | None:
    """Return the answer in segments if it is to be edited; None if it is to be written anew."""
    answer, options = best.answer, case.options
    shaped = any(_is_set(options.other.get(name)) for name in SHAPING)
    if shaped or options.wants_json or not best.fits or answer.finish_reason != "stop":
        return None
    size = tokens_of(answer.text)
    added = TOKENS_AN_EDIT * len(critique.unmet)
    if added >= size:
        return None
    if options.max_tokens is not None and not holds(options.max_tokens, best, size + added):
        return None
    change = Change(
        best=answer,
        candidate=answer,
        conversation=case.conversation,
        form=options.form,
        critique=critique,
        findings=findings,
    )
    if change.should_shorten:
        return None
    segments = segmented(answer.text)
    if len(segments.segments) > MOST_SEGMENTS:
        segments = segmented(answer.text, sentence_by_sentence=False)
    whole = len(segments.segments) == 1 and segments.segments[0].kind == "json"
    return None if whole or len(segments.segments) > 2 * MOST_SEGMENTS else segments


def holds(most: int, best: Reviewed, size: float) -> bool:
    """Say whether an answer of that size, as `tokens_of` has it, is within `most` real tokens.

    What the draft has cost tells what a token of this text is.
    """
    spent = best.answer.usage.completion_tokens
    rate = max(1.0, spent / max(1.0, tokens_of(best.answer.text)))
    return size * rate <= most


def _is_set(value: Json) -> bool:
    return value is not None and value not in ([], {}, "", 0)
