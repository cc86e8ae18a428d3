"""The tool calls of a reply, whole or in pieces, read in one way for all who hand them on.

A client runs what a call says, so one that does not fit is no call: the reply is malformed. What
is OpenAI's is kept, and nothing else.
"""

from dataclasses import dataclass, field
from typing import Annotated, Literal

import orjson
from pydantic import BeforeValidator, Field

from models.errors import MalformedReply
from models.messages import Json
from models.wire_parts import NULL_SAYS_NOTHING, Wire

MOST_CALLS = 1000


def _as_text(value: object) -> object:
    """Take arguments as text; some servers send the object itself.

    Raises:
        ValueError: the object cannot be told as JSON.

    """
    if value is None:
        return ""
    if not isinstance(value, dict):
        return value
    try:
        return orjson.dumps(value).decode()
    except TypeError:
        raise ValueError("no JSON") from None


Arguments = Annotated[str, BeforeValidator(_as_text)]
Kind = Annotated[Literal["function"], BeforeValidator(lambda value: value or "function")]


class Function(Wire):
    """Which function is called, and with what."""

    name: str = Field(min_length=1)
    arguments: Arguments = ""


class ToolCall(Wire):
    """A call."""

    id: str = Field(min_length=1)
    type: Kind = "function"
    function: Function

    def to_wire(self) -> dict[str, Json]:
        """Return the call in the form of OpenAI's API."""
        return self.model_dump(mode="json")


class FunctionPiece(Wire):
    """A piece of it: the name comes once, the arguments in pieces."""

    name: str | None = None
    arguments: Arguments = ""

    def to_wire(self) -> dict[str, Json]:
        """Return what it says."""
        said: dict[str, Json] = {"name": self.name} if self.name else {}
        return {**said, "arguments": self.arguments}


class ToolCallPiece(Wire):
    """A piece of a call. `index` says which of several it is; the first piece names it."""

    index: Annotated[int, Field(strict=True, ge=0, lt=MOST_CALLS)] | None = None
    id: str | None = None
    type: Kind = "function"
    function: Annotated[FunctionPiece, NULL_SAYS_NOTHING] = FunctionPiece()

    def to_wire(self, index: int) -> dict[str, Json]:
        """Return the piece in the form of OpenAI's API, of the call at that place."""
        begun: dict[str, Json] = {"id": self.id, "type": self.type} if self.id else {}
        return {"index": index, **begun, "function": self.function.to_wire()}


@dataclass(slots=True, kw_only=True)
class _Growing:
    id: str = ""
    name: str = ""
    arguments: list[str] = field(default_factory=list)


class GrowingCalls:
    """Puts the calls of one streamed reply together."""

    def __init__(self) -> None:
        self._calls: dict[int, _Growing] = {}
        self._last = 0

    def add(self, piece: ToolCallPiece) -> int:
        """Take a piece and return the place of its call."""
        place = self._last = self._place(piece)
        call = self._calls.setdefault(place, _Growing())
        call.id = call.id or piece.id or ""
        call.name = call.name or piece.function.name or ""
        call.arguments.append(piece.function.arguments)
        return place

    def whole(self) -> tuple[ToolCall, ...]:
        """Return the calls in order.

        Raises:
            MalformedReply: one has no id, or names no function.

        """
        calls = [call for _, call in sorted(self._calls.items())]
        if not all(call.id and call.name for call in calls):
            raise MalformedReply("a tool call of the model server has no id or names no function")
        return tuple(
            ToolCall(
                id=call.id, function=Function(name=call.name, arguments="".join(call.arguments))
            )
            for call in calls
        )

    def _place(self, piece: ToolCallPiece) -> int:
        """Return the place; where the server does not say, an id begins a call of its own."""
        if piece.index is not None:
            return piece.index
        for place, call in self._calls.items():
            if piece.id and call.id == piece.id:
                return place
        if piece.id and self._calls:
            return max(self._calls) + 1
        return self._last
