"""The tools that an answer may call, and how OpenAI's API lets a client choose among them."""

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, Field, Tag

from server.response_format import Schema
from server.wire_fields import Body, Flag, chosen_by, mistake

FUNCTION_NAME = r"\A[a-zA-Z0-9_-]{1,64}\z"
CHOICES = ("none", "auto", "required")


def _only_functions(value: object) -> object:
    if value != "function":
        raise mistake("invalid_value", "must be 'function'; there are no other tools here")
    return value


FunctionKind = Annotated[Literal["function"], BeforeValidator(_only_functions)]


class Function(Body):
    """A function that the client offers to run."""

    name: Annotated[str, Field(pattern=FUNCTION_NAME)]
    description: str | None = None
    parameters: Schema | None = None
    strict: Flag | None = None


class Tool(Body):
    """A tool on offer."""

    type: FunctionKind
    function: Function


class ChosenFunction(Body):
    """The name of a function."""

    name: Annotated[str, Field(min_length=1)]


class NamedChoice(Body):
    """The one tool that must be called."""

    type: FunctionKind
    function: ChosenFunction


def _known_word(word: object) -> object:
    if word not in CHOICES:
        raise mistake("invalid_value", "must be 'none', 'auto', 'required' or name a function")
    return word


def _choice_tag(value: object) -> str | None:
    if isinstance(value, str):
        return "<word>"
    return "<named>" if isinstance(value, dict | BaseModel) else None


ToolChoice = Annotated[
    Annotated[Literal["none", "auto", "required"], BeforeValidator(_known_word), Tag("<word>")]
    | Annotated[NamedChoice, Tag("<named>")],
    chosen_by(_choice_tag, "must be 'none', 'auto', 'required' or an object"),
]
