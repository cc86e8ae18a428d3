"""The outermost layer of every request: its id, its log line, its metrics, its last resort.

Pure ASGI, because a wrapper that buffers or hides disconnects would break streams.
"""

import logging
import re
import secrets
import time

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.errors import BODY_TOO_LARGE, api_error
from server.log import place_of
from server.metrics import Metrics

log = logging.getLogger("clinalign")

TOO_LARGE = 413

_SAFE_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")


class RequestScope:
    """Wraps the application. A client's own request id is taken only in a safe form."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        sent = Headers(scope=scope).get("x-request-id", "")
        request_id = sent if _SAFE_ID.fullmatch(sent) else f"req_{secrets.token_hex(16)}"
        started = time.perf_counter()
        status: int | None = None
        answered = False

        async def send_with_id(message: Message) -> None:
            nonlocal status, answered
            if answered:
                return
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["x-request-id"] = request_id
                if status == TOO_LARGE and headers.get("content-type") != "application/json":
                    # The framework refuses such a body in plain text, before any handler.
                    await BODY_TOO_LARGE.to_response()(scope, receive, send_too_large)
                    answered = True
                    return
            await send(message)

        async def send_too_large(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["x-request-id"] = request_id
            await send(message)

        self._metrics.in_flight.inc()
        try:
            await self._app(scope, receive, send_with_id)
        except Exception as error:  # noqa: BLE001  # the last resort of a request
            # No traceback: it repeats what was being worked on.
            log.error(  # noqa: TRY400
                "unhandled error=%s at=%s request_id=%s",
                type(error).__name__,
                place_of(error),
                request_id,
            )
            if status is None:
                await api_error(error).to_response()(scope, receive, send_with_id)
        finally:
            self._metrics.in_flight.dec()
            self._count(scope, status, time.perf_counter() - started, request_id)

    def _count(self, scope: Scope, status: int | None, seconds: float, request_id: str) -> None:
        route = getattr(scope.get("route"), "path", "none")
        self._metrics.responses.labels(route, str(status or 499)).inc()
        self._metrics.request_seconds.labels(route).observe(seconds)
        log.info(
            "request method=%s route=%s status=%s seconds=%.3f request_id=%s",
            scope["method"],
            route,
            status,
            seconds,
            request_id,
        )
