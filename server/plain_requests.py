"""Requests for text completions and embeddings: what may go up.

Neither is a conversation, so there is nothing to review. The wall towards the engine is the same
as for chat: fields that reach into it are refused, what says who a person is stays here, and null
is as good as absent.
"""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, TypeAlias

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    WithJsonSchema,
)

from models.messages import Json
from server.chat_fields import LogitBias, Stop, StreamOptions
from server.errors import InvalidRequest
from server.refused import ENGINE, check_unknown
from server.schemas import MOST_CHOICES, MOST_TOKENS
from server.wire_fields import Body, Flag, Whole, mistake

MOST_TEXTS = 2048
MOST_AT_ONCE = 128
"""Texts that one request may have written; each is a sequence of its own to the engine."""

REFUSED = (ENGINE - {"prompt", "echo"}) | {"messages", "response_format", "tools"}
"""An engine takes chat turns here too, which may name media to fetch, and forms with a grammar."""

HERE_ALONE = frozenset(
    {
        "metadata",
        "model",
        "prompt_cache_key",
        "revision",
        "safety_identifier",
        "store",
        "user",
    }
)
"""Fields that no model server sees as they came: who a person is, and how a record is kept."""


def _is_tokens(value: JsonValue) -> bool:
    return isinstance(value, list) and bool(value) and all(type(one) is int for one in value)


def _some_text(value: JsonValue) -> JsonValue:
    """Check that the value is one text or several, as words or as tokens."""
    if isinstance(value, str) or _is_tokens(value):
        return value
    if not isinstance(value, list):
        raise mistake("invalid_type", "must be a string or an array")
    if not value:
        raise mistake("empty_array", "must not be empty")
    if len(value) > MOST_TEXTS:
        raise mistake("array_above_max_length", "must have at most 2048 texts")
    if not (all(isinstance(one, str) for one in value) or all(_is_tokens(one) for one in value)):
        raise mistake(
            "invalid_type", "must hold strings only, or tokens only, or arrays of tokens only"
        )
    return value


_TOKENS: Mapping[str, Json] = {"type": "array", "items": {"type": "integer"}, "minItems": 1}
_TEXTS: Mapping[str, Json] = {"type": "array", "minItems": 1, "maxItems": MOST_TEXTS}

SomeText: TypeAlias = Annotated[
    JsonValue,
    AfterValidator(_some_text),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string"},
                _TOKENS,
                {**_TEXTS, "items": {"type": "string"}},
                {**_TEXTS, "items": _TOKENS},
            ]
        }
    ),
]


def how_many(texts: JsonValue) -> int:
    """Return the number of texts that checked input holds."""
    return len(texts) if isinstance(texts, list) and not _is_tokens(texts) else 1


class PlainRequest(Body):
    """What both kinds have in common."""

    model_config = ConfigDict(
        json_schema_extra={"propertyNames": {"not": {"enum": [*sorted(REFUSED)]}}},
    )

    refused: ClassVar[frozenset[str]] = REFUSED

    model: Annotated[str, Field(min_length=1, max_length=256)]

    def to_upstream(self, model: str) -> dict[str, Json]:
        """Return the body that goes up, for the upstream's model of that name.

        Raises:
            InvalidRequest: a field is not accepted.

        """
        extra = self.model_extra or {}
        for name in sorted(name for name in self.refused if extra.get(name) is not None):
            raise InvalidRequest(
                f"{name} is not accepted here; leave it out",
                param=name,
                code="unsupported_parameter",
            )
        check_unknown({name: held for name, held in extra.items() if name not in HERE_ALONE})
        sent: dict[str, Json] = self.model_dump(
            mode="json", exclude_unset=True, exclude_none=True, exclude=set(HERE_ALONE)
        )
        return {**sent, "model": model}


class CompletionRequest(PlainRequest):
    """A request to go on with a text."""

    prompt: SomeText
    stream: Flag | None = None
    stream_options: StreamOptions | None = None
    max_tokens: Annotated[Whole, Field(ge=0, le=MOST_TOKENS)] | None = None
    n: Annotated[Whole, Field(ge=1, le=MOST_CHOICES)] | None = None
    stop: Stop | None = None
    logit_bias: LogitBias | None = None
    suffix: str | None = None

    def to_upstream(self, model: str) -> dict[str, Json]:
        """Return the body that goes up.

        Raises:
            InvalidRequest: as for any, or it asks for too many texts at once.

        """
        if how_many(self.prompt) * (self.n or 1) > MOST_AT_ONCE:
            raise InvalidRequest(
                f"prompt and n ask for more than {MOST_AT_ONCE} texts; send several requests",
                param="prompt",
                code="array_above_max_length",
            )
        return super().to_upstream(model)


def _no_stream(value: object) -> object:
    if value:
        raise mistake("unsupported_value", "must not be true: embeddings are not streamed")
    return value


class EmbeddingRequest(PlainRequest):
    """A request for vectors of texts, which come whole."""

    refused: ClassVar[frozenset[str]] = REFUSED | {"prompt", "echo"}

    input: SomeText
    stream: Annotated[Literal[False] | None, BeforeValidator(_no_stream)] = None
