"""Hostile sockets: what sends slowly, reads slowly or speaks no HTTP costs little and ends soon."""

import asyncio
import gc
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.fakes.vllm import Answer, FakeVLLM
from tests.server.conftest import Opener
from tests.server.gateway import CHAT, SENT, Gateway, asking
from tests.server.test_flood import Flood, point

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
BODY = json.dumps(asking("draft")).encode()
HEAD = f"POST {CHAT} {SENT}content-length: {len(BODY)}\r\n\r\n".encode()


async def connect(gateway: Gateway, **options: int) -> Streams:
    host, port = gateway.url.removeprefix("http://").split(":")
    return await asyncio.open_connection(host, int(port), **options)


async def raw(gateway: Gateway, sent: bytes) -> tuple[int, dict[str, str], bytes]:
    """Send bytes, and return the status, the headers and the body of what comes until the end."""
    reader, writer = await connect(gateway)
    writer.write(sent)
    async with asyncio.timeout(10):
        whole = await reader.read()
    writer.close()
    head, _, body = whole.partition(b"\r\n\r\n")
    line, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (one.partition(": ") for one in lines)}
    return int(line.split()[1]), headers, body


async def is_well(gateway: Gateway) -> None:
    """Check that the gateway answers, and that nothing is left of what came before."""
    assert (await gateway.chat("draft")).status == 200
    await is_idle(gateway)


async def is_idle(gateway: Gateway) -> None:
    async with asyncio.timeout(10):
        while gateway.services.admission.running or in_flight(gateway):  # noqa: ASYNC110  # counters
            await asyncio.sleep(0.02)


def in_flight(gateway: Gateway) -> float:
    return gateway.services.metrics.in_flight._value.get()


NO_HTTP = {
    "words": b"zebra in the ward\r\n\r\n",
    "nothing but line ends": b"\r\n" * 100 + b"zebra\r\n\r\n",
    "bytes of TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03zebra\r\n\r\n",
    "two lengths": f"POST {CHAT} {SENT}content-length: 5\r\ncontent-length: 6\r\n\r\n".encode(),
    "a length that is none": f"POST {CHAT} {SENT}content-length: zebra\r\n\r\n".encode(),
    "a negative length": f"POST {CHAT} {SENT}content-length: -5\r\n\r\n".encode(),
    "an odd coding": f"POST {CHAT} {SENT}transfer-encoding: zebra\r\n\r\n".encode(),
    "a broken chunk": f"POST {CHAT} {SENT}transfer-encoding: chunked\r\n\r\nzebra\r\n".encode(),
    "a folded header": b"GET / HTTP/1.1\r\nhost: localhost\r\n zebra\r\nx y: 1\r\n\r\n",
    "no host": b"GET /zebra HTTP/1.1\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\nhost: localhost\r\nhost: zebra\r\n\r\n",
    "a space in a name": b"GET / HTTP/1.1\r\nhost : localhost\r\n\r\n",
    "a version that is none": b"GET / HTTP/9.99\r\nhost: localhost\r\n\r\n",
}


@pytest.mark.parametrize("sent", NO_HTTP.values(), ids=NO_HTTP)
async def test_what_is_no_http_is_told_in_openais_form(gateway: Gateway, sent: bytes):
    status, headers, body = await raw(gateway, sent)
    error = json.loads(body)["error"]
    assert (status, error["type"]) == (400, "invalid_request_error")
    assert error["code"] in {"invalid_http", "invalid_json"}
    assert headers["connection"] == "close" or error["code"] == "invalid_json"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-request-id"]
    assert b"zebra" not in body
    await is_well(gateway)


async def test_a_head_without_end_is_told_when_it_is_too_long(gateway: Gateway):
    status, _, body = await raw(
        gateway, b"GET / HTTP/1.1\r\nhost: localhost\r\nx: " + b"1" * 70_000
    )
    assert (status, json.loads(body)["error"]["code"]) == (431, "headers_too_large")
    await is_well(gateway)


async def test_two_requests_cannot_be_made_of_one(gateway: Gateway, vllm: FakeVLLM):
    hidden = b"GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n"
    both = f"POST {CHAT} {SENT}content-length: {len(hidden)}\r\ntransfer-encoding: chunked\r\n\r\n"
    status, _, body = await raw(gateway, both.encode() + b"0\r\n\r\n" + hidden)
    assert status == 400
    assert b"clinalign_" not in body
    assert vllm.requests == []


async def drip(writer: asyncio.StreamWriter, sent: bytes) -> None:
    """Send a byte now and then, for as long as that is let."""
    try:
        for byte in sent:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0.05)
    except ConnectionError:
        pass


@pytest.mark.parametrize(
    ("first", "then"),
    [
        (b"", b"GET /healthz HTTP/1.1\r\nx: " + b"1" * 500),
        (HEAD, BODY),
        (f"POST {CHAT} {SENT}transfer-encoding: chunked\r\n\r\n".encode(), b"1\r\n{\r\n" * 100),
    ],
    ids=["a head", "a body", "chunks"],
)
async def test_a_request_that_trickles_in_is_given_up(
    open_gateway: Opener, vllm: FakeVLLM, first: bytes, then: bytes
):
    gateway = await open_gateway(receive_s=0.5)
    reader, writer = await connect(gateway)
    writer.write(first)
    dripping = asyncio.create_task(drip(writer, then))
    async with asyncio.timeout(5):
        whole = await reader.read()
    dripping.cancel()
    writer.close()
    assert whole.startswith(b"HTTP/1.1 408 ")
    assert b'"code":"request_timeout"' in whole
    assert vllm.requests == []
    await is_well(gateway)


async def test_a_connection_that_says_nothing_is_closed(open_gateway: Opener):
    gateway = await open_gateway(receive_s=0.3)
    reader, writer = await connect(gateway)
    async with asyncio.timeout(5):
        assert await reader.read() == b""
    writer.close()


async def test_a_slow_answer_is_no_slow_request(open_gateway: Opener, vllm: FakeVLLM):
    gateway = await open_gateway(receive_s=0.2)
    vllm.script["draft"] = Answer(text="Rest in a dark room now.", pace=0.15)
    assert (await gateway.stream("draft")).text == "Rest in a dark room now."
    assert (await gateway.chat("draft")).status == 200


@pytest.mark.parametrize("path", [CHAT, "/v1/completions"])
async def test_a_client_that_does_not_read_its_stream_is_let_go(open_gateway: Opener, path: str):
    gateway = await open_gateway(send_s=0.5)
    assert (await gateway.get("/v1/models")).status == 200
    more = {"prompt": "Go on"} if path != CHAT else {}
    body = json.dumps({**asking("draft"), "stream": True, **more}).encode()
    if more:
        body = json.dumps({"model": "clinic-model", "stream": True, **more}).encode()
    async with Flood().served() as flood:
        url = gateway.services.upstream.replicas.all[0].url
        point(gateway.services, flood.url)
        reader, writer = await connect(gateway, limit=1024)
        writer.write(f"POST {path} {SENT}content-length: {len(body)}\r\n\r\n".encode() + body)
        await reader.readline()
        await is_idle(gateway)
        writer.transport.abort()
        point(gateway.services, url)
    await is_well(gateway)


async def test_there_are_only_so_many_connections(open_gateway: Opener):
    gateway = await open_gateway(connections=5)
    held = [await connect(gateway) for _ in range(5)]
    status, headers, body = await raw(gateway, b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n")
    assert (status, json.loads(body)["error"]["code"]) == (503, "overloaded")
    assert int(headers["retry-after"]) >= 1
    for _, writer in held:
        writer.close()
        await writer.wait_closed()
    await asyncio.sleep(0.1)
    await is_well(gateway)


async def nonsense(gateway: Gateway) -> None:
    for sent in NO_HTTP.values():
        await raw(gateway, sent)


async def departure(gateway: Gateway) -> None:
    for sent in (b"", b"GET / HT", HEAD, HEAD + BODY[:20], HEAD + BODY):
        _, writer = await connect(gateway)
        writer.write(sent)
        await writer.drain()
        writer.transport.abort()


async def large(gateway: Gateway) -> None:
    head = f"POST {CHAT} {SENT}content-length: 99999999\r\n\r\n".encode()
    status, _, _ = await raw(gateway, head + b"x" * 1000)
    assert status == 413
    deep = b'{"messages": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    assert (await gateway.request("POST", CHAT, data=deep)).status == 400


ATTACKS: list[Callable[[Gateway], Awaitable[None]]] = [nonsense, departure, large]


def resident_kb() -> int:
    told = Path("/proc/self/status").read_text(encoding="ascii")
    return int(told.partition("VmRSS:")[2].split()[0])


async def test_the_memory_stays_flat_and_the_server_well(open_gateway: Opener):
    gateway = await open_gateway(receive_s=0.2)
    for _ in range(3):
        for attack in ATTACKS:
            await attack(gateway)
    await is_well(gateway)
    gc.collect()
    before = resident_kb()
    for _ in range(12):
        for attack in ATTACKS:
            await attack(gateway)
    await is_well(gateway)
    gc.collect()
    assert resident_kb() - before < 16 * 1024
