"""What an attack is handed: the gateway's address, the fake model server, and ways to ask."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from tests.fakes.library import QUESTION
from tests.fakes.vllm import MODEL, FakeVLLM

CHAT = "/v1/chat/completions"
HOST = "host: localhost\r\ncontent-type: application/json\r\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """An answer as it came."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, read."""
        return json.loads(self.body)

    @property
    def code(self) -> str:
        """The error's code; empty if it is none of ours."""
        try:
            return str(self.json["error"]["code"])
        except (ValueError, KeyError, TypeError):
            return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A gateway under attack. `folder` holds its data and its log, `key` opens it.

    `locked` is another one that asks for keys.
    """

    port: int
    pid: int
    vllm: FakeVLLM
    web: aiohttp.ClientSession
    folder: Path
    key: str = ""
    locked: "Target | None" = None
    notes: dict[str, object] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        """All that it has written so far."""
        return (self.folder / "gateway.log").read_text(encoding="utf-8", errors="replace")

    async def ask(self, method: str, path: str, **options: Any) -> Told:
        """Send a request."""
        async with self.web.request(method, self.url + path, **options) as answer:
            body = await answer.read()
            return Told(status=answer.status, headers=answer.headers, body=body)

    async def chat(self, mode: str = "draft", **fields: Any) -> Told:
        """Send a chat request."""
        headers = fields.pop("headers", {})
        return await self.ask("POST", CHAT, json=chat_body(mode, **fields), headers=headers)

    async def raw(self, sent: bytes, *, within_s: float = 10.0) -> bytes:
        """Send bytes and return what comes until the connection ends."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            async with asyncio.timeout(within_s):
                writer.write(sent)
                return await reader.read()
        finally:
            writer.transport.abort()

    def resident_kb(self) -> int:
        """Return the gateway's memory."""
        told = Path(f"/proc/{self.pid}/status").read_text(encoding="ascii")
        return int(told.partition("VmRSS:")[2].split()[0])

    def open_files(self) -> int:
        """Return how many files and sockets it holds."""
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))


def chat_body(mode: str = "draft", **fields: Any) -> dict[str, Any]:
    """Return a chat request."""
    question = [{"role": "user", "content": QUESTION}]
    return {"model": MODEL, "messages": question, "revision": {"mode": mode}, **fields}


def holds(condition: object, what: str) -> None:
    """Take note that a defence failed, unless it held."""
    if not condition:
        raise DefenceFailed(what)


class DefenceFailed(Exception):  # noqa: N818  # named after the state
    """An attack got through."""
