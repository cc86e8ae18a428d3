"""The replies of an OpenAI-compatible server, validated where they enter.

Only what the loop reads is named; the rest is ignored. A validation error's own text repeats its
input, so it never leaves this module: the caller gets `MalformedReply` with the place alone.
"""

from collections.abc import Mapping
from typing import TypeVar

import orjson
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from models.errors import MalformedReply
from models.finish import finish_reason
from models.messages import Completion, Usage
from models.thinking import told_apart


class Wire(BaseModel):
    """A part of a reply."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class PromptDetails(Wire):
    """What of the prompt came from the cache."""

    cached_tokens: int | None = None


class CompletionDetails(Wire):
    """What of the completion was reasoning."""

    reasoning_tokens: int | None = None


class WireUsage(Wire):
    """Tokens as the server counted them."""

    prompt_tokens: int = 0
    completion_tokens: int | None = None
    prompt_tokens_details: PromptDetails | None = None
    completion_tokens_details: CompletionDetails | None = None

    def to_usage(self) -> Usage:
        """Return the loop's own value."""
        details, thinking = self.prompt_tokens_details, self.completion_tokens_details
        return Usage(
            prompt_tokens=self.prompt_tokens,
            completion_tokens=self.completion_tokens or 0,
            cached_tokens=(details.cached_tokens or 0) if details else 0,
            reasoning_tokens=(thinking.reasoning_tokens or 0) if thinking else 0,
        )


class Alternative(Wire):
    """A token that could have stood at a place, and its log-probability."""

    token: str
    logprob: float


class Position(Wire):
    """One place of the reply and its likeliest tokens."""

    token: str
    logprob: float
    top_logprobs: tuple[Alternative, ...] = ()


class Logprobs(Wire):
    """Log-probabilities of a reply."""

    content: tuple[Position, ...] | None = None

    def first_token(self) -> Mapping[str, float]:
        """Return the likeliest first tokens; the same word at two ids keeps both by its text."""
        if not self.content:
            return {}
        first = self.content[0]
        found = {option.token: option.logprob for option in reversed(first.top_logprobs)}
        return found or {first.token: first.logprob}


class WireMessage(Wire):
    """The assistant's turn. vLLM calls its thinking `reasoning`, others `reasoning_content`."""

    content: str | None = None
    refusal: str | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None
    tool_calls: tuple[JsonValue, ...] | None = None

    def thinking(self) -> str:
        """Return the reasoning text under either name."""
        return self.reasoning or self.reasoning_content or ""

    def words(self) -> str:
        """Return the answer's text; a refusal is none."""
        return self.content or ""


class Choice(Wire):
    """One reply."""

    message: WireMessage
    finish_reason: str | None = None
    logprobs: Logprobs | None = None


class WireCompletion(Wire):
    """A whole chat completion."""

    choices: tuple[Choice, ...] = Field(min_length=1)
    usage: WireUsage | None = None
    error: None = None

    def to_completion(self) -> Completion:
        """Return the loop's own value.

        Raises:
            ModelUnavailable: the server broke the reply off.

        """
        choice = self.choices[0]
        usage = self.usage.to_usage() if self.usage else Usage()
        words = told_apart(choice.message.words())
        return Completion(
            text=words.text,
            finish_reason=finish_reason(choice.finish_reason or "stop", usage),
            usage=usage,
            reasoning=choice.message.thinking() + words.reasoning,
            tool_calls=tuple(choice.message.tool_calls or ()),
            first_token=choice.logprobs.first_token() if choice.logprobs else {},
            refusal=choice.message.refusal or "",
        )


class ChunkChoice(Wire):
    """A piece of one reply."""

    delta: WireMessage = WireMessage()
    finish_reason: str | None = None


class WireChunk(Wire):
    """One frame of a stream. A frame that carries `error` is a failure inside a 200."""

    choices: tuple[ChunkChoice, ...] = ()
    usage: WireUsage | None = None
    error: JsonValue = None


class ModelCard(Wire):
    """A served model. llama.cpp and vLLM put the context length in different places."""

    id: str
    max_model_len: int | None = None
    meta: Mapping[str, JsonValue] | None = None

    def context_length(self) -> int | None:
        """Return the context in tokens where the server tells."""
        told = (self.meta or {}).get("n_ctx")
        return self.max_model_len or (told if isinstance(told, int) else None)


class ModelCards(Wire):
    """The answer of `GET /v1/models`."""

    data: tuple[ModelCard, ...]


class _Costly(Wire):
    """The one part of a reply that counts even when nothing else in it can be read."""

    usage: WireUsage


Reply = TypeVar("Reply", bound=Wire)


def parse(kind: type[Reply], body: bytes) -> Reply:
    """Read a reply of that kind.

    Raises:
        MalformedReply: the body is not JSON or not of that form.

    """
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the body"
        raise MalformedReply(
            f"the model server's reply is not in OpenAI's form: {place}: {first['type']}",
            spent=_spent(body),
        ) from None


def usage_in(reply: object) -> Usage | None:
    """Return the usage that a decoded reply reports, whatever else is wrong with it."""
    try:
        return _Costly.model_validate(reply).usage.to_usage()
    except ValidationError:
        return None


def _spent(body: bytes) -> Usage | None:
    try:
        return usage_in(orjson.loads(body))
    except orjson.JSONDecodeError:
        return None
