"""How many tokens a prompt has, without asking: never more than, and most likely.

No tokenizer makes more tokens than a text has bytes, so what fits by bytes fits, and most prompts
do. The guess is for servers that do not count: cautious at first, and then held against what the
server's own usage says of the very conversation in question.
"""

from collections.abc import Sequence

import orjson

from models.messages import Message, Usage

A_TURN = 12
"""Tokens that a template puts around a turn, at most."""

A_TEMPLATE = 160
"""And before all: some write a system turn of their own, with a date."""

LETTERS_A_TOKEN = 3.0
"""Of ASCII text. English has four and more, codes and figures two to three."""

CAUTION = 1.05


def at_most(messages: Sequence[Message]) -> int:
    """Return a number of tokens that the prompt cannot exceed."""
    return A_TEMPLATE + sum(A_TURN + _bytes(turn)[0] for turn in messages)


class Guess:
    """Guesses a prompt's tokens, better with every prompt whose true number was told."""

    def __init__(self) -> None:
        self._scale: float | None = None

    def of(self, messages: Sequence[Message]) -> int:
        """Return a number of tokens that is more likely too large than too small."""
        return int(_raw(messages) * (self._scale or 1.0) * CAUTION) + A_TURN * len(messages)

    def learn(self, messages: Sequence[Message], usage: Usage) -> None:
        """Note what a prompt has cost; of several, the one that was underrated most counts."""
        raw = _raw(messages)
        if usage.prompt_tokens > 0 and raw > 0:
            self._scale = max(self._scale or 0.0, usage.prompt_tokens / raw)


def _raw(messages: Sequence[Message]) -> float:
    total = 0.0
    for turn in messages:
        whole, ascii_only = _bytes(turn)
        total += ascii_only / LETTERS_A_TOKEN + (whole - ascii_only)
    return total


def _bytes(turn: Message) -> tuple[int, int]:
    """Return a turn's bytes, and how many of them are ASCII; tool calls count as they go up."""
    text = turn.text
    whole = len(text.encode("utf-8", "surrogatepass"))
    ascii_only = len(text.encode("ascii", "ignore"))
    if turn.extra:
        extra = len(orjson.dumps(dict(turn.extra)))
        return whole + extra, ascii_only + extra
    return whole, ascii_only
