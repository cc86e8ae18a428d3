"""One yes/no judgement read from the probabilities of a single token.

The probability is renormalised over the tokens that spell yes or no: what is asked is which of
the two the model leans to, not whether it would rather have said something else. Where it would
rather have said something else nearly always, the reading is refused instead of trusted.
"""

import math

from models.messages import Completion

TOP_LOGPROBS = 20
"""The most alternatives that OpenAI's API gives."""

MIN_MASS = 0.05
"""Below this share of all probability, what leans to yes or no is noise."""


def yes_probability(completion: Completion) -> float | None:
    """Return P(yes | yes or no), or None when the reply leans to neither.

    Without log-probabilities (a server that has none) the reply's own word decides.
    """
    if not completion.first_token:
        word = _word(completion.text)
        return {"yes": 1.0, "no": 0.0}.get(word)
    mass = {"yes": 0.0, "no": 0.0}
    for token, logprob in completion.first_token.items():
        word = _word(token)
        if word in mass and not math.isnan(logprob):
            mass[word] += math.exp(min(logprob, 0.0))
    total = mass["yes"] + mass["no"]
    return mass["yes"] / total if total >= MIN_MASS else None


def _word(text: str) -> str:
    return text.strip(" \t\n\"'*.,:`_").lower()
