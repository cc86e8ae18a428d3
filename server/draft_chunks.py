"""What is read of an upstream's own answer, whole or chunk by chunk.

What is OpenAI's is kept, and nothing else: an engine's ids, paths, timings and token ids stay
inside, and so do its words about an error, which may repeat a patient's. A list of what to keep
rather than of what to drop, since engines add keys with every version.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import orjson

from models.errors import MalformedReply, ModelUnavailable
from models.finish import finish_reason
from models.messages import Json, Usage
from models.wire import usage_in

_CALL_KEYS = ("index", "id", "type", "function", "custom")
_LOGPROBS_KEYS = ("content", "refusal")


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One choice: what it says in this chunk, and why it ended if it did."""

    index: int
    content: str | None = None
    reasoning: str = ""
    other: Mapping[str, Json]
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
    try:
        answer: object = orjson.loads(data)
    except orjson.JSONDecodeError:
        raise MalformedReply("the model server's answer is not JSON") from None
    if not isinstance(answer, dict):
        raise MalformedReply("the model server's answer is not an object")
    usage = usage_in(answer)
    if answer.get("error") is not None or answer.get("object") == "error":
        raise MalformedReply("the model server reported an error inside an answer", spent=usage)
    told = answer.get("choices")
    if not isinstance(told, list) and (told is not None or said == "message"):
        raise MalformedReply("the model server's answer has no choices", spent=usage)
    try:
        parts = tuple(_part(one, said, choices) for one in told or ())
    except (MalformedReply, ModelUnavailable) as error:
        error.spent = usage or Usage()
        raise
    if said == "message" and not parts:
        raise MalformedReply("the model server's answer has no choices", spent=usage)
    return Chunk(parts=parts, usage=usage)


def _part(choice: object, said: str, choices: int) -> Part:
    if not isinstance(choice, dict):
        raise MalformedReply("a choice of the model server's answer is not an object")
    words = choice.get(said) or {}
    index = choice.get("index", 0)
    told = choice.get("finish_reason")
    if not (isinstance(words, dict) and isinstance(index, int) and 0 <= index < choices):
        raise MalformedReply("a choice of the model server's answer is not in OpenAI's form")
    if not isinstance(told, str | None):
        raise MalformedReply("a finish reason of the model server's answer is not text")
    other: dict[str, Json] = {}
    if refusal := _text(words, "refusal"):
        other["refusal"] = refusal
    if calls := words.get("tool_calls"):
        other["tool_calls"] = _tool_calls(calls, numbered=said == "delta")
    if isinstance(called := words.get("function_call"), dict):
        other["function_call"] = _only(called, ("name", "arguments"))
    logprobs = choice.get("logprobs")
    return Part(
        index=index,
        content=_text(words, "content"),
        reasoning=_text(words, "reasoning") or _text(words, "reasoning_content") or "",
        other=other,
        logprobs=_only(logprobs, _LOGPROBS_KEYS) if isinstance(logprobs, dict) else None,
        finish=finish_reason(told) if told else None,
    )


def _tool_calls(calls: object, *, numbered: bool) -> list[Json]:
    if not isinstance(calls, list) or not all(isinstance(call, dict) for call in calls):
        raise MalformedReply("the tool calls of the model server's answer are not objects")
    kept = [_only(call, _CALL_KEYS if numbered else _CALL_KEYS[1:]) for call in calls]
    return [{"index": number, **call} if numbered else call for number, call in enumerate(kept)]


def _text(words: Mapping[str, Json], name: str) -> str | None:
    value = words.get(name)
    if not isinstance(value, str | None):
        raise MalformedReply(f"the model server's {name} is not text")
    return value


def _only(found: Mapping[str, Json], names: tuple[str, ...]) -> dict[str, Json]:
    return {name: found[name] for name in names if found.get(name) is not None}
