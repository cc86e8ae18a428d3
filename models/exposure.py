"""How open an engine lies to others than this gateway.

An engine's API key guards some of its routes, its other routes answer anybody, and one that listens
on every address answers the whole network. So it is asked here as a stranger would ask, without a
key and without a word that matters.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import orjson

from models.messages import Json

ASK_S = 3.0
MAX_REPLY = 65_536
UNGUARDED: Mapping[str, tuple[str, Mapping[str, Json] | None]] = {
    "/v1/models": ("GET", None),
    "/tokenize": ("POST", {"prompt": "Hello"}),
    "/invocations": ("POST", {}),
}
"""Routes of an engine that a stranger should not get an answer of, and what is asked of each."""

DEVELOPER = "/server_info"
"""A route that vLLM has only in its developer mode, beside others that change the server."""

_HAVE = frozenset({200, 400, 422})
"""Statuses of a route that is there and lets the request in."""

_LISTENING = "0A"
_ANY = frozenset({"00000000", "0" * 32})


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """What a stranger can do with an engine. `version` is what it says of itself, if anything.

    `answers` tells whether anything came from there at all.
    """

    answers: bool
    unguarded: tuple[str, ...]
    developer_mode: bool
    version: str | None
    is_public: bool


async def exposure(url: str) -> Exposure:
    """Look at the engine whose base URL (with /v1) that is."""
    root = url.removesuffix("/v1")
    timeout = aiohttp.ClientTimeout(total=ASK_S)
    async with aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()) as web:
        asked = {path: _ask(web, method, root + path, body) for path, (method, body) in _ROUTES}
        replies = dict(zip(asked, await asyncio.gather(*asked.values()), strict=True))
    open_ones = tuple(path for path in UNGUARDED if replies[path][0] in _HAVE)
    return Exposure(
        answers=any(status for status, _ in replies.values()),
        unguarded=open_ones,
        developer_mode=replies[DEVELOPER][0] == 200,  # noqa: PLR2004
        version=_version(replies["/version"][1]),
        is_public=await asyncio.to_thread(_is_public, url),
    )


_ROUTES: tuple[tuple[str, tuple[str, Mapping[str, Json] | None]], ...] = (
    *UNGUARDED.items(),
    (DEVELOPER, ("GET", None)),
    ("/version", ("GET", None)),
)


async def _ask(
    web: aiohttp.ClientSession, method: str, url: str, body: Mapping[str, Json] | None
) -> tuple[int, bytes]:
    """Return the status and the beginning of the body; status 0 where there is no answer."""
    with suppress(aiohttp.ClientError, TimeoutError, OSError):
        async with web.request(method, url, json=body, allow_redirects=False) as reply:
            return reply.status, await reply.content.read(MAX_REPLY)
    return 0, b""


def _version(body: bytes) -> str | None:
    with suppress(orjson.JSONDecodeError):
        told = orjson.loads(body)
        if isinstance(told, dict) and isinstance(told.get("version"), str):
            return str(told["version"])[:32]
    return None


def _is_public(url: str) -> bool:
    """Say whether the engine's address is, or its socket listens on, a public one."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        found = socket.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)
    except OSError:
        return False
    addresses = [ipaddress.ip_address(str(one[4][0]).partition("%")[0]) for one in found]
    if any(one.is_global for one in addresses):
        return True
    return any(one.is_loopback for one in addresses) and _listens_everywhere(port)


def _listens_everywhere(port: int) -> bool:
    """Say whether this machine listens on all of its addresses there; Linux tells, others not."""
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        with suppress(OSError):
            for line in table.read_text(encoding="ascii").splitlines()[1:]:
                _, local, _, state, *_ = line.split()
                address, _, its_port = local.partition(":")
                if state == _LISTENING and int(its_port, 16) == port and address in _ANY:
                    return True
    return False
