"""The fields of a chat request that are more than a number: what each may hold, and no more."""

from collections.abc import Mapping
from typing import Annotated, Literal, TypeAlias

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    JsonValue,
    Tag,
    WithJsonSchema,
    field_validator,
)

from server.wire_fields import Body, Flag, chosen_by, mistake, null_is

MOST_METADATA = 16
LONGEST_KEY = 64
LONGEST_VALUE = 512
STRONGEST_BIAS = 100
MOST_BIASES = 1024
LONGEST_STOP = 1024


class StreamOptions(Body):
    """OpenAI's `stream_options`, and vLLM's usage on every chunk."""

    include_usage: Annotated[Flag, null_is(default=False)] = False
    include_obfuscation: Flag | None = None
    continuous_usage_stats: Flag | None = None

    @field_validator("include_obfuscation")
    @classmethod
    def _no_padding(cls, value: bool | None) -> bool | None:  # noqa: FBT001  # pydantic's form
        if value:
            raise mistake("unsupported_value", "must not be true: chunks are not padded here")
        return value


def _stop_tag(value: object) -> str | None:
    if isinstance(value, str):
        return "<one>"
    return "<several>" if isinstance(value, list | tuple) else None


StopWord = Annotated[str, Field(min_length=1, max_length=LONGEST_STOP)]
Stop = Annotated[
    Annotated[StopWord, Tag("<one>")]
    | Annotated[tuple[StopWord, ...], Field(min_length=1, max_length=4), Tag("<several>")],
    chosen_by(_stop_tag, "must be a string or an array of strings"),
]


def _bias(value: Mapping[str, JsonValue]) -> Mapping[str, JsonValue]:
    if len(value) > MOST_BIASES:
        raise mistake("object_above_max_properties", "must have at most 1024 keys")
    for token, bias in value.items():
        known = token.isascii() and token.isdigit()
        if not known or isinstance(bias, bool) or not isinstance(bias, int | float):
            raise mistake("invalid_type", "must map ids of tokens to numbers from -100 to 100")
        if abs(bias) > STRONGEST_BIAS:
            raise mistake("invalid_value", "must map ids of tokens to numbers from -100 to 100")
    return value


LogitBias: TypeAlias = Annotated[
    Mapping[str, JsonValue],
    AfterValidator(_bias),
    WithJsonSchema(
        {
            "type": "object",
            "maxProperties": MOST_BIASES,
            "propertyNames": {"pattern": "^[0-9]+$"},
            "additionalProperties": {
                "type": "number",
                "minimum": -STRONGEST_BIAS,
                "maximum": STRONGEST_BIAS,
            },
        }
    ),
]


def _metadata(value: Mapping[str, JsonValue]) -> Mapping[str, JsonValue]:
    if len(value) > MOST_METADATA:
        raise mistake("object_above_max_properties", "must have at most 16 keys")
    for key, held in value.items():
        if not isinstance(held, str):
            raise mistake("invalid_type", "must map strings to strings")
        if len(key) > LONGEST_KEY or len(held) > LONGEST_VALUE:
            raise mistake(
                "string_above_max_length",
                "must have keys of at most 64 characters and values of at most 512",
            )
    return value


Metadata: TypeAlias = Annotated[
    Mapping[str, JsonValue],
    AfterValidator(_metadata),
    WithJsonSchema(
        {
            "type": "object",
            "maxProperties": MOST_METADATA,
            "propertyNames": {"maxLength": LONGEST_KEY},
            "additionalProperties": {"type": "string", "maxLength": LONGEST_VALUE},
        }
    ),
]


def _text_only(value: object) -> object:
    if isinstance(value, list | tuple) and any(one != "text" for one in value):
        raise mistake("unsupported_value", "must be ['text']: answers are text; leave it out")
    return value


Modalities: TypeAlias = Annotated[tuple[Literal["text"], ...], BeforeValidator(_text_only)]


def _usual_tier(value: object) -> object:
    if value not in ("auto", "default"):
        raise mistake("unsupported_value", "must be 'auto' or 'default'; there are no other tiers")
    return value


ServiceTier: TypeAlias = Annotated[Literal["auto", "default"], BeforeValidator(_usual_tier)]
