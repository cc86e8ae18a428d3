"""What is read of an upstream's own answer, whole or chunk by chunk.

It is read by the same types as an answer that is reviewed, so that a server's dialect means the
same in every mode. What they name is kept, and nothing else: an engine's ids, paths, timings and
token ids stay inside, and so do its words about an error, which may repeat a patient's.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from models.errors import MalformedReply
from models.finish import finish_reason
from models.messages import Json, Usage
from models.tool_calls import ToolCallPiece
from models.wire import AnyChoice, Said, WireChunk, WireCompletion, parse


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One choice: what it says in this chunk, and why it ended if it did.

    `other` is what goes on as it is; the pieces of tool calls do not, they need a place.
    """

    index: int
    content: str | None = None
    reasoning: str = ""
    other: Mapping[str, Json]
    calls: tuple[ToolCallPiece, ...] = ()
    logprobs: Json = None
    finish: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """A chunk, or a whole answer; `usage` is None where it does not say."""

    parts: tuple[Part, ...]
    usage: Usage | None = None


def read(data: bytes, said: Literal["delta", "message"], *, choices: int) -> Chunk:
    """Read a chunk (whose choices say a `delta`) or a whole answer (which say a `message`).

    Raises:
        MalformedReply: it is an error, or not in OpenAI's form, or of more choices than asked for.
        ModelUnavailable: the server broke the answer off.

    """
    return _whole(data, choices) if said == "message" else _chunk(data, choices)


def _whole(data: bytes, choices: int) -> Chunk:
    answer = parse(WireCompletion, data)
    usage = answer.usage.to_usage() if answer.usage else None
    parts = []
    for number, choice in enumerate(answer.choices):
        calls: list[Json] = [call.to_wire() for call in choice.message.tool_calls]
        other: dict[str, Json] = {"tool_calls": calls} if calls else {}
        index = _index(choice, number, choices, usage)
        parts.append(_part(index, choice, choice.message, usage, other=other))
    return Chunk(parts=tuple(parts), usage=usage)


def _chunk(data: bytes, choices: int) -> Chunk:
    chunk = parse(WireChunk, data)
    usage = chunk.usage.to_usage() if chunk.usage else None
    if chunk.failed:
        raise MalformedReply("the model server reported an error inside an answer", spent=usage)
    parts = []
    for number, choice in enumerate(chunk.choices):
        index = _index(choice, number, choices, usage)
        parts.append(_part(index, choice, choice.delta, usage, calls=choice.delta.tool_calls))
    return Chunk(parts=tuple(parts), usage=usage)


def _index(choice: AnyChoice, number: int, choices: int, usage: Usage | None) -> int:
    index = number if choice.index is None else choice.index
    if index >= choices:
        raise MalformedReply("the model server's answer has too many choices", spent=usage)
    return index


def _part(
    index: int,
    choice: AnyChoice,
    words: Said,
    usage: Usage | None,
    *,
    other: Mapping[str, Json] | None = None,
    calls: tuple[ToolCallPiece, ...] = (),
) -> Part:
    kept: dict[str, Json] = {"refusal": words.refusal} if words.refusal else {}
    if words.function_call is not None:
        kept["function_call"] = words.function_call.to_wire()
    return Part(
        index=index,
        content=words.content,
        reasoning=words.thinking(),
        other={**kept, **(other or {})},
        calls=calls,
        logprobs=choice.logprobs.to_wire() if choice.logprobs else None,
        finish=finish_reason(choice.finish_reason, usage) if choice.finish_reason else None,
    )
