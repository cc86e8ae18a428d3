"""Server-sent events as a model server sends them: bytes in, frames out.

Frames are cut at blank lines without decoding, so that a relay can hand them on untouched and a
character that straddles two reads is never torn.
"""

from collections.abc import AsyncIterator

from models.errors import MalformedReply

MAX_FRAME = 4 * 1024 * 1024
"""A frame beyond this many bytes is a fault of the server, not an answer."""

MAX_STREAM = 64 * 1024 * 1024
"""A stream beyond this many bytes too: with a third of a kilobyte a token, some 200,000 tokens."""

DONE = b"[DONE]"


async def frames(body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yield the stream's frames, each with its closing blank line.

    Raises:
        MalformedReply: a frame grows beyond `MAX_FRAME` bytes, or the stream beyond `MAX_STREAM`.

    """
    pending = b""
    size = 0
    async for piece in body:
        size += len(piece)
        if size > MAX_STREAM:
            raise MalformedReply("the model server sent an endless stream")
        pending += piece
        if b"\r" in pending:  # looked for in the whole, since a read may end between the two
            pending = pending.replace(b"\r\n", b"\n")
        while (end := pending.find(b"\n\n")) >= 0:
            yield pending[: end + 2]
            pending = pending[end + 2 :]
        if len(pending) > MAX_FRAME:
            raise MalformedReply("the model server sent an endless frame")
    if pending.strip():
        yield pending + b"\n\n"


def data_of(frame: bytes) -> bytes:
    """Return the frame's data lines joined; empty for comments and bare fields."""
    lines = (line for line in frame.split(b"\n") if line.startswith(b"data:"))
    return b"\n".join(line[5:].removeprefix(b" ") for line in lines)
