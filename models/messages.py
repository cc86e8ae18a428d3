"""Chat messages, calls and completions as frozen values.

A message keeps the form in which the client sent it (text parts, tool calls, names), because a
conversation that is flattened to text loses what tools and roles said; `text` is a reading of it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TypeAlias

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | Mapping[str, Json] | None"

NOTHING: Mapping[str, Json] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A text part of a turn. `extra` holds its other fields (as a cache mark) as they came."""

    text: str
    extra: Mapping[str, Json] = field(default_factory=lambda: NOTHING)

    def to_wire(self) -> dict[str, Json]:
        """Return the part in the form of OpenAI's API."""
        return {"type": "text", "text": self.text, **self.extra}


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One chat turn. `content` is text, a tuple of text parts, or None (as beside tool calls).

    `extra` holds the turn's other fields (name, tool_calls, tool_call_id) as they came.
    """

    role: str
    content: str | tuple[Part, ...] | None
    extra: Mapping[str, Json] = field(default_factory=lambda: NOTHING)

    @property
    def text(self) -> str:
        """The turn's words, parts joined in order; empty where there are none."""
        if isinstance(self.content, tuple):
            return "".join(part.text for part in self.content)
        return self.content or ""

    @property
    def parts(self) -> tuple[Part, ...]:
        """The content as parts; plain text is one part."""
        if isinstance(self.content, tuple):
            return self.content
        return (Part(text=self.content),) if self.content else ()

    def to_wire(self) -> dict[str, Json]:
        """Return the turn in the form of OpenAI's API."""
        content: Json
        if isinstance(self.content, tuple):
            content = [part.to_wire() for part in self.content]
        else:
            content = self.content
        return {"role": self.role, "content": content, **self.extra}


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonSchema:
    """A JSON schema that the reply must match, under a name the API asks for."""

    name: str
    schema: Mapping[str, Json]

    def to_response_format(self) -> dict[str, Json]:
        """Return OpenAI's `response_format` for it.

        vLLM ignores its own older `guided_json` without a word, so the standard field is used.
        """
        wrapped: dict[str, Json] = {"name": self.name, "schema": self.schema, "strict": True}
        return {"type": "json_schema", "json_schema": wrapped}


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request to a chat model.

    `step` names the loop's step, for metrics and for engines that schedule by it. `options` are
    further fields of OpenAI's API, sent as they are. `deadline` is a `loop.time()` in seconds.
    `affinity` keeps the calls of one conversation on one replica, where its prefix is cached.
    `salt` keeps prefixes apart in the engine's cache: calls of another salt never share one.
    `thinks` is False where the reply's first word counts, so that thinking is to be switched off.
    """

    step: str
    messages: tuple[Message, ...]
    max_tokens: int | None = None
    temperature: float | None = None
    seed: int | None = None
    schema: JsonSchema | None = None
    top_logprobs: int | None = None
    options: Mapping[str, Json] = field(default_factory=lambda: NOTHING)
    deadline: float | None = None
    affinity: str = ""
    salt: str = ""
    thinks: bool = True

    def to_wire(self) -> dict[str, Json]:
        """Return the body of a chat completion request, without model and stream."""
        body: dict[str, Json] = dict(self.options)
        body["messages"] = [turn.to_wire() for turn in merge_system(self.messages)]
        if self.max_tokens is not None:
            body["max_tokens"] = self.max_tokens
        if self.temperature is not None:
            body["temperature"] = self.temperature
        if self.seed is not None:
            body["seed"] = self.seed
        if self.schema is not None:
            body["response_format"] = self.schema.to_response_format()
        if self.top_logprobs is not None:
            body["logprobs"] = True
            body["top_logprobs"] = self.top_logprobs
        return body


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens that calls have cost; usages add up."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
            cached_tokens=self.cached_tokens + other.cached_tokens,
            reasoning_tokens=self.reasoning_tokens + other.reasoning_tokens,
        )

    @property
    def total_tokens(self) -> int:
        """Prompt and completion tokens together."""
        return self.prompt_tokens + self.completion_tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class Delta:
    """A piece of a streamed completion: words of the answer, or of the model's reasoning."""

    text: str = ""
    reasoning: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """A finished reply.

    `finish_reason` is one of OpenAI's, and "length" for tool calls that were cut short too.
    `first_token` maps the likeliest first tokens to their log-probabilities, if asked for.
    `tool_calls` are in OpenAI's form. `refusal` is the model's own statement, in a field apart,
    that it gives no answer. A reply that has either is not prose to review.
    """

    text: str
    finish_reason: str
    refusal: str = ""
    usage: Usage = field(default_factory=Usage)
    reasoning: str = ""
    tool_calls: tuple[Json, ...] = ()
    first_token: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def is_prose(self) -> bool:
        """Whether it is an answer in words, which can be judged and revised."""
        return not (self.tool_calls or self.refusal)

    @property
    def is_empty(self) -> bool:
        """Whether it says nothing at all."""
        return self.is_prose and not self.text.strip()


def merge_system(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """Gather system and developer turns into one first system turn.

    Qwen's chat templates reject the role `developer` and any system turn that is not the first.
    A conversation that already obeys is returned as it is.
    """
    instructions = [turn for turn in messages if turn.role in {"system", "developer"}]
    if not instructions or (
        len(instructions) == 1 and messages[0] is instructions[0] and messages[0].role == "system"
    ):
        return messages
    rest = tuple(turn for turn in messages if turn.role not in {"system", "developer"})
    return (_one_system_turn(instructions), *rest)


def _one_system_turn(instructions: Sequence[Message]) -> Message:
    """Return one turn with the parts of all; with the other fields where all agree on them.

    Text alone stays text, since not every template takes parts.
    """
    first = instructions[0]
    extra = first.extra if all(turn.extra == first.extra for turn in instructions) else NOTHING
    if len(instructions) == 1:
        return Message(role="system", content=first.content, extra=extra)
    if not any(isinstance(turn.content, tuple) for turn in instructions):
        words = "\n\n".join(turn.text for turn in instructions)
        return Message(role="system", content=words, extra=extra)
    parts = list(first.parts)
    for turn in instructions[1:]:
        parts += [Part(text="\n\n"), *turn.parts]
    return Message(role="system", content=tuple(parts), extra=extra)
