"""Server-sent events to a client: frames, the response, and text cut into chunks."""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import aclosing
from typing import Self

import orjson
import regex
from fastapi.sse import EventSourceResponse, format_sse_event
from starlette.types import Receive, Scope, Send

from models.messages import Json
from server.errors import ApiError, api_error
from server.log import unhandled

DONE = format_sse_event(data_str="[DONE]")
HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}
CHUNK = 48
"""Characters of a chunk, about: small enough to read along, large enough to be cheap."""

_GRAPHEME = regex.compile(r"\X")


def frame(body: dict[str, Json]) -> bytes:
    """Return a data frame."""
    return format_sse_event(data_str=orjson.dumps(body).decode())


def comment(text: str) -> bytes:
    """Return a comment, which clients skip."""
    return format_sse_event(comment=text, data_str=None)


async def to_the_end(
    frames: AsyncGenerator[bytes, None], *, before_failure: Callable[[], Iterable[bytes]] = tuple
) -> AsyncGenerator[bytes, None]:
    """Yield the frames of a stream, an error in our form if they break off, and `[DONE]` always.

    `before_failure` says what must still be told when they do.
    """
    try:
        async with aclosing(frames):
            async for piece in frames:
                yield piece
    except Exception as error:  # noqa: BLE001  # the last resort of a stream that has begun
        for piece in before_failure():
            yield piece
        yield failure(error)
    yield DONE


def failure(error: Exception) -> bytes:
    """Return the frame that tells a failure after the first byte; log it if it is ours."""
    return frame(reported(error).to_wire())


def reported(error: Exception) -> ApiError:
    """Return what a client is told of a failure after the first byte; log it if it is ours."""
    # One that has our own form already was logged where it got it.
    if (told := api_error(error)).code == "internal_error" and told is not error:
        unhandled(error)
    return told


def pieces(text: str) -> Iterator[str]:
    """Cut text into chunks at spaces where there are some, and never inside a character.

    A character is what a reader takes for one: a letter with its marks, an emoji with its parts.
    """
    piece = ""
    for grapheme in _GRAPHEME.findall(text):
        piece += grapheme
        if len(piece) >= CHUNK and (grapheme.isspace() or len(piece) >= 2 * CHUNK):
            yield piece
            piece = ""
    if piece:
        yield piece


class EventStream(EventSourceResponse):
    """A stream that closes what feeds it, even when the client leaves before the first byte."""

    def __init__(
        self,
        content: AsyncIterator[bytes],
        *,
        close: Callable[[], Awaitable[None]],
        headers: dict[str, str],
    ) -> None:
        super().__init__(content, headers={**HEADERS, **headers})
        self._content = content
        self._close = close

    def through(self, change: Callable[[AsyncIterator[bytes]], AsyncIterator[bytes]]) -> Self:
        """Send what `change` makes of the content in its place, and return the stream."""
        self.body_iterator = change(self._content)
        return self

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the stream."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._close()
