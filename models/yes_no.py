"""One yes/no judgement read from the probabilities of a single token.

The probability is renormalised over the tokens that spell yes or no: what is asked is which of
the two the model leans to. That is only a judgement where the model was about to say one of them.
Where a tenth or more of its probability lies elsewhere ("It", "<think>", "I cannot"), what leans
to yes or no says little of what it would have gone on to say, and the reading is refused.
"""

import math

from models.messages import Completion

TOP_LOGPROBS = 20
"""The most alternatives that OpenAI's API gives."""

MIN_MASS = 0.9
"""Least share of all probability that yes and no hold together in a judgement that counts."""


def yes_probability(completion: Completion) -> float | None:
    """Return P(yes | yes or no); None when that cannot be told.

    It cannot where the reply leans to neither, nor where a server gives no probabilities: the
    word alone does not say how sure the model was of saying either.
    """
    yes, no = _mass(completion)
    return yes / (yes + no) if yes + no >= MIN_MASS else None


def yes_share(completion: Completion) -> float | None:
    """Return the same share however little yes and no hold: to measure a model, not to judge by."""
    yes, no = _mass(completion)
    return yes / (yes + no) if yes + no > 0 else None


def _mass(completion: Completion) -> tuple[float, float]:
    mass = {"yes": 0.0, "no": 0.0}
    for token, logprob in completion.first_token.items():
        word = _word(token)
        if word in mass and not math.isnan(logprob):
            mass[word] += math.exp(min(logprob, 0.0))
    return mass["yes"], mass["no"]


def _word(text: str) -> str:
    return text.strip(" \t\n\"'*.,:`_").lower()
