"""A proxy on real sockets between the gateway and its model server, which does the network harm.

The fake model server fails as a program fails; this fails as a network does. It reads each request
whole, picks the fault of its step (`x-clinalign-step`), and does it to the bytes of the reply. What
is no step of the loop, such as the list of models or a health route, goes through untouched.
"""

import asyncio
import re
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self, TypeAlias

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_STEP = re.compile(rb"\r\nx-clinalign-step: *([\w-]+)", re.IGNORECASE)
_HEAD_ENDS = b"\r\n\r\n"
_READ = 64 * 1024


@dataclass(frozen=True, slots=True)
class Drop:
    """The connection is closed without a byte of reply."""


@dataclass(frozen=True, slots=True)
class Reset:
    """It is reset (RST) without a byte of reply."""


@dataclass(frozen=True, slots=True)
class CutAfterHeaders:
    """It is reset when the reply's headers have gone out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """It is reset when so many bytes of the reply's body have gone out."""

    after: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HalfClose:
    """Our side says that it has ended (FIN) after so many bytes of body; the other stays open."""

    after: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Garbage:
    """Bytes of no meaning: in place of the whole reply, or of the body from a byte on."""

    after: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Delay:
    """The reply comes so many seconds late."""

    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Drip:
    """The reply comes in pieces of so many bytes, a hundred pieces a second."""

    piece: int


@dataclass(frozen=True, slots=True)
class BlackHole:
    """The request is taken, and nothing ever comes back."""


Fault: TypeAlias = (
    Drop | Reset | CutAfterHeaders | Cut | HalfClose | Garbage | Delay | Drip | BlackHole
)
NOISE = bytes(range(1, 256)) * 4


class FaultProxy:
    """The proxy. Use it as an async context manager; `faults` maps a step to what it suffers."""

    def __init__(self, target: str) -> None:
        self.faults: dict[str, Fault] = {}
        self.struck: list[str] = []
        self.open = 0
        self._host, port = target.removeprefix("http://").removesuffix("/v1").split(":")
        self._target_port = int(port)
        self._server: asyncio.Server | None = None
        self._port = 0
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/v1"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.refuse()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def refuse(self) -> None:
        """From now on connections are refused."""
        if self._server is not None:
            self._server.close()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one client's connection, one request after the other."""
        self.open += 1
        there: asyncio.StreamWriter | None = None
        try:
            from_there, there = await asyncio.open_connection(self._host, self._target_port)
            goes_on = True
            while goes_on:
                request, step = await _request(reader)
                there.write(request)
                if (fault := self.faults.get(step)) is not None:
                    self.struck.append(step)
                reply = asyncio.create_task(_reply(from_there, writer, fault))
                goes_on = await _unless_closed(reader, reply)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # one of the two has hung up, which ends both connections
        finally:
            self.open -= 1
            for end in (writer, there):
                if end is not None:
                    end.transport.abort()


async def _request(reader: asyncio.StreamReader) -> tuple[bytes, str]:
    """Return one request, whole, and its step."""
    head = await reader.readuntil(_HEAD_ENDS)
    length = _LENGTH.search(head)
    step = _STEP.search(head)
    body = await reader.readexactly(int(length[1])) if length else b""
    return head + body, step[1].decode() if step else ""


async def _unless_closed(reader: asyncio.StreamReader, reply: asyncio.Task[bool]) -> bool:
    """Return whether another request may follow; the client's leaving ends the reply.

    A client asks again only when it has the whole reply, so what it sends before that is its end,
    and what it sends after belongs to the next request.
    """
    closed = asyncio.create_task(_closed(reader))
    try:
        await asyncio.wait({reply, closed}, return_when=asyncio.FIRST_COMPLETED)
        return reply.done() and reply.result()
    finally:
        for task in (reply, closed):
            task.cancel()
        await asyncio.gather(reply, closed, return_exceptions=True)


async def _closed(reader: asyncio.StreamReader) -> None:
    while not (reader.at_eof() or reader.exception()):  # noqa: ASYNC110  # a stream has no such event
        await asyncio.sleep(0.005)


async def _reply(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, fault: Fault | None
) -> bool:
    """Hand on one reply and do the fault to it; return whether the connection may go on."""
    match fault:
        case Drop():
            writer.close()
            return False
        case Reset():
            _reset(writer)
            return False
        case BlackHole():
            await asyncio.Event().wait()
        case Delay():
            await asyncio.sleep(fault.seconds)
        case Garbage(after=None):
            writer.write(NOISE)
            await asyncio.sleep(0.05)
            return False
    head = await reader.readuntil(_HEAD_ENDS)
    writer.write(head)
    body = _body(reader, head)
    if isinstance(fault, CutAfterHeaders):
        await asyncio.sleep(0.02)  # so that the client has them
        _reset(writer)
        return False
    sent = 0
    async for piece in body:
        cut = await _send(writer, piece, sent, fault)
        sent += len(piece)
        if cut:
            return False
    return True


async def _send(writer: asyncio.StreamWriter, piece: bytes, sent: int, fault: Fault | None) -> bool:
    """Send a piece of the body, after `sent` bytes of it; return whether that was the last."""
    match fault:
        case Drip():
            for start in range(0, len(piece), fault.piece):
                writer.write(piece[start : start + fault.piece])
                await asyncio.sleep(0.01)
        case Cut() | HalfClose() | Garbage() if fault.after is not None and (
            sent + len(piece) > fault.after
        ):
            writer.write(piece[: max(0, fault.after - sent)])
            await asyncio.sleep(0.02)
            await _end(writer, fault)
            return True
        case _:
            writer.write(piece)
    await writer.drain()
    return False


async def _end(writer: asyncio.StreamWriter, fault: Cut | HalfClose | Garbage) -> None:
    match fault:
        case Cut():
            _reset(writer)
        case HalfClose():
            writer.write_eof()
            await asyncio.Event().wait()  # the client ends it
        case Garbage():
            writer.write(NOISE)
            await asyncio.sleep(0.05)


async def _body(reader: asyncio.StreamReader, head: bytes) -> AsyncIterator[bytes]:
    """Yield the body's bytes up to its end."""
    if (length := _LENGTH.search(head)) is not None:
        left = int(length[1])
        while left:
            piece = await reader.read(min(left, _READ))
            if not piece:
                return
            left -= len(piece)
            yield piece
        return
    while True:  # chunked
        line = await reader.readuntil(b"\r\n")
        piece = await reader.readexactly(int(line, 16) + 2)
        yield line + piece
        if piece == b"\r\n":
            return


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close with RST in place of FIN."""
    sock = writer.get_extra_info("socket")
    with suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
