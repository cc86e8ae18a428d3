"""What a request says of the answer beside its length: tools, form, reasoning.

The Responses API has the fields of chat completions here, one level flatter.
"""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, Tag

from models.messages import Json
from server.response_format import JsonObjectFormat, NamedSchema, Schema, TextFormat
from server.tools import FUNCTION_NAME
from server.wire_fields import Body, Closed, Flag, chosen_by, kind_of, mistake


def _only_functions(value: object) -> object:
    if value != "function":
        raise mistake(
            "unsupported_value", "must be 'function': there are no built-in tools; remove the tool"
        )
    return value


FunctionKind = Annotated[Literal["function"], BeforeValidator(_only_functions)]


class FunctionTool(Body):
    """A function that the client offers to run."""

    type: FunctionKind
    name: Annotated[str, Field(pattern=FUNCTION_NAME)]
    description: str | None = None
    parameters: Schema | None = None
    strict: Flag | None = None

    def to_chat(self) -> dict[str, Json]:
        """Return the tool as chat completions have it."""
        given = self.model_dump(mode="json", exclude_unset=True, exclude={"type"})
        return {"type": "function", "function": given}

    def to_wire(self) -> dict[str, Json]:
        """Return the tool as a response repeats it."""
        return {
            "type": "function",
            "name": self.name,
            "description": self.description,
            "parameters": self.parameters,
            "strict": self.strict,
        }


class NamedChoice(Body):
    """The one function that must be called."""

    type: FunctionKind
    name: Annotated[str, Field(min_length=1)]

    def to_chat(self) -> dict[str, Json]:
        """Return the choice as chat completions have it."""
        return {"type": "function", "function": {"name": self.name}}

    def to_wire(self) -> dict[str, Json]:
        """Return the choice as a response repeats it."""
        return {"type": "function", "name": self.name}


def _choice_tag(value: object) -> str | None:
    if isinstance(value, str):
        return "<word>"
    return "<named>" if isinstance(value, dict | NamedChoice) else None


AnyChoice = Annotated[
    Annotated[Literal["none", "auto", "required"], Tag("<word>")]
    | Annotated[NamedChoice, Tag("<named>")],
    chosen_by(_choice_tag, "must be 'none', 'auto', 'required' or an object"),
]


class SchemaFormat(NamedSchema):
    """JSON of a schema under a name."""

    type: Literal["json_schema"]


_KINDS = ("text", "json_object", "json_schema")


def _known(value: object) -> object:
    if isinstance(value, dict) and kind_of(value) not in _KINDS:
        raise mistake("invalid_value", "must be 'text', 'json_object' or 'json_schema'", at="type")
    return value


def _format_tag(value: object) -> str | None:
    kind = kind_of(value)
    return f"<{kind}>" if kind in _KINDS else None


Format = Annotated[
    Annotated[TextFormat, Tag("<text>")]
    | Annotated[JsonObjectFormat, Tag("<json_object>")]
    | Annotated[SchemaFormat, Tag("<json_schema>")],
    chosen_by(_format_tag, "must be an object"),
    BeforeValidator(_known),
]


class TextOptions(Closed):
    """Which form the answer must have, and how wordy it should be."""

    format: Format | None = None
    verbosity: Literal["low", "medium", "high"] | None = None

    def to_chat(self) -> dict[str, Json] | None:
        """Return the form as `response_format`; None where none is asked for."""
        match self.format:
            case None | TextFormat():
                return None
            case SchemaFormat():
                given = self.format.model_dump(mode="json", exclude_unset=True, exclude={"type"})
                return {"type": "json_schema", "json_schema": given}
            case JsonObjectFormat():
                return {"type": "json_object"}


class Reasoning(Closed):
    """How hard the model should think. A summary may be asked for, as SDKs do; there is none."""

    effort: Annotated[str, Field(min_length=1, max_length=32)] | None = None
    summary: Literal["auto", "concise", "detailed"] | None = None
    generate_summary: Literal["auto", "concise", "detailed"] | None = None
