"""The gateway on a real socket, and a client that sees its bytes.

In-process ASGI transports buffer whole bodies and never disconnect, so streams and departures are
only tested for what they are against a real uvicorn.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import uvicorn
from openai import AsyncOpenAI

from models import sse
from models.openai_http import OpenAIServer
from retrieval.retriever import Retriever
from server.app import create_app
from server.catalog import Catalog
from server.connection import connections
from server.keys.open import open_ring
from server.metrics import Metrics
from server.services import Services, open_admission, open_judge, open_rates
from server.settings import Settings
from server.shelf import Shelf
from tests.fakes.library import QUESTION
from tests.fakes.vllm import MODEL, FakeVLLM
from tests.server.described import complaints

CHAT = "/v1/chat/completions"
SENT = "HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
"""How a request's head goes on that a test writes itself."""


class Uvicorn(uvicorn.Server):
    """Uvicorn that leaves the process's signals to pytest and stops without a tick's delay."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.stop = asyncio.Event()

    @contextmanager
    def capture_signals(self):
        yield

    async def main_loop(self) -> None:
        await self.on_tick(0)
        await self.stop.wait()

    async def shutdown(self, sockets: object = None) -> None:
        """Stop as uvicorn does, without its pause; the test's client has hung up already."""
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        async with asyncio.timeout(2):
            await self._wait_tasks_to_complete()
        await self.lifespan.shutdown()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer as it came."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def text(self) -> str:
        return self.json["choices"][0]["message"]["content"]

    @property
    def revision(self) -> dict[str, Any]:
        return self.json["revision"]

    @property
    def outcome(self) -> tuple[str, str]:
        """The review's status and stop reason."""
        return self.revision["status"], self.revision["stop_reason"]

    @property
    def error(self) -> dict[str, Any]:
        body = self.json
        if set(body) != {"error"} or set(body["error"]) != {"message", "type", "param", "code"}:
            raise AssertionError(f"not OpenAI's error form: {body}")
        return body["error"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """A whole stream, frame by frame; `at` is when each came, in seconds after the request."""

    status: int
    headers: Mapping[str, str]
    frames: tuple[bytes, ...]
    at: tuple[float, ...]

    @property
    def data(self) -> list[bytes]:
        return [data for frame in self.frames if (data := sse.data_of(frame))]

    @property
    def comments(self) -> list[str]:
        return [frame.decode().strip(": \n") for frame in self.frames if frame.startswith(b":")]

    @property
    def chunks(self) -> list[dict[str, Any]]:
        return [json.loads(data) for data in self.data if data != sse.DONE]

    @property
    def deltas(self) -> list[dict[str, Any]]:
        return [one["choices"][0]["delta"] for one in self.chunks if one.get("choices")]

    @property
    def text(self) -> str:
        return "".join(delta.get("content") or "" for delta in self.deltas)

    @property
    def finishing(self) -> list[dict[str, Any]]:
        return [
            one
            for one in self.chunks
            if any(choice["finish_reason"] for choice in one.get("choices", ()))
        ]

    @property
    def revision(self) -> dict[str, Any]:
        (chunk,) = self.finishing
        return chunk["revision"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """The gateway under test and a client for it."""

    url: str
    services: Services
    session: aiohttp.ClientSession

    async def request(self, method: str, path: str, **options: Any) -> Reply:
        if "data" in options:
            options["headers"] = {"content-type": "application/json", **options.get("headers", {})}
        async with self.session.request(method, self.url + path, **options) as response:
            body = await response.read()
            self.is_as_described(method, path, response, body)
            return Reply(status=response.status, headers=response.headers, body=body)

    def is_as_described(
        self, method: str, path: str, response: aiohttp.ClientResponse, body: bytes
    ) -> None:
        """Check that the answer is one that `/openapi.json` describes."""
        told = complaints(method, path, response.status, response.headers, body)
        if told:
            raise AssertionError(f"{method} {path} answered {response.status}: {'; '.join(told)}")

    async def get(self, path: str) -> Reply:
        return await self.request("GET", path)

    async def post(self, path: str, body: object, **headers: str) -> Reply:
        return await self.request("POST", path, json=body, headers=headers)

    async def chat(self, mode: str | None = None, **fields: Any) -> Reply:
        return await self.post(CHAT, asking(mode, **fields))

    async def stream(self, mode: str | None = None, **fields: Any) -> Stream:
        clock = asyncio.get_running_loop().time
        started, frames, at = clock(), [], []
        async with self.streaming(mode, **fields) as response:
            async for frame in sse.frames(response.content.iter_any()):
                frames.append(frame)
                at.append(clock() - started)
        self.is_as_described("POST", CHAT, response, b"".join(frames))
        return Stream(
            status=response.status, headers=response.headers, frames=tuple(frames), at=tuple(at)
        )

    @asynccontextmanager
    async def streaming(
        self,
        mode: str | None = None,
        **fields: Any,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        body = asking(mode, stream=True, **fields)
        async with self.session.post(self.url + CHAT, json=body) as response:
            yield response

    def openai(self) -> AsyncOpenAI:
        """Return OpenAI's client, which refuses what is not of OpenAI's types."""
        return AsyncOpenAI(
            base_url=f"{self.url}/v1",
            api_key="none",
            max_retries=0,
            _strict_response_validation=True,
        )


def asking(mode: str | None = None, **fields: Any) -> dict[str, Any]:
    """Return a chat request; `mode` goes into its extension."""
    body = {"model": MODEL, "messages": [{"role": "user", "content": QUESTION}], **fields}
    if mode is not None:
        body["revision"] = {"mode": mode, **fields.get("revision", {})}
    return body


@asynccontextmanager
async def serving(
    vllm: FakeVLLM, library: Retriever, folder: Path, *, shelf: Shelf | None = None, **wishes: Any
) -> AsyncIterator[Gateway]:
    """Serve the gateway in front of that model server."""
    urls = wishes.pop("upstream", (vllm.url,))
    settings = Settings(upstream=urls, data_dir=folder, **wishes)
    async with (
        OpenAIServer(
            settings.upstream,
            timeout_s=settings.call_timeout_s,
            silence_s=settings.replica_silence_s,
        ) as upstream,
        AsyncExitStack() as stack,
    ):
        services = Services(
            settings=settings,
            upstream=upstream,
            catalog=Catalog(upstream.models),
            shelf=shelf or Shelf(lambda: library),
            metrics=Metrics(),
            judge=await open_judge(settings, stack),
            judgements_at_once=settings.judgements_at_once,
            answer_max_tokens=settings.answer_max_tokens,
            admission=open_admission(settings),
            ring=await stack.enter_async_context(open_ring(settings)),
            rates=await stack.enter_async_context(open_rates(settings)),
        )
        config = uvicorn.Config(
            create_app(settings, services=services),
            host="127.0.0.1",
            port=0,
            ws="none",
            http=connections(
                receive_s=settings.receive_s, send_s=settings.send_s, most=settings.connections
            ),
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=1,
        )
        server = Uvicorn(config)
        task = asyncio.create_task(server.serve())
        while not server.started:
            if task.done():
                raise AssertionError("the gateway did not start")
            await asyncio.sleep(0.002)
        port = server.servers[0].sockets[0].getsockname()[1]
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as session:
            yield Gateway(url=f"http://127.0.0.1:{port}", services=services, session=session)
        server.stop.set()
        await task
