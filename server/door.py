"""What a request must be before anything looks at it: meant for this server, by who may ask.

A gateway on loopback has no keys, and every web page that its user opens can send it requests. A
page gives itself away by the header `Origin`, and one that made the user's browser take its own
name for this machine's address by `Host`. So both are checked, on every route alike.
"""

from collections.abc import Mapping
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import Scope

from server.errors import ApiError
from server.settings import Settings, is_loopback

MOST_HEADERS = 100
LONGEST_HEAD = 16 * 1024
"""Bytes of all names and values."""

ANY = "*"
PREFLIGHT = {
    "access-control-allow-methods": "GET, POST",
    "access-control-allow-headers": (
        "authorization, content-type, idempotency-key, x-request-id, "
        "x-stainless-arch, x-stainless-async, x-stainless-lang, x-stainless-os, "
        "x-stainless-package-version, x-stainless-read-timeout, x-stainless-retry-count, "
        "x-stainless-runtime, x-stainless-runtime-version, x-stainless-timeout"
    ),
    "access-control-max-age": "600",
}
EXPOSED = "x-request-id, x-revision-id, x-revision-status, x-should-retry, retry-after"

TOO_MANY_HEADERS = ApiError(
    "the request's headers are too many or too large; send at most 100, of 16 KB in all",
    status=431,
    kind="invalid_request_error",
    code="headers_too_large",
)
AMBIGUOUS = ApiError(
    "the request says in two ways where its body ends; send content-length or transfer-encoding",
    status=400,
    kind="invalid_request_error",
    code="invalid_http",
)
OTHER_HOST = ApiError(
    "the request's Host is no name of this server; its operator can add it to the setting "
    "allowed_hosts",
    status=421,
    kind="invalid_request_error",
    code="host_not_allowed",
)
OTHER_ORIGIN = ApiError(
    "requests from this web page's origin are not allowed; the operator can add it to the setting "
    "allowed_origins",
    status=403,
    kind="permission_error",
    code="origin_not_allowed",
)


class Door:
    """Decides about requests by their headers alone."""

    def __init__(self, settings: Settings) -> None:
        own = urlsplit(settings.public_url or "")
        self._hosts = {host.casefold() for host in settings.allowed_hosts}
        if is_loopback(settings.host) or self._hosts:
            # A server that is meant to be reached from outside is known by names that we do not.
            self._hosts |= {settings.host.casefold(), (own.hostname or settings.host).casefold()}
        self._origins = {origin.casefold() for origin in settings.allowed_origins}
        self._own_origin = f"{own.scheme}://{own.netloc}".casefold()

    def check(self, scope: Scope) -> None:
        """Let the request in.

        Raises:
            ApiError: it may not come in.

        """
        raw = scope["headers"]
        size = sum(len(name) + len(value) for name, value in raw) + len(scope["query_string"])
        if len(raw) > MOST_HEADERS or size + len(scope["path"]) > LONGEST_HEAD:
            raise TOO_MANY_HEADERS
        headers = Headers(scope=scope)
        if "content-length" in headers and "transfer-encoding" in headers:
            raise AMBIGUOUS
        if not self._knows(headers.get("host")):
            raise OTHER_HOST
        origin = headers.get("origin")
        if origin is not None and not self._lets_in(origin, headers.get("host", "")):
            raise OTHER_ORIGIN

    def is_preflight(self, scope: Scope) -> bool:
        """Say whether a browser only asks whether a page of another origin may ask."""
        headers = Headers(scope=scope)
        return (
            scope["method"] == "OPTIONS"
            and "origin" in headers
            and "access-control-request-method" in headers
        )

    def headers(self, scope: Scope) -> Mapping[str, str]:
        """Return what an answer must say for the page that asked to be able to read it."""
        if not self._origins:
            return {}
        origin = Headers(scope=scope).get("origin")
        if origin is None or not self._is_listed(origin):
            return {"vary": "Origin"}
        return {
            "access-control-allow-origin": origin,
            "access-control-expose-headers": EXPOSED,
            "cross-origin-resource-policy": "cross-origin",
            "vary": "Origin",
        }

    def _knows(self, host: str | None) -> bool:
        if not self._hosts or host is None:  # without one it is HTTP/1.0, which no browser speaks
            return True
        name = _name_of(host)
        return name in self._hosts or (is_loopback(name) and any(map(is_loopback, self._hosts)))

    def _lets_in(self, origin: str, host: str) -> bool:
        if self._is_listed(origin) or origin.casefold() == self._own_origin:
            return True
        parts = urlsplit(origin.casefold())
        return bool(parts.netloc) and parts.netloc == host.casefold()

    def _is_listed(self, origin: str) -> bool:
        return ANY in self._origins or origin.casefold() in self._origins


def _name_of(host: str) -> str:
    """Return the name or address in a Host header; what is none stands for itself."""
    try:
        parts = urlsplit(f"//{host}")
        if parts.username is not None or parts.path or parts.query or parts.fragment:
            return ""
        return (parts.hostname or "").casefold()
    except ValueError:
        return ""
