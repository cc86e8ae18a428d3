"""One client's connection: how slowly it may send and read, and what it is told that is no HTTP.

Uvicorn waits for ever for a head that trickles in, for a body that does, and for a client that does
not read; each costs its sender a byte now and then, and this server a connection, a slot and what
waits to be sent. So a request must arrive whole within a time, and what is sent must move. Time is
taken from the first byte on and not from the last: a byte a minute is no reason for more of it.
"""

import asyncio
import secrets
import sys
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from server.errors import ApiError
from server.response_headers import SAFE

RECEIVE_S = 30.0
SEND_S = 60.0
MOST = 4096

NO_HTTP = ApiError(
    "the request is not valid HTTP/1.1",
    status=400,
    kind="invalid_request_error",
    code="invalid_http",
)
HEAD_TOO_LARGE = ApiError(
    "the request's headers are too large; send less than 16 KB",
    status=431,
    kind="invalid_request_error",
    code="headers_too_large",
)
TOO_SLOW = ApiError(
    "the request did not arrive in time; send it faster, or a smaller one",
    status=408,
    kind="invalid_request_error",
    code="request_timeout",
)
TOO_MANY = ApiError(
    "the server has more connections than it can serve; try again later",
    status=503,
    kind="server_error",
    code="overloaded",
    retry=True,
)


class Connection(H11Protocol):
    """Uvicorn's connection with limits. `connections` makes a class of them with other limits."""

    receive_s = RECEIVE_S
    send_s = SEND_S
    most = MOST

    _late: asyncio.TimerHandle | None = None
    _stuck: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvicorn's own
        """Take the client in, if there is room for one more."""
        super().connection_made(transport)
        if len(self.connections) > self.most:
            self._refuse(TOO_MANY)
            return
        self._await_request()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the client."""
        self._stop("_late")
        self._stop("_stuck")
        super().connection_lost(exc)

    def handle_events(self) -> None:
        """Read what has come, and see whether a request is whole."""
        super().handle_events()
        if self.conn.their_state in {h11.IDLE, h11.SEND_BODY}:
            if self.conn.their_state is h11.SEND_BODY or self.conn.trailing_data[0]:
                self._await_request()
        else:
            self._stop("_late")

    def pause_writing(self) -> None:
        """Give a client that does not read some time to begin."""
        super().pause_writing()
        self._await_reading()

    def resume_writing(self) -> None:
        """Note that the client reads."""
        super().resume_writing()
        self._stop("_stuck")

    def on_response_complete(self) -> None:
        """Give the client some time to read the rest, and then the usual time to ask again."""
        super().on_response_complete()
        if self.transport.get_write_buffer_size():
            self._await_reading()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  # uvicorn's words, not ours
        """Answer what is no HTTP in OpenAI's form."""
        fault = sys.exc_info()[1]
        hint = getattr(fault, "error_status_hint", 400)
        self._refuse(HEAD_TOO_LARGE if hint == HEAD_TOO_LARGE.status else NO_HTTP)

    def _await_request(self) -> None:
        if self._late is None and not self.transport.is_closing():
            self._late = self.loop.call_later(self.receive_s, self._give_up_receiving)

    def _await_reading(self) -> None:
        self._stop("_stuck")
        self._stuck = self.loop.call_later(self.send_s, self._give_up_sending)

    def _give_up_receiving(self) -> None:
        self._late = None
        has_begun = self.conn.their_state is h11.SEND_BODY or bool(self.conn.trailing_data[0])
        if has_begun and self.conn.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
            self._refuse(TOO_SLOW)
        else:
            self.transport.close()

    def _give_up_sending(self) -> None:
        self._stuck = None
        self.transport.abort()

    def _refuse(self, error: ApiError) -> None:
        """Answer in place of the application, and close the connection."""
        if self.cycle is not None and not self.cycle.response_complete:
            # What the application still says of this request goes nowhere.
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if self.conn.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
            answer = error.to_response()
            own = (b"x-request-id", f"req_{secrets.token_hex(16)}".encode())
            headers = [*answer.raw_headers, *SAFE, own, (b"connection", b"close")]
            said = h11.Response(status_code=error.status, headers=headers, reason=b"")
            body = h11.Data(data=bytes(answer.body))
            for event in (said, body, h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()
        self._await_reading()

    def _stop(self, timer: str) -> None:
        if (running := getattr(self, timer)) is not None:
            running.cancel()
            setattr(self, timer, None)


def connections(*, receive_s: float, send_s: float, most: int) -> type[Connection]:
    """Return the class of connections with these limits, as uvicorn wants it."""
    limits: dict[str, Any] = {"receive_s": receive_s, "send_s": send_s, "most": most}
    return type("LimitedConnection", (Connection,), limits)
