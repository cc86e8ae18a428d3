"""The outermost layer of every request: its id, its log line, its metrics, its last resort.

Pure ASGI, because a wrapper that buffers or hides disconnects would break streams.
"""

import logging
import re
import secrets
import time
from collections.abc import Mapping
from types import MappingProxyType

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.door import PREFLIGHT, Door
from server.errors import BODY_TOO_LARGE, ApiError, api_error
from server.log import REQUEST_ID, unhandled
from server.metrics import Metrics
from server.response_headers import make_safe

log = logging.getLogger("clinalign")

CLIENT_GONE = 499

NO_HEADERS: Mapping[str, str] = MappingProxyType({})

_SAFE_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")


class RequestScope:
    """Wraps the application."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics, door: Door) -> None:
        self._app = app
        self._metrics = metrics
        self._door = door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        _ignore_slash(scope)
        exchange = Exchange(scope, receive, send, self._door.headers(scope))
        REQUEST_ID.set(exchange.request_id)
        started = time.perf_counter()
        self._metrics.in_flight.inc()
        try:
            await self._admitted(scope, exchange)
        except Exception as error:  # noqa: BLE001  # the last resort of a request
            await exchange.give_up(error)
        finally:
            self._metrics.in_flight.dec()
            await _end(scope)
            self._count(exchange, scope, time.perf_counter() - started)

    async def _admitted(self, scope: Scope, exchange: "Exchange") -> None:
        """Let the application answer what may come in."""
        try:
            self._door.check(scope)
        except ApiError as error:
            answer = error.to_response()
            answer.headers["connection"] = "close"  # what follows on it is as little to be trusted
            await answer(scope, exchange.receive, exchange.send)
            return
        if self._door.is_preflight(scope):
            answer = Response(status_code=204, headers=PREFLIGHT)
            await answer(scope, exchange.receive, exchange.send)
            return
        await self._app(scope, exchange.receive, exchange.send)

    def _count(self, exchange: "Exchange", scope: Scope, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "none")
        status = exchange.status or CLIENT_GONE
        self._metrics.responses.labels(route, str(status)).inc()
        self._metrics.request_seconds.labels(route).observe(seconds)
        self._metrics.client_gone.inc(exchange.client_left)
        log.info(
            "request method=%s route=%s status=%s seconds=%.3f key=%s request_id=%s",
            scope["method"],
            route,
            status,
            seconds,
            scope.get("state", {}).get("key_id", "none"),
            exchange.request_id,
        )


async def _end(scope: Scope) -> None:
    """Give back what the request held, and charge its key with what it has cost."""
    state = scope.get("state", {})
    if (ticket := state.get("ticket")) is not None:
        ticket.close()
    if (access := state.get("access")) is not None:
        await access.end(ticket.spent if ticket is not None else 0)


def _ignore_slash(scope: Scope) -> None:
    """Take one slash off the end of the path: clients add it, and mean the same route."""
    path: str = scope["path"]
    if len(path) > 1 and path.endswith("/"):
        scope["path"] = path[:-1]


class Exchange:
    """One request and its response as they go by.

    A client's own request id is taken only in a safe form. `also` are headers of the answer.
    `client_left` tells that the client closed the connection before its response was whole.
    """

    def __init__(
        self, scope: Scope, receive: Receive, send: Send, also: Mapping[str, str] = NO_HEADERS
    ) -> None:
        sent = Headers(scope=scope).get("x-request-id", "")
        self.request_id = sent if _SAFE_ID.fullmatch(sent) else f"req_{secrets.token_hex(16)}"
        self.status: int | None = None
        self.client_left = False
        self._whole = False
        self._replaced = False
        self._also = also
        self._scope, self._receive, self._send = scope, receive, send

    async def receive(self) -> Message:
        """Return the next message from the client."""
        message = await self._receive()
        if message["type"] == "http.disconnect" and not self._whole:
            self.client_left = True
        return message

    async def send(self, message: Message) -> None:
        """Send a message to the client, with the request id."""
        if self._replaced:
            return
        if message["type"] == "http.response.start":
            self.status = message["status"]
            if self._is_plain_refusal(message):
                # The framework refuses too large a body in plain text, before any handler.
                self._replaced = True
                await BODY_TOO_LARGE.to_response()(self._scope, self._receive, self._forward)
                return
        await self._forward(message)

    async def give_up(self, error: Exception) -> None:
        """Log an error that nothing has handled, and answer if there is no answer yet."""
        unhandled(error)
        if self.status is None:
            await api_error(error).to_response()(self._scope, self._receive, self.send)

    async def _forward(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers["x-request-id"] = self.request_id
            if (access := self._scope.get("state", {}).get("access")) is not None:
                headers.update({**access.headers, **headers})  # an error's own tell the reason
            headers.update(self._also)
            make_safe(headers)
        elif message["type"] == "http.response.body":
            self._whole = not message.get("more_body", False)
        await self._send(message)

    def _is_plain_refusal(self, message: Message) -> bool:
        kind = MutableHeaders(scope=message).get("content-type")
        return bool(message["status"] == BODY_TOO_LARGE.status and kind != "application/json")
