"""OpenAI's `response_format`: text, some JSON object, or JSON of a schema; and nothing else.

Engines have more kinds, and fields beside these, that hold a raw grammar. A grammar from outside
is a program that the engine runs for every token, so no way leads to one.
"""

from collections.abc import Mapping
from typing import Annotated, Literal, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field, JsonValue, Tag

from server.json_schema import check_schema
from server.wire_fields import Closed, Flag, chosen_by, kind_of, mistake


def sound_schema(schema: Mapping[str, JsonValue]) -> Mapping[str, JsonValue]:
    """Return the schema if it is one."""
    try:
        check_schema(schema)
    except ValueError as error:
        raise mistake(
            "invalid_json_schema", "is not a valid JSON schema: {fault}", fault=str(error)
        ) from None
    return schema


Schema: TypeAlias = Annotated[Mapping[str, JsonValue], AfterValidator(sound_schema)]


class TextFormat(Closed):
    """No particular form."""

    type: Literal["text"]


class JsonObjectFormat(Closed):
    """Some JSON object."""

    type: Literal["json_object"]


class NamedSchema(Closed):
    """A schema under a name."""

    name: Annotated[str, Field(pattern=r"\A[a-zA-Z0-9_-]{1,64}\z")]
    description: str | None = None
    schema_: Annotated[Schema, Field(alias="schema")]
    strict: Flag | None = None


class JsonSchemaFormat(Closed):
    """JSON of a schema."""

    type: Literal["json_schema"]
    json_schema: NamedSchema


KINDS = ("text", "json_object", "json_schema")


def known_kind(value: object) -> object:
    """Return the form if it is of a kind that there is."""
    if isinstance(value, dict) and kind_of(value) not in KINDS:
        raise mistake("invalid_value", "must be 'text', 'json_object' or 'json_schema'", at="type")
    return value


def kind_tag(value: object) -> str | None:
    """Return the tag of the form's kind, by which its branch is chosen."""
    kind = kind_of(value)
    return f"<{kind}>" if kind in KINDS else None


ResponseFormat = Annotated[
    Annotated[TextFormat, Tag("<text>")]
    | Annotated[JsonObjectFormat, Tag("<json_object>")]
    | Annotated[JsonSchemaFormat, Tag("<json_schema>")],
    chosen_by(kind_tag, "must be an object"),
    BeforeValidator(known_kind),
]
