"""A model server that floods and a client that does not read: neither fills the memory here."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from models import openai_http, sse
from models.replicas import Replicas
from server.services import Services
from tests.fakes.vllm import MODEL, FakeVLLM, Raw
from tests.server.gateway import CHAT, SENT, Gateway, asking

MB = 1024 * 1024
TEXT = "/v1/completions"
SSE = "text/event-stream"
BODIES = {CHAT: asking("draft"), TEXT: {"model": MODEL, "prompt": "Go on"}}


class Flood:
    """A server that never stops talking; `sent` is how many bytes it got rid of."""

    def __init__(self) -> None:
        self.sent = 0
        self.url = ""

    async def talk(self, request: web.Request) -> web.StreamResponse:
        await request.read()
        said = {"delta": {"content": "x" * 50_000}, "text": "x" * 50_000}
        frame = f"data: {json.dumps({'choices': [{'index': 0, **said}]})}\n\n".encode()
        response = web.StreamResponse(headers={"content-type": SSE})
        await response.prepare(request)
        while True:
            await response.write(frame)
            self.sent += len(frame)

    @asynccontextmanager
    async def served(self) -> AsyncIterator["Flood"]:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", self.talk)
        app.router.add_post("/v1/completions", self.talk)
        runner = web.AppRunner(
            app, access_log=None, handler_cancellation=True, shutdown_timeout=0.05
        )
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        try:
            yield self
        finally:
            await runner.cleanup()


def point(services: Services, url: str) -> None:
    """Let calls go to another server than the list of models came from."""
    services.upstream.replicas = Replicas([url])


@pytest.mark.parametrize("path", [CHAT, TEXT])
async def test_what_a_client_does_not_read_is_not_read_in(gateway: Gateway, path: str):
    assert (await gateway.get("/v1/models")).status == 200
    async with Flood().served() as flood:
        point(gateway.services, flood.url)
        body = json.dumps({**BODIES[path], "stream": True}).encode()
        host, port = gateway.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port), limit=1024)
        writer.write(f"POST {path} {SENT}content-length: {len(body)}\r\n\r\n".encode())
        writer.write(body)
        await reader.readline()
        before = -1
        async with asyncio.timeout(10):
            while flood.sent != before:
                before = flood.sent
                await asyncio.sleep(0.3)
        assert 0 < flood.sent < 32 * MB  # most of it in the sockets between the three
        writer.close()


@pytest.mark.parametrize("path", [CHAT, TEXT])
async def test_a_whole_reply_that_is_too_long_is_refused(
    gateway: Gateway, vllm: FakeVLLM, monkeypatch: pytest.MonkeyPatch, path: str
):
    assert (await gateway.get("/v1/models")).status == 200
    monkeypatch.setattr(openai_http, "MAX_REPLY", 1000)
    long = Raw(writes=(b'{"choices": [', b" " * 2000))
    vllm.script = {"draft": long, "completions": long}
    reply = await gateway.post(path, BODIES[path])
    assert (reply.status, reply.error["code"]) == (502, "upstream_error")


@pytest.mark.parametrize("path", [CHAT, TEXT])
async def test_a_stream_that_does_not_end_is_broken_off(
    gateway: Gateway, vllm: FakeVLLM, monkeypatch: pytest.MonkeyPatch, path: str
):
    monkeypatch.setattr(sse, "MAX_STREAM", 1000)
    said = {"delta": {"content": "and"}, "text": "and"}
    frame = f"data: {json.dumps({'choices': [{'index': 0, **said}]})}\n\n".encode()
    endless = Raw(writes=(frame,) * 50, content_type=SSE, pace=0.001)
    vllm.script = {"draft": endless, "completions": endless}
    async with gateway.session.post(
        gateway.url + path, json={**BODIES[path], "stream": True}
    ) as response:
        body = await response.read()
    *_, error, done, _ = body.split(b"\n\n")
    assert json.loads(sse.data_of(error))["error"]["code"] == "upstream_malformed"
    assert sse.data_of(done) == sse.DONE


async def test_a_reviewed_drafts_stream_that_does_not_end_is_no_draft(
    gateway: Gateway, vllm: FakeVLLM, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sse, "MAX_STREAM", 1000)
    frame = b'data: {"choices": [{"index": 0, "delta": {"content": "and "}}]}\n\n'
    vllm.script["draft"] = Raw(writes=(frame,) * 50, content_type=SSE, pace=0.001)
    async with gateway.streaming("fast", revision={"expose": "reasoning"}) as response:
        assert b'"code":"upstream_malformed"' in await response.read()
