"""The items of a response's `input`, and the chat turns that they stand for.

The conversation is never flattened: roles, parts, calls and their results keep their places. What
a chat turn holds together (words and the calls that follow them) comes as several items here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, BeforeValidator, Field, Tag

from models.messages import Json
from server.errors import InvalidRequest
from server.turns import MEDIA
from server.wire_fields import Body, chosen_by, kind_of, mistake

ORDER = "invalid_message_order"


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


def _part_tag(value: object) -> str:
    return "<refusal>" if kind_of(value) == "refusal" else "<text>"


Part = Annotated[
    Annotated[TextPart, Tag("<text>")] | Annotated[RefusalPart, Tag("<refusal>")],
    chosen_by(_part_tag, "must be an object"),
]


def _content_tag(value: object) -> str | None:
    if isinstance(value, str):
        return "<words>"
    return "<parts>" if isinstance(value, list | tuple) else None


Content = Annotated[
    Annotated[str, Tag("<words>")]
    | Annotated[tuple[Part, ...], Field(min_length=1), Tag("<parts>")],
    chosen_by(_content_tag, "must be a string or an array of text parts"),
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


@dataclass(slots=True, kw_only=True)
class Turns:
    """The chat turns as they are put together; `places` says which item each came from."""

    turns: list[dict[str, Json]] = field(default_factory=list)
    places: list[str] = field(default_factory=list)

    def add(self, place: str, **turn: Json) -> None:
        """Add a turn."""
        self.turns.append(turn)
        self.places.append(place)

    def add_call(self, place: str, item: CallItem) -> None:
        """Add a call to the assistant's turn that it belongs to, or to one of its own."""
        call: Mapping[str, Json] = {
            "id": item.call_id,
            "type": "function",
            "function": {"name": item.name, "arguments": item.arguments},
        }
        if not self.turns or self.turns[-1]["role"] != "assistant":
            self.add(place, role="assistant", content=None)
        before = self.turns[-1].get("tool_calls")
        self.turns[-1]["tool_calls"] = [*(before if isinstance(before, list) else ()), call]


def turns_of(items: Sequence[Item], turns: Turns) -> None:
    """Add the turns that the items stand for.

    Raises:
        InvalidRequest: a call and its result do not belong together.

    """
    waiting: dict[str, str] = {}
    for number, item in enumerate(items):
        place = f"input.{number}"
        match item:
            case MessageItem():
                if item.role in {"user", "assistant"}:
                    _check_answered(waiting)
                turns.add(place, role=item.role, content=_content(item.content))
            case CallItem():
                waiting[item.call_id] = place
                turns.add_call(place, item)
            case ResultItem():
                if waiting.pop(item.call_id, None) is None:
                    raise InvalidRequest(
                        f"{place}.call_id must be that of a function_call before it, once",
                        param=f"{place}.call_id",
                        code=ORDER,
                    )
                content = _content(item.output)
                turns.add(place, role="tool", tool_call_id=item.call_id, content=content)
            case _:
                pass
    _check_answered(waiting)
    if all(isinstance(item, ReasoningItem) for item in items):
        raise InvalidRequest(
            "input is empty but for reasoning; add the user's message",
            param="input",
            code="missing_required_parameter",
        )


def _check_answered(waiting: Mapping[str, str]) -> None:
    for place in waiting.values():
        raise InvalidRequest(
            f"{place} is a function_call without its function_call_output; add that item, with "
            "the same call_id, before the next message",
            param=place,
            code=ORDER,
        )


def _content(content: str | tuple[TextPart | RefusalPart, ...]) -> Json:
    """Return the content; a lone text as a string, which every chat template takes."""
    if isinstance(content, str):
        return content
    if len(content) == 1 and isinstance(content[0], TextPart):
        return content[0].text
    return [part.to_chat() for part in content]
