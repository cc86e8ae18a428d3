"""The items that a response's `input` may hold: what is said, called, found and thought.

Only text can be reviewed, and nothing is kept that an item could refer to; what cannot be taken is
refused by its place and kind.
"""

from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, BeforeValidator, Field, Tag

from models.messages import Json
from server.turns import MEDIA, content_tag, part_tag
from server.wire_fields import Body, chosen_by, kind_of, mistake


def _only_text(value: object) -> object:
    if value in ("input_text", "output_text", "text"):
        return value
    if isinstance(value, str) and value in MEDIA:
        raise mistake(
            "unsupported_value",
            "cannot be {kind}: only text can be reviewed; remove the part or describe it in words",
            kind=value,
        )
    raise mistake("invalid_value", "must be 'input_text' or 'output_text'; only text is reviewed")


class TextPart(Body):
    """Words, be they the user's or the model's."""

    type: Annotated[Literal["input_text", "output_text", "text"], BeforeValidator(_only_text)]
    text: str

    def to_chat(self) -> dict[str, Json]:
        """Return the part as chat completions have it."""
        return {"type": "text", "text": self.text}


class RefusalPart(Body):
    """Why the model gave no answer."""

    type: Literal["refusal"]
    refusal: str

    def to_chat(self) -> dict[str, Json]:
        """Return the part as chat completions have it."""
        return {"type": "refusal", "refusal": self.refusal}


Part = Annotated[
    Annotated[TextPart, Tag("<text>")] | Annotated[RefusalPart, Tag("<refusal>")],
    chosen_by(part_tag, "must be an object"),
]


Content = Annotated[
    Annotated[str, Tag("<words>")]
    | Annotated[tuple[Part, ...], Field(min_length=1), Tag("<parts>")],
    chosen_by(content_tag, "must be a string or an array of text parts"),
]


class MessageItem(Body):
    """Something that somebody said; its `type` may be left out."""

    type: Literal["message"] = "message"
    role: Literal["user", "assistant", "system", "developer"]
    content: Content


class CallItem(Body):
    """A call that the model made; the arguments are JSON as text."""

    type: Literal["function_call"]
    call_id: Annotated[str, Field(min_length=1)]
    name: Annotated[str, Field(min_length=1)]
    arguments: str


class ResultItem(Body):
    """What a call came to."""

    type: Literal["function_call_output"]
    call_id: Annotated[str, Field(min_length=1)]
    output: Content


class ReasoningItem(Body):
    """What the model thought. Left out of the conversation, as chat completions leave it out."""

    type: Literal["reasoning"]


def _no_other(value: object) -> object:
    if value == "item_reference":
        raise mistake(
            "unsupported_value",
            "cannot be item_reference: responses are not kept here; send the item itself",
        )
    raise mistake(
        "unsupported_value",
        "must be 'message', 'function_call', 'function_call_output' or 'reasoning'; "
        "remove items of other kinds",
    )


class OtherItem(Body):
    """An item that cannot be taken."""

    type: Annotated[Literal["other"], BeforeValidator(_no_other)]


_TAGS = {
    None: "<message>",
    "message": "<message>",
    "function_call": "<call>",
    "function_call_output": "<result>",
    "reasoning": "<reasoning>",
}


def _item_tag(value: object) -> str | None:
    if not isinstance(value, dict | BaseModel):
        return None
    kind = kind_of(value)
    return _TAGS.get(kind, "<other>") if isinstance(kind, str | None) else "<other>"


Item: TypeAlias = Annotated[
    Annotated[MessageItem, Tag("<message>")]
    | Annotated[CallItem, Tag("<call>")]
    | Annotated[ResultItem, Tag("<result>")]
    | Annotated[ReasoningItem, Tag("<reasoning>")]
    | Annotated[OtherItem, Tag("<other>")],
    chosen_by(_item_tag, "must be an object"),
]
