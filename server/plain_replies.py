"""What is read of an upstream's text completions and vectors, and told again as ours.

Only what is OpenAI's goes on, checked by type, under an id of our own and the model's id that was
asked for. A fragment must not pass for a text, nor one text's vector for another's: a text needs
its end, and there are as many vectors as texts.
"""

import secrets
import time
from collections.abc import Mapping
from typing import Annotated, TypeAlias, TypeVar

from pydantic import Field, JsonValue, ValidationError

from models.errors import MalformedReply
from models.finish import finish_reason
from models.messages import Json, Usage
from models.wire import usage_in
from models.wire_parts import Wire
from server.plain_requests import CompletionRequest, EmbeddingRequest, how_many
from server.replies import usage_body
from server.schemas import MOST_TOKENS
from server.wire_fields import Number, Whole

_ENDS = frozenset({"stop", "length", "content_filter"})
"""Why a text may end; chat completions know more reasons."""


Place: TypeAlias = Annotated[Whole, Field(ge=0, le=MOST_TOKENS)]


class Logprobs(Wire):
    """OpenAI's log-probabilities of a text."""

    tokens: tuple[str, ...] | None = None
    token_logprobs: tuple[Number | None, ...] | None = None
    top_logprobs: tuple[Mapping[str, Number] | None, ...] | None = None
    text_offset: tuple[Place, ...] | None = None


class Piece(Wire):
    """A piece of one text."""

    index: Place = 0
    text: str | None = None
    logprobs: Logprobs | None = None
    finish_reason: str | None = None

    def to_wire(self, finish: str | None) -> dict[str, Json]:
        """Return it in OpenAI's form."""
        told = self.logprobs.model_dump(mode="json", exclude_unset=True) if self.logprobs else None
        return {
            "index": self.index,
            "text": self.text or "",
            "logprobs": told or None,
            "finish_reason": finish,
        }


class Text(Piece):
    """One text."""

    text: str


class Vector(Wire):
    """One vector; a string is a vector in base 64."""

    index: Place
    embedding: (
        Annotated[tuple[Number, ...], Field(min_length=1)]
        | Annotated[str, Field(pattern=r"^[A-Za-z0-9+/]+=*$")]
    )


class _Reply(Wire):
    object: JsonValue = None
    error: JsonValue = None
    usage: JsonValue = None

    def spent(self) -> Usage | None:
        """Return the usage; None where it says none that can be read."""
        return usage_in({"usage": self.usage})

    def told_usage(self) -> dict[str, Json]:
        """Return the usage as far as it can be read; what an answer cost is not the answer."""
        usage = self.spent()
        return {"usage": usage_body(usage)} if usage else {}


class _Pieces(_Reply):
    choices: tuple[Piece, ...]


class _Texts(_Reply):
    choices: Annotated[tuple[Text, ...], Field(min_length=1)]


class _Vectors(_Reply):
    data: tuple[Vector, ...]


class TextReply:
    """The reply to one request for texts, whole or chunk by chunk; `usage` is what it has cost."""

    def __init__(self, request: CompletionRequest) -> None:
        self._texts = how_many(request.prompt)
        self._most = self._texts * (request.n or 1)
        self.usage = Usage()
        options = request.stream_options
        self._tells_usage = not request.stream or (options is not None and options.include_usage)
        self._begun: set[int] = set()
        self._ended: set[int] = set()
        self._head: dict[str, Json] = {
            "id": f"cmpl-{secrets.token_hex(14)}",
            "object": "text_completion",
            "created": int(time.time()),
            "model": request.model,
        }

    @property
    def complete(self) -> bool:
        """Whether every text has ended; what breaks after that breaks no answer."""
        return len(self._ended) >= self._texts and self._ended == self._begun

    def whole(self, data: bytes) -> dict[str, Json]:
        """Return the whole reply.

        Raises:
            MalformedReply: it is an error, not in OpenAI's form, or not as many texts as asked for.
            ModelUnavailable: the server broke a text off.

        """
        reply = _read(_Texts, data)
        self.usage = reply.spent() or self.usage
        places = {text.index for text in reply.choices}
        if not self._texts <= len(places) == len(reply.choices) or max(places) >= self._most:
            raise MalformedReply("the model server's reply has other texts than were asked for")
        texts: list[Json] = [
            text.to_wire(_end(text.finish_reason or "stop")) for text in reply.choices
        ]
        return {**self._head, "choices": texts, **reply.told_usage()}

    def chunk(self, data: bytes) -> dict[str, Json] | None:
        """Return a chunk; None if it says nothing.

        Raises:
            MalformedReply, ModelUnavailable: as `whole`.

        """
        reply = _read(_Pieces, data)
        self.usage = reply.spent() or self.usage
        pieces = [self._told(piece) for piece in reply.choices if piece.index not in self._ended]
        usage = reply.told_usage()
        if not pieces and not (usage and self._tells_usage):
            return None
        return {**self._head, "choices": list(pieces), **usage}

    def _told(self, piece: Piece) -> Json:
        if piece.index >= self._most:
            raise MalformedReply("the model server's reply has other texts than were asked for")
        self._begun.add(piece.index)
        finish = _end(piece.finish_reason) if piece.finish_reason else None
        if finish:
            self._ended.add(piece.index)
        return piece.to_wire(finish)


class VectorReply:
    """The reply to one request for vectors; `usage` is what it has cost."""

    def __init__(self, request: EmbeddingRequest) -> None:
        self._model = request.model
        self.usage = Usage()
        self._texts = how_many(request.input)
        self._in_base64 = (request.model_extra or {}).get("encoding_format") == "base64"

    def whole(self, data: bytes) -> dict[str, Json]:
        """Return the reply, the vectors in the order of their texts.

        Raises:
            MalformedReply: it is an error, not in OpenAI's form, or not a vector for each text.

        """
        reply = _read(_Vectors, data)
        if sorted(vector.index for vector in reply.data) != list(range(self._texts)):
            raise MalformedReply("the model server's reply has not one vector for each text")
        if not self._in_base64 and any(isinstance(one.embedding, str) for one in reply.data):
            raise MalformedReply("the model server's reply has vectors that are no numbers")
        vectors: list[Json] = [
            {"object": "embedding", **vector.model_dump()}
            for vector in sorted(reply.data, key=lambda vector: vector.index)
        ]
        self.usage = spent = reply.spent() or Usage()  # OpenAI's form is never without it
        usage: Json = {"prompt_tokens": spent.prompt_tokens, "total_tokens": spent.total_tokens}
        return {"object": "list", "data": vectors, "model": self._model, "usage": usage}


Read = TypeVar("Read", bound=_Reply)


def _read(kind: type[Read], data: bytes) -> Read:
    """Read a reply of that form; what is wrong with it is not told, its keys may be words."""
    try:
        reply = kind.model_validate_json(data)
    except ValidationError:
        raise MalformedReply("the model server's reply is not in OpenAI's form") from None
    if reply.error is not None or reply.object == "error":
        raise MalformedReply("the model server reported an error inside a reply")
    return reply


def _end(told: str) -> str:
    end = finish_reason(told)
    return end if end in _ENDS else "stop"
