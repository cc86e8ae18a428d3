"""The upstream's own answer, told again under our name: as a stream, or whole.

A chunk goes on as soon as it has come. Two things wait, and neither is a word of the answer: what
may be the first letters of a `<think>` tag, and the chunk that ends a choice, which waits a
moment for the usage that follows it (docs/adr/0012).
"""

from collections.abc import Callable, Iterator, Mapping
from typing import TypeAlias

from models.errors import ModelUnavailable
from models.messages import Json, Usage
from models.thinking import Thinking, told_apart
from models.tool_calls import GrowingCalls
from server.draft_chunks import Chunk, Part
from server.event_stream import frame
from server.exposed import under_both_names
from server.replies import usage_body

Extension: TypeAlias = Callable[[Usage | None], dict[str, Json]]


class DraftStream:
    """The chunks of one relayed stream, in OpenAI's form whatever the upstream's was.

    `head` is what all of them share; `extension` makes the extension from what the answer cost.
    """

    def __init__(
        self, head: Mapping[str, Json], extension: Extension, *, include_usage: bool
    ) -> None:
        self.usage: Usage | None = None
        self._head = head
        self._extension = extension
        self._include_usage = include_usage
        self._usage_told = not include_usage
        self._thinking: dict[int, Thinking] = {}
        self._calls: dict[int, GrowingCalls] = {}
        self._ended: set[int] = set()
        self._closing: list[Part] = []

    @property
    def closing(self) -> bool:
        """Whether the end of a choice is held back."""
        return bool(self._closing)

    @property
    def complete(self) -> bool:
        """Whether every choice that began has ended; what breaks after that breaks no answer."""
        return bool(self._ended) and self._ended >= self._thinking.keys()

    def tell(self, chunk: Chunk) -> Iterator[bytes]:
        """Yield what a chunk of the upstream's comes to.

        Raises:
            MalformedReply: a choice ends that calls a tool, and does not say which.

        """
        if chunk.usage is not None:
            self.usage = chunk.usage
        yield from self.close()
        for part in chunk.parts:
            if part.index not in self._ended:  # a second end, or words after one, are none
                yield from self._tell(part)
        if not chunk.parts and self.complete:
            yield from self._tell_usage()

    def close(self) -> Iterator[bytes]:
        """Yield the ends that were held back."""
        for part in self._closing:
            extension = {"revision": self._extension(self.usage)}
            yield self._chunk(part.index, {}, finish=part.finish, extra=extension)
        self._closing = []

    def end(self) -> Iterator[bytes]:
        """Yield what is left when the upstream has nothing more to say.

        Raises:
            ModelUnavailable: the answer has not ended.

        """
        yield from self.close()
        if not self.complete:
            raise ModelUnavailable("the model server's stream ended before the reply did")
        yield from self._tell_usage()

    def _tell(self, part: Part) -> Iterator[bytes]:
        begins = part.index not in self._thinking
        thinking = self._thinking.setdefault(part.index, Thinking())
        words = thinking.add(part.content or "")
        text, reasoning = words.text, part.reasoning + words.reasoning
        calls = self._called(part)
        if part.finish is not None:
            rest = thinking.rest()
            text, reasoning = text + rest.text, reasoning + rest.reasoning
            self._calls[part.index].whole()  # before the end is told: a client runs them then
        delta = {**_role(begins=begins), **_words(text, reasoning), **part.other, **calls}
        if delta or part.logprobs is not None:
            yield self._chunk(part.index, delta, logprobs=part.logprobs)
        if part.finish is not None:
            self._ended.add(part.index)
            self._closing.append(part)

    def _called(self, part: Part) -> dict[str, Json]:
        growing = self._calls.setdefault(part.index, GrowingCalls())
        told: list[Json] = [piece.to_wire(growing.add(piece)) for piece in part.calls]
        return {"tool_calls": told} if told else {}

    def _tell_usage(self) -> Iterator[bytes]:
        if not self._usage_told and self.usage is not None:
            self._usage_told = True
            yield frame({**self._head, "choices": [], "usage": usage_body(self.usage)})

    def _chunk(
        self,
        index: int,
        delta: Mapping[str, Json],
        *,
        logprobs: Json = None,
        finish: str | None = None,
        extra: Mapping[str, Json] | None = None,
    ) -> bytes:
        choice: dict[str, Json] = {
            "index": index,
            "delta": delta,
            "logprobs": logprobs,
            "finish_reason": finish,
        }
        usage: dict[str, Json] = {"usage": None} if self._include_usage else {}
        return frame({**self._head, "choices": [choice], **usage, **(extra or {})})


def whole_body(head: Mapping[str, Json], answer: Chunk, extension: Extension) -> dict[str, Json]:
    """Return the upstream's whole answer as ours."""
    usage = {"usage": usage_body(answer.usage)} if answer.usage else {}
    return {
        **head,
        "choices": [_choice(part) for part in answer.parts],
        **usage,
        "revision": extension(answer.usage),
    }


def _choice(part: Part) -> dict[str, Json]:
    words = told_apart(part.content or "")
    calls = "tool_calls" in part.other or "function_call" in part.other
    message = {
        "role": "assistant",
        "refusal": None,
        **_words(words.text, part.reasoning + words.reasoning),
        **part.other,
    }
    message.setdefault("content", None if calls or message["refusal"] else "")
    return {
        "index": part.index,
        "message": message,
        "logprobs": part.logprobs,
        "finish_reason": part.finish or ("tool_calls" if calls else "stop"),
    }


def _role(*, begins: bool) -> dict[str, Json]:
    """Return the opening of a choice: said once, and at once, whether the upstream does or not."""
    return {"role": "assistant", "content": ""} if begins else {}


def _words(text: str, reasoning: str) -> dict[str, Json]:
    words: dict[str, Json] = {"content": text} if text else {}
    return {**words, **under_both_names(reasoning)} if reasoning else words
