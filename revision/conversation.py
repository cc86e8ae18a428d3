"""What the user sent, and how the answer was asked for."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from models.messages import NOTHING, Json, Message, Part
from revision.form import AnswerForm, form_of

_BREVITY = re.compile(
    r"\b(brief(ly)?|short(?! of breath)(er|en)?|concise(ly)?|succinct(ly)?|tl;?dr|summar(y|ise|ize)"
    r"|(one|two|three|1|2|3) (word|line|sentence|bullet)s?|(yes or no|just (tell|say|answer)))\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerOptions:
    """OpenAI's options for the visible answer; hidden steps have their own.

    `other` are further fields of the request that go up with every call that writes an answer.
    """

    max_tokens: int | None = None
    temperature: float | None = None
    seed: int | None = None
    other: Mapping[str, Json] = field(default_factory=lambda: NOTHING)

    @property
    def form(self) -> AnswerForm:
        """The form that the answer must have."""
        return form_of(self.other.get("response_format"))

    @property
    def wants_json(self) -> bool:
        """Whether the answer must be JSON."""
        return self.form.is_json


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversation:
    """The turns, the last one the user's (or a tool's result)."""

    messages: tuple[Message, ...]

    @property
    def turns(self) -> tuple[tuple[str, str], ...]:
        """The turns as (role, text), for retrieval."""
        return tuple((turn.role, turn.text) for turn in self.messages)

    @property
    def asks_for_brevity(self) -> bool:
        """Whether the user's last words ask for a short answer."""
        last = next((turn for turn in reversed(self.messages) if turn.role == "user"), None)
        return last is not None and _BREVITY.search(last.text[-2000:]) is not None

    def with_answer(self, answer: str, instruction: str) -> tuple[Message, ...]:
        """Return the prompt that shows an answer and then asks something about it.

        Every hidden prompt is the conversation, then the answer, then our words: each is a prefix
        of the next, so a prefix cache serves all of them.
        """
        shown = Message(role="assistant", content=answer)
        return (*self.messages, shown, Message(role="user", content=instruction))

    def with_instruction(self, instruction: str) -> tuple[Message, ...]:
        """Return the prompt that asks something about the conversation itself.

        Templates want turns to alternate, so the instruction joins a last user turn.
        """
        last = self.messages[-1]
        if last.role != "user":
            return (*self.messages, Message(role="user", content=instruction))
        content: str | tuple[Part, ...] = f"{last.text}\n\n{instruction}"
        if isinstance(last.content, tuple):
            content = (*last.content, Part(text=f"\n\n{instruction}"))
        return (*self.messages[:-1], Message(role="user", content=content, extra=last.extra))
