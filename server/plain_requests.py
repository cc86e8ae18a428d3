"""Requests for text completions and embeddings: what may go up, and what of the reply comes down.

Neither is a conversation, so there is nothing to review. The wall towards the engine is the same
as for chat: fields that reach into it are refused, and of its reply only what is OpenAI's goes on,
under the model's id that was asked for.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, TypeAlias

import orjson
from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    WithJsonSchema,
)

from models.errors import MalformedReply
from models.messages import Json
from server.chat_fields import StreamOptions
from server.errors import InvalidRequest
from server.refused import ENGINE
from server.schemas import MOST_CHOICES, MOST_TOKENS
from server.wire_fields import Body, Flag, Whole, mistake

MOST_TEXTS = 2048

REFUSED = (ENGINE - {"prompt", "echo"}) | {"messages", "response_format"}
"""An engine takes chat turns here too, which may name media to fetch, and forms with a grammar."""

HERE_ALONE = frozenset({"model", "revision", "user"})
"""Fields that no model server sees as they came."""


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


class PlainRequest(Body):
    """What both kinds have in common."""

    model_config = ConfigDict(
        json_schema_extra={"propertyNames": {"not": {"enum": [*sorted(REFUSED)]}}}
    )

    model: Annotated[str, Field(min_length=1, max_length=256)]

    def to_upstream(self, model: str) -> dict[str, Json]:
        """Return the body that goes up, for the upstream's model of that name.

        Raises:
            InvalidRequest: a field is not accepted.

        """
        for name in sorted(REFUSED.intersection(self.model_extra or {})):
            raise InvalidRequest(
                f"{name} is not accepted here; leave it out",
                param=name,
                code="unsupported_parameter",
            )
        sent: dict[str, Json] = self.model_dump(
            mode="json", exclude_unset=True, exclude=set(HERE_ALONE)
        )
        return {**sent, "model": model}


class CompletionRequest(PlainRequest):
    """A request to go on with a text."""

    prompt: SomeText
    stream: Flag | None = None
    stream_options: StreamOptions | None = None
    max_tokens: Annotated[Whole, Field(ge=0, le=MOST_TOKENS)] | None = None
    n: Annotated[Whole, Field(ge=1, le=MOST_CHOICES)] | None = None


def _no_stream(value: object) -> object:
    if value:
        raise mistake("unsupported_value", "must not be true: embeddings are not streamed")
    return value


class EmbeddingRequest(PlainRequest):
    """A request for vectors of texts, which come whole."""

    input: SomeText
    stream: Annotated[Literal[False] | None, BeforeValidator(_no_stream)] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyForm:
    """What is OpenAI's in a reply; `part` is the key of its list of parts."""

    keys: Sequence[str]
    part: str
    part_keys: Sequence[str]


COMPLETION = ReplyForm(
    keys=("id", "object", "created", "model", "choices", "usage"),
    part="choices",
    part_keys=("index", "text", "logprobs", "finish_reason"),
)
EMBEDDINGS = ReplyForm(
    keys=("object", "data", "model", "usage"),
    part="data",
    part_keys=("object", "index", "embedding"),
)


def ours(data: bytes, form: ReplyForm, model: str) -> dict[str, Json]:
    """Return the reply, or a chunk of one, as ours: of that form, by the model that was asked for.

    Raises:
        MalformedReply: it is an error, or not of that form.

    """
    try:
        reply: object = orjson.loads(data)
    except orjson.JSONDecodeError:
        raise MalformedReply("the model server's reply is not JSON") from None
    if not isinstance(reply, dict):
        raise MalformedReply("the model server's reply is not an object")
    if reply.get("error") is not None or reply.get("object") == "error":
        raise MalformedReply("the model server reported an error inside a reply")
    parts = reply.get(form.part)
    if not isinstance(parts, list) or not all(isinstance(part, dict) for part in parts):
        raise MalformedReply(f"the model server's reply has no {form.part}")
    kept: list[Json] = [_only(part, form.part_keys) for part in parts]
    return {**_only(reply, form.keys), "model": model, form.part: kept}


def _only(found: Mapping[str, Json], keys: Sequence[str]) -> dict[str, Json]:
    return {key: found[key] for key in keys if key in found}
