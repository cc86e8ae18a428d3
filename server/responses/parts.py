"""What an output is made of, as it grows: parts of a message or of reasoning, and calls.

Each knows its own form and the events that begin and end it, and nothing of its neighbours.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from models.messages import Json

Event: TypeAlias = dict[str, Json]
Kind = Literal["output_text", "refusal", "reasoning_text"]
Status = Literal["in_progress", "completed", "incomplete"]

_HOLDS: Mapping[Kind, str] = {"output_text": "text", "refusal": "refusal", "reasoning_text": "text"}
"""The key under which a part of that kind has its words."""

_ARGUMENTS = "response.function_call_arguments"


@dataclass(slots=True, kw_only=True)
class Part:
    """A part of an item that is being said; `number` is its place in the item."""

    kind: Kind
    number: int
    words: str = ""
    annotations: list[Json] = field(default_factory=list)

    def to_wire(self) -> dict[str, Json]:
        """Return the part as it stands."""
        part: dict[str, Json] = {"type": self.kind, _HOLDS[self.kind]: self.words}
        if self.kind == "output_text":
            part["annotations"] = [*self.annotations]
        return {**part, **self.probabilities()}

    def probabilities(self) -> dict[str, Json]:
        """Return what text has and no other kind: its log-probabilities, here always empty."""
        return {"logprobs": []} if self.kind == "output_text" else {}


@dataclass(slots=True, kw_only=True)
class Spoken:
    """A message, or the reasoning before one: an item made of parts."""

    id: str
    place: int
    reasoning: bool
    parts: list[Part] = field(default_factory=list)
    status: Status = "in_progress"

    def to_wire(self) -> dict[str, Json]:
        """Return the item as it stands."""
        said: list[Json] = [part.to_wire() for part in self.parts]
        item: dict[str, Json] = {"id": self.id, "status": self.status, "content": said}
        if self.reasoning:
            return item | {"type": "reasoning", "summary": []}
        return item | {"type": "message", "role": "assistant"}

    def part_begun(self) -> Event:
        """Return the event that the last part begins."""
        part = self.parts[-1]
        return {"type": "response.content_part.added", **self._at(part), "part": part.to_wire()}

    def said(self, words: str) -> Event:
        """Return the event that the last part has grown by these words."""
        part = self.parts[-1]
        return {
            "type": f"response.{part.kind}.delta",
            **self._at(part),
            "delta": words,
            **part.probabilities(),
        }

    def remarked(self, annotation: Json) -> Event:
        """Return the event that the last part, which is text, has got an annotation."""
        part = self.parts[-1]
        part.annotations.append(annotation)
        return {
            "type": "response.output_text.annotation.added",
            **self._at(part),
            "annotation": annotation,
            "annotation_index": len(part.annotations) - 1,
        }

    def part_done(self) -> Iterator[Event]:
        """Yield the events that the last part is whole."""
        part = self.parts[-1]
        yield {
            "type": f"response.{part.kind}.done",
            **self._at(part),
            _HOLDS[part.kind]: part.words,
            **part.probabilities(),
        }
        yield {"type": "response.content_part.done", **self._at(part), "part": part.to_wire()}

    def _at(self, part: Part) -> Event:
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

    def said(self, piece: str) -> Event:
        """Return the event that the arguments have grown by this piece."""
        return {"type": f"{_ARGUMENTS}.delta", **self._at(), "delta": piece}

    def whole(self) -> Event:
        """Return the event that the arguments are whole."""
        return {"type": f"{_ARGUMENTS}.done", **self._at(), "arguments": self.arguments}

    def _at(self) -> Event:
        return {"item_id": self.id, "output_index": self.place}


def begun(item: Spoken | Called) -> Event:
    """Return the event that an item begins."""
    return {
        "type": "response.output_item.added",
        "output_index": item.place,
        "item": item.to_wire(),
    }


def done(item: Spoken | Called) -> Event:
    """Return the event that an item is whole."""
    return {
        "type": "response.output_item.done",
        "output_index": item.place,
        "item": item.to_wire(),
    }
