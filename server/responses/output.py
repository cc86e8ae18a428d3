"""The output items of a response as they grow, and the events that tell of it.

One fold for both forms: a whole answer is a stream of one piece whose events nobody reads, so
that the two cannot differ.
"""

import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from models.errors import MalformedReply
from models.messages import Json
from server.responses.chat_answer import ToolCall, Words

Event: TypeAlias = dict[str, Json]
Kind = Literal["output_text", "refusal", "reasoning_text"]
Status = Literal["in_progress", "completed", "incomplete"]

_HOLDS: Mapping[Kind, str] = {"output_text": "text", "refusal": "refusal", "reasoning_text": "text"}
"""The key under which a part of that kind has its words."""


@dataclass(slots=True, kw_only=True)
class Part:
    """A part of an item that is being said; `number` is its place in the item."""

    kind: Kind
    number: int
    words: str = ""

    def to_wire(self) -> dict[str, Json]:
        """Return the part as it stands."""
        part: dict[str, Json] = {"type": self.kind, _HOLDS[self.kind]: self.words}
        return part | {"annotations": [], "logprobs": []} if self.kind == "output_text" else part


@dataclass(slots=True, kw_only=True)
class Spoken:
    """A message, or the reasoning before one: an item made of parts."""

    id: str
    place: int
    reasoning: bool
    parts: list[Part]
    status: Status = "in_progress"

    def to_wire(self) -> dict[str, Json]:
        """Return the item as it stands."""
        said: list[Json] = [part.to_wire() for part in self.parts]
        item: dict[str, Json] = {"id": self.id, "status": self.status, "content": said}
        if self.reasoning:
            return item | {"type": "reasoning", "summary": []}
        return item | {"type": "message", "role": "assistant"}

    def at(self, part: Part) -> dict[str, Json]:
        """Return where the part stands, as its events say it."""
        return {"item_id": self.id, "output_index": self.place, "content_index": part.number}


@dataclass(slots=True, kw_only=True)
class Called:
    """A call of a function that the client has to run."""

    id: str
    place: int
    call_id: str
    name: str
    arguments: str = ""
    status: Status = "in_progress"

    def to_wire(self) -> dict[str, Json]:
        """Return the item as it stands."""
        return {
            "id": self.id,
            "type": "function_call",
            "status": self.status,
            "call_id": self.call_id,
            "name": self.name,
            "arguments": self.arguments,
        }


class Output:
    """The items in order. Each method yields the events of what it adds."""

    def __init__(self) -> None:
        self._items: list[Spoken | Called] = []
        self._speaking: Spoken | None = None
        self._calls: dict[int, Called] = {}

    def items(self) -> list[Json]:
        """Return the items as they stand."""
        return [item.to_wire() for item in self._items]

    def add(self, words: Words) -> Iterator[Event]:
        """Take words of the answer, whole or a piece."""
        if words.thinking():
            yield from self._say("reasoning_text", words.thinking())
        if words.content:
            yield from self._say("output_text", words.content)
        if words.refusal:
            yield from self._say("refusal", words.refusal)
        for number, call in enumerate(words.tool_calls or ()):
            yield from self._call(number if call.index is None else call.index, call)

    def end(self, *, cut: bool) -> Iterator[Event]:
        """Finish what is not yet finished; `cut` says that the model was not done."""
        if not self._items:
            yield from self._say("output_text", "")
        status: Status = "incomplete" if cut else "completed"
        yield from self._fall_silent(status)
        for call in self._calls.values():
            call.status = status
            at: Event = {"item_id": call.id, "output_index": call.place}
            told: Event = {"arguments": call.arguments}
            yield {"type": "response.function_call_arguments.done", **at, **told}
            yield _done(call)

    def abandon(self) -> None:
        """Mark what is not yet finished as cut off."""
        for item in self._items:
            if item.status == "in_progress":
                item.status = "incomplete"

    def _say(self, kind: Kind, words: str) -> Iterator[Event]:
        reasoning = kind == "reasoning_text"
        item = self._speaking
        if item is None or item.reasoning != reasoning:
            yield from self._fall_silent("completed")
            prefix = "rs" if reasoning else "msg"
            item = Spoken(id=_id(prefix), place=len(self._items), reasoning=reasoning, parts=[])
            self._items.append(item)
            self._speaking = item
            yield {
                "type": "response.output_item.added",
                "output_index": item.place,
                "item": item.to_wire(),
            }
        if not item.parts or item.parts[-1].kind != kind:
            if item.parts:
                yield from _part_done(item, item.parts[-1])
            item.parts.append(Part(kind=kind, number=len(item.parts)))
            yield {
                "type": "response.content_part.added",
                **item.at(item.parts[-1]),
                "part": item.parts[-1].to_wire(),
            }
        part = item.parts[-1]
        part.words += words
        if words:
            yield {
                "type": f"response.{kind}.delta",
                **item.at(part),
                "delta": words,
                **_probs(kind),
            }

    def _fall_silent(self, status: Status) -> Iterator[Event]:
        item, self._speaking = self._speaking, None
        if item is not None:
            yield from _part_done(item, item.parts[-1])
            item.status = status
            yield _done(item)

    def _call(self, number: int, fragment: ToolCall) -> Iterator[Event]:
        call = self._calls.get(number)
        if call is None:
            yield from self._fall_silent("completed")
            call = _begun(fragment, len(self._items))
            self._calls[number] = call
            self._items.append(call)
            yield {
                "type": "response.output_item.added",
                "output_index": call.place,
                "item": call.to_wire(),
            }
        if piece := fragment.function.arguments:
            call.arguments += piece
            yield {
                "type": "response.function_call_arguments.delta",
                "item_id": call.id,
                "output_index": call.place,
                "delta": piece,
            }


def _begun(fragment: ToolCall, place: int) -> Called:
    if not fragment.function.name:
        raise MalformedReply("the model server's tool call names no function")
    return Called(
        id=_id("fc"),
        place=place,
        call_id=fragment.id or _id("call"),
        name=fragment.function.name,
    )


def _part_done(item: Spoken, part: Part) -> Iterator[Event]:
    told = {_HOLDS[part.kind]: part.words}
    yield {"type": f"response.{part.kind}.done", **item.at(part), **told, **_probs(part.kind)}
    yield {"type": "response.content_part.done", **item.at(part), "part": part.to_wire()}


def _done(item: Spoken | Called) -> Event:
    return {
        "type": "response.output_item.done",
        "output_index": item.place,
        "item": item.to_wire(),
    }


def _probs(kind: Kind) -> dict[str, Json]:
    """Return what the events of text have and no others: here always empty."""
    return {"logprobs": []} if kind == "output_text" else {}


def _id(prefix: str) -> str:
    return f"{prefix}_{secrets.token_hex(24)}"
