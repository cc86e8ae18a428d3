"""Side requests of chat frontends: a title, tags, follow-up questions, a line to complete.

They go to the same model as the answers, several for each answer, and no patient reads them as
advice, so they take one plain call. A frontend says so by the header `X-OpenWebUI-Task`, or sends a
prompt that is known. What decides then is the message as a whole: it must be the only one, begin
and end as the frontend's prompt does, and hold its headings in order. Words inside a message never
choose, or else a line in a pasted letter could switch the review off. A prompt that ends in the
conversation itself, as LibreChat's does, cannot be told as a whole and is not known here.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from models.messages import Message

HEADER = "x-openwebui-task"

_TASK = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
_NO_TASK = frozenset({"none", "null", "undefined", "false"})
"""What an unfilled template may leave in the header."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SidePrompt:
    """How a frontend's prompt can be told, with all runs of white space read as one space."""

    head: str
    headings: tuple[str, ...]
    end: str

    def matches(self, text: str) -> bool:
        """Say whether the text, its white space already collapsed, is such a prompt as a whole."""
        if not text.startswith(self.head):
            return False
        place = len(self.head)
        for heading in self.headings:
            found = text.find(heading, place)
            if found < 0:
                return False
            place = found + len(heading)
        return text.endswith(self.end) and len(text) - len(self.end) >= place


_HISTORY = ("### Chat History: <chat_history>",)
_FORM = ("### Guidelines:", "### Output:")

# Only what tells a prompt apart: its first words, headings and end, as far as versions agree.
KNOWN: Mapping[str, SidePrompt] = {
    "Open WebUI: title": SidePrompt(
        head="### Task: Generate a concise",
        headings=(*_FORM, '"title"', *_HISTORY),
        end="</chat_history>",
    ),
    "Open WebUI: tags": SidePrompt(
        head="### Task: Generate 1-3 broad tags",
        headings=(*_FORM, '"tags"', *_HISTORY),
        end="</chat_history>",
    ),
    "Open WebUI: follow-ups": SidePrompt(
        head="### Task: Suggest 3-5 relevant follow-up questions",
        headings=(*_FORM, '"follow_ups"', *_HISTORY),
        end="</chat_history>",
    ),
    "Open WebUI: image prompt": SidePrompt(
        head="### Task: Generate a detailed prompt for",
        headings=("image generation task", *_FORM, '"prompt"', *_HISTORY),
        end="</chat_history>",
    ),
    "Open WebUI: search queries": SidePrompt(
        head="### Task: Analyze the chat history to determine the necessity of generating search",
        headings=(*_FORM, '"queries"', *_HISTORY),
        end="</chat_history>",
    ),
    "Open WebUI: autocompletion": SidePrompt(
        head="### Task: You are an autocompletion system.",
        headings=("### **Output Rules**:", "### Context: <chat_history>", "</chat_history> <type>"),
        end="</text> #### Output:",
    ),
    "Open WebUI: emoji": SidePrompt(
        head="Your task is to reflect the speaker's likely facial expression",
        headings=("through a fitting emoji.", "Message: ```"),
        end="```",
    ),
}


def says_side_request(header: str | None) -> bool:
    """Say whether the header's value names a task; an unfilled template is none."""
    value = (header or "").strip()
    return _TASK.fullmatch(value) is not None and value.casefold() not in _NO_TASK


def is_side_prompt(messages: Sequence[Message]) -> bool:
    """Say whether the conversation is one user message, and that a frontend's own prompt, whole."""
    if len(messages) != 1 or messages[0].role != "user":
        return False
    text = " ".join(messages[0].text.split())
    return any(prompt.matches(text) for prompt in KNOWN.values())
