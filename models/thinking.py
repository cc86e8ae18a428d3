"""Reasoning that a model writes into its answer: `<think>…</think>` at the very beginning.

Servers without a reasoning parser leave it there, and a reader would take it for advice. Only
what stands first is reasoning: a tag further down may be a quotation.
"""

from typing import Literal

from models.messages import Delta

OPENING, CLOSING = "<think>", "</think>"


class Thinking:
    """Tells reasoning and answer apart while the text comes; `add` each piece, then `rest`.

    Held back is only what may still turn out to be a tag, so a piece is late by a tag at most.
    Without a tag the text comes out as it went in.
    """

    def __init__(self) -> None:
        self._place: Literal["start", "inside", "behind", "answer"] = "start"
        self._held = ""
        self._has_thought = False

    def add(self, piece: str) -> Delta:
        """Take a piece and return what is sure by now."""
        if self._place == "answer":
            return Delta(text=piece)
        self._held += piece
        reasoning = ""
        if self._place == "start":
            seen = self._held.lstrip()
            if seen.startswith(OPENING):
                self._place, self._held = "inside", seen[len(OPENING) :]
            elif not OPENING.startswith(seen):
                self._place = "answer"
        if self._place == "inside":
            reasoning = self._thought()
        if self._place == "behind":
            self._held = self._held.lstrip()
            self._place = "answer" if self._held else "behind"
        if self._place == "answer":
            return Delta(text=self._take(len(self._held)), reasoning=reasoning)
        return Delta(reasoning=reasoning)

    def rest(self) -> Delta:
        """Return what was held back when the text ended."""
        held = self._take(len(self._held))
        match self._place:
            case "inside":
                return Delta(reasoning=held)
            case "behind":
                return Delta()
            case _:
                return Delta(text=held)

    def _thought(self) -> str:
        """Return the reasoning up to the closing tag, or up to what may begin it."""
        if not self._has_thought:
            self._held = self._held.lstrip()
        end = self._held.find(CLOSING)
        if end >= 0:
            reasoning = self._take(end)
            self._place, self._held = "behind", self._held[len(CLOSING) :]
        else:
            beginnings = (n for n in range(len(CLOSING), 0, -1) if self._held.endswith(CLOSING[:n]))
            reasoning = self._take(len(self._held) - next(beginnings, 0))
        self._has_thought = self._has_thought or bool(reasoning)
        return reasoning

    def _take(self, length: int) -> str:
        taken, self._held = self._held[:length], self._held[length:]
        return taken


def told_apart(text: str) -> Delta:
    """Return a whole text's answer and reasoning."""
    thinking = Thinking()
    first, last = thinking.add(text), thinking.rest()
    return Delta(text=first.text + last.text, reasoning=first.reasoning + last.reasoning)
