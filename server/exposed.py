"""The draft as a client may ask to see it: as reasoning behind the answer.

A model's own reasoning comes with it, parted from the draft by a rule, so that a reader can tell
what was thought from what was to be said. Whole and streamed answers show the same.
"""

from models.messages import Completion, Delta, Json

RULE = "\n\n---\n\n"


class Exposed:
    """Puts a draft's pieces together into one text of reasoning, as they come."""

    def __init__(self) -> None:
        self._last = ""

    def add(self, delta: Delta) -> str:
        """Return how the text goes on."""
        return self._one("reasoning", delta.reasoning) + self._one("text", delta.text)

    def _one(self, kind: str, words: str) -> str:
        if not words:
            return ""
        parted = RULE if self._last and self._last != kind else ""
        self._last = kind
        return parted + words


def exposed(draft: Completion) -> str:
    """Return a whole draft as reasoning."""
    return Exposed().add(Delta(text=draft.text, reasoning=draft.reasoning))


def under_both_names(reasoning: str) -> dict[str, Json]:
    """Return reasoning as clients of vLLM and as those of its elders look for it."""
    return {"reasoning": reasoning, "reasoning_content": reasoning}
