"""Keys for a gateway under test, and bytes sent to it as no client library would send them."""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from server.keys.file import FileKeys
from server.keys.key import Key, KeyLimits, Scope, new_key
from tests.server.gateway import Gateway

ALL_OF_IT = 1 << 20


async def issue(folder: Path, *scopes: Scope, limits: KeyLimits | None = None, **more: Any) -> str:
    """Keep a new key where the gateway of that data folder looks, and return its text."""
    key, text = new_key(frozenset(scopes), limits=limits, **more)
    await keep(folder, key)
    return text


async def keep(folder: Path, key: Key) -> None:
    await FileKeys(folder / "keys.json").add(key)


def bearing(text: str) -> dict[str, str]:
    return {"authorization": f"Bearer {text}"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back."""

    status: int
    head: str
    body: str


async def send_raw(gateway: Gateway, request: bytes) -> Answer:
    """Send those bytes, and return what comes until the gateway hangs up."""
    host, _, port = gateway.url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(request)
        await writer.drain()
        async with asyncio.timeout(10):
            told = await reader.read(ALL_OF_IT)
            while piece := await reader.read(ALL_OF_IT):
                told += piece
    finally:
        writer.close()
    head, _, body = told.decode("latin-1").partition("\r\n\r\n")
    return Answer(status=int(head.split(" ", 2)[1]), head=head, body=body)


def asked(method: str, target: str, *headers: str, host: str = "127.0.0.1") -> bytes:
    """Return a request without a body, as bytes."""
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", "Connection: close", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
