"""The replies of an OpenAI-compatible server, validated where they enter.

Only what the loop reads is named; the rest is ignored. A validation error's own text repeats its
input, so it never leaves this module: the caller gets `MalformedReply` with the place alone.
"""

from typing import Annotated, TypeVar

import orjson
from pydantic import Field, JsonValue, ValidationError, field_validator

from models.errors import MalformedReply
from models.finish import finish_reason
from models.messages import Completion, Usage
from models.thinking import told_apart
from models.tool_calls import FunctionPiece, ToolCall, ToolCallPiece
from models.wire_parts import (
    IF_SENSIBLE,
    NULL_IS_EMPTY,
    NULL_SAYS_NOTHING,
    Context,
    Logprobs,
    ToldUsage,
    Wire,
)

MOST_CHOICES = 1000


class Said(Wire):
    """What the assistant says. vLLM calls its thinking `reasoning`, others `reasoning_content`."""

    content: str | None = None
    refusal: str | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None
    function_call: FunctionPiece | None = None

    def thinking(self) -> str:
        """Return the reasoning text under either name."""
        return self.reasoning or self.reasoning_content or ""

    def words(self) -> str:
        """Return the answer's text; a refusal is none."""
        return self.content or ""


class WireMessage(Said):
    """The assistant's whole turn."""

    tool_calls: Annotated[tuple[ToolCall, ...], NULL_IS_EMPTY] = ()


class WireDelta(Said):
    """A piece of it."""

    tool_calls: Annotated[tuple[ToolCallPiece, ...], NULL_IS_EMPTY] = ()


class AnyChoice(Wire):
    """One of several replies, or a piece of it."""

    index: Annotated[int, Field(strict=True, ge=0, lt=MOST_CHOICES)] | None = None
    finish_reason: str | None = None
    logprobs: Logprobs | None = None


class Choice(AnyChoice):
    """One whole reply."""

    message: WireMessage


class ChunkChoice(AnyChoice):
    """A piece of one reply."""

    delta: Annotated[WireDelta, NULL_SAYS_NOTHING] = WireDelta()


class WireCompletion(Wire):
    """A whole chat completion."""

    choices: tuple[Choice, ...] = Field(min_length=1)
    usage: ToldUsage = None
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
            tool_calls=tuple(call.to_wire() for call in choice.message.tool_calls),
            first_token=choice.logprobs.first_token() if choice.logprobs else {},
            refusal=choice.message.refusal or "",
        )


class WireChunk(Wire):
    """One frame of a stream. A frame that tells of an error is a failure inside a 200."""

    choices: Annotated[tuple[ChunkChoice, ...], NULL_IS_EMPTY] = ()
    usage: ToldUsage = None
    error: JsonValue = None
    object: JsonValue = None

    @property
    def failed(self) -> bool:
        """Whether it tells of an error."""
        return self.error is not None or self.object == "error"


class ModelMeta(Wire):
    """Where llama.cpp tells of the context."""

    n_ctx: Context = None


class ModelCard(Wire):
    """A served model. llama.cpp and vLLM put the context length in different places."""

    id: str
    max_model_len: Context = None
    meta: Annotated[ModelMeta | None, IF_SENSIBLE] = None
    owned_by: Annotated[str | None, IF_SENSIBLE] = None

    @property
    def is_vllm(self) -> bool:
        """Whether the server says that vLLM runs the model."""
        return self.owned_by == "vllm"

    def context_length(self) -> int | None:
        """Return the context in tokens where the server tells."""
        return self.max_model_len or (self.meta.n_ctx if self.meta else None)


class ModelCards(Wire):
    """The answer of `GET /v1/models`."""

    data: tuple[ModelCard, ...]

    @field_validator("data")
    @classmethod
    def _named(cls, cards: tuple[ModelCard, ...]) -> tuple[ModelCard, ...]:
        """Leave out what has no name: nobody could ask for it."""
        return tuple(card for card in cards if card.id)


class _Costly(Wire):
    """The one part of a reply that counts even when nothing else in it can be read."""

    usage: ToldUsage = None


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
        told = _Costly.model_validate(reply).usage
    except ValidationError:
        return None
    return told.to_usage() if told else None


def _spent(body: bytes) -> Usage | None:
    try:
        return usage_in(orjson.loads(body))
    except orjson.JSONDecodeError:
        return None
