"""The output items of a response as they grow, and the events that tell of it.

One fold for both forms: a whole answer is a stream of one piece whose events nobody reads, so
that the two cannot differ.
"""

import secrets
from collections.abc import Iterator

from models.errors import MalformedReply
from models.messages import Json
from server.responses.chat_answer import Annotation, ToolCall, Words
from server.responses.parts import Called, Event, Kind, Part, Spoken, Status, begun, done


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
        """Take words of the answer, whole or a piece.

        Raises:
            MalformedReply: a call names no function.

        """
        if words.thinking():
            yield from self._say("reasoning_text", words.thinking())
        if words.content:
            yield from self._say("output_text", words.content)
        if words.refusal:
            yield from self._say("refusal", words.refusal)
        for number, call in enumerate(words.tool_calls or ()):
            yield from self._call(number if call.index is None else call.index, call)
        for annotation in words.annotations or ():
            yield from self._remark(annotation)

    def end(self, *, cut: bool) -> Iterator[Event]:
        """Finish what is not yet finished; `cut` says that the model was not done."""
        if not self._items:
            yield from self._say("output_text", "")
        status: Status = "incomplete" if cut else "completed"
        yield from self._fall_silent(status)
        for call in self._calls.values():
            call.status = status
            yield call.whole()
            yield done(call)

    def abandon(self) -> None:
        """Mark what is not yet finished as cut off."""
        for item in self._items:
            if item.status == "in_progress":
                item.status = "incomplete"

    def _say(self, kind: Kind, words: str) -> Iterator[Event]:
        item = self._speaking
        if item is None or item.reasoning != (kind == "reasoning_text"):
            yield from self._fall_silent("completed")
            item = self._speaking = self._speaker(reasoning=kind == "reasoning_text")
            yield begun(item)
        if item.parts and item.parts[-1].kind != kind:
            yield from item.part_done()
        if not item.parts or item.parts[-1].kind != kind:
            item.parts.append(Part(kind=kind, number=len(item.parts)))
            yield item.part_begun()
        item.parts[-1].words += words
        if words:
            yield item.said(words)

    def _remark(self, annotation: Annotation) -> Iterator[Event]:
        """Add a remark on the words said last; it stands in their part, so they must be there."""
        if self._speaking is not None and self._speaking.parts[-1].kind == "output_text":
            yield self._speaking.remarked(annotation.to_response())

    def _speaker(self, *, reasoning: bool) -> Spoken:
        prefix = "rs" if reasoning else "msg"
        item = Spoken(id=_id(prefix), place=len(self._items), reasoning=reasoning)
        self._items.append(item)
        return item

    def _fall_silent(self, status: Status) -> Iterator[Event]:
        item, self._speaking = self._speaking, None
        if item is not None:
            yield from item.part_done()
            item.status = status
            yield done(item)

    def _call(self, number: int, fragment: ToolCall) -> Iterator[Event]:
        call = self._calls.get(number)
        if call is None:
            yield from self._fall_silent("completed")
            call = self._calls[number] = self._called(fragment)
            yield begun(call)
        if piece := fragment.function.arguments:
            call.arguments += piece
            yield call.said(piece)

    def _called(self, fragment: ToolCall) -> Called:
        if not fragment.function.name:
            raise MalformedReply("the model server's tool call names no function")
        call = Called(
            id=_id("fc"),
            place=len(self._items),
            call_id=fragment.id or _id("call"),
            name=fragment.function.name,
        )
        self._items.append(call)
        return call


def _id(prefix: str) -> str:
    return f"{prefix}_{secrets.token_hex(24)}"
