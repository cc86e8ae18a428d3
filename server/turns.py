"""A turn of the conversation as OpenAI's API defines it; what it says beside its words is kept.

Only text can be reviewed, so images, sound and files are refused by name: an answer about a
picture that no criterion was judged on would look reviewed and not be.
"""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, Tag

from models.messages import Message, Part
from server.wire_fields import Body, chosen_by, kind_of, mistake

MOST_PARTS = 1000
MOST_CALLS = 128

Role = Literal["system", "developer", "user", "assistant", "tool", "function"]

MEDIA = frozenset(
    {
        "image_url",
        "input_image",
        "image",
        "input_audio",
        "audio_url",
        "audio",
        "video_url",
        "video",
        "file",
        "input_file",
    }
)


def _only_text(value: object) -> object:
    if value == "text":
        return value
    if isinstance(value, str) and value in MEDIA:
        raise mistake(
            "unsupported_value",
            "cannot be {kind}: only text can be reviewed; remove the part or describe it in words",
            kind=value,
        )
    raise mistake("invalid_value", "must be 'text'; only text can be reviewed")


class TextPart(Body):
    """A part of a turn's content."""

    type: Annotated[Literal["text"], BeforeValidator(_only_text)]
    text: str

    def to_part(self) -> Part:
        """Return the part with its other fields as they came."""
        return Part(text=self.text, extra=dict(self.model_extra or {}))


class RefusalPart(Body):
    """A part of an assistant's turn that says why there is no answer.

    It goes up as text: the words are the same, and open engines know no such part.
    """

    type: Literal["refusal"]
    refusal: str

    def to_part(self) -> Part:
        """Return the part as text."""
        return Part(text=self.refusal, extra=dict(self.model_extra or {}))


def part_tag(value: object) -> str:
    """Return the tag of a part: whatever is no refusal is read as text, or refused as that."""
    return "<refusal>" if kind_of(value) == "refusal" else "<text>"


AnyPart = Annotated[
    Annotated[TextPart, Tag("<text>")] | Annotated[RefusalPart, Tag("<refusal>")],
    chosen_by(part_tag, "must be an object"),
]


def content_tag(value: object) -> str | None:
    """Return the tag of a content: words, or parts."""
    if isinstance(value, str):
        return "<words>"
    return "<parts>" if isinstance(value, list | tuple) else None


Content = Annotated[
    Annotated[str, Tag("<words>")]
    | Annotated[tuple[AnyPart, ...], Field(min_length=1, max_length=MOST_PARTS), Tag("<parts>")],
    chosen_by(content_tag, "must be a string or an array of text parts"),
]


class CalledFunction(Body):
    """Which function an assistant called; the arguments are JSON as text."""

    name: Annotated[str, Field(min_length=1)]
    arguments: str


class ToolCall(Body):
    """A call of a tool."""

    id: Annotated[str, Field(min_length=1)]
    type: Literal["function"]
    function: CalledFunction


class ChatMessage(Body):
    """One turn."""

    role: Role
    content: Content | None = None
    name: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    refusal: str | None = None
    tool_calls: (
        Annotated[tuple[ToolCall, ...], Field(min_length=1, max_length=MOST_CALLS)] | None
    ) = None
    tool_call_id: Annotated[str, Field(min_length=1)] | None = None
    function_call: CalledFunction | None = None

    def to_message(self) -> Message:
        """Return the turn with its other fields as they came.

        A refusal that stands beside no content becomes the content: it is what was said.
        """
        content: str | tuple[Part, ...] | None
        if isinstance(self.content, tuple):
            content = tuple(part.to_part() for part in self.content)
        else:
            content = self.content
        taken = {"role", "content"}
        if content is None and self.refusal:
            content = self.refusal
            taken.add("refusal")
        extra = self.model_dump(mode="json", exclude_unset=True, exclude=taken)
        return Message(role=self.role, content=content, extra=extra)
