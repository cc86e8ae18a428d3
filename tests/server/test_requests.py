"""What a request may be, and what around it is refused: routes, sizes, ids, models."""

import asyncio
import json
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest

from tests.fakes.library import QUESTION
from tests.fakes.vllm import DRAFT, MODEL, FakeVLLM, Status, overflow
from tests.server.conftest import Opener
from tests.server.gateway import CHAT, SENT, Gateway, asking

CANARY = "zebra-in-the-ward"
SAID = {"role": "user", "content": CANARY}
KIND = "invalid_request_error"


def body(**fields: object) -> bytes:
    return json.dumps({"model": MODEL, "messages": [SAID], **fields}).encode()


@pytest.mark.parametrize("mode", ["draft", "standard"])
async def test_a_plain_field_that_we_do_not_know_is_passed_on(
    gateway: Gateway, vllm: FakeVLLM, mode: str
):
    reply = await gateway.chat(mode, min_p=0.1, brand_new="a")
    assert reply.status == 200
    (draft,) = vllm.of("draft")
    assert (draft.body["brand_new"], draft.body["min_p"]) == ("a", 0.1)


async def test_an_unknown_model_is_404(gateway: Gateway, vllm: FakeVLLM):
    for path, sent in (
        (CHAT, body(model=CANARY)),
        ("/v1/critiques", body(model=CANARY, answer="x")),
        ("/v1/revisions", body(model=CANARY, answer="x")),
    ):
        reply = await gateway.request("POST", path, data=sent)
        error = reply.error
        assert (reply.status, error["param"], error["code"]) == (404, "model", "model_not_found")
        assert CANARY.encode() not in reply.body
    assert vllm.requests == []


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v1/nothing", 404, "not_found"),
        ("POST", "/v1/nothing", 404, "not_found"),
        ("GET", f"/{CANARY}", 404, "not_found"),
        ("GET", "/v1/models/zebra-in-the-ward", 404, "model_not_found"),
        ("GET", "/v1/principles/zebra-in-the-ward", 404, "principle_not_found"),
        ("GET", CHAT, 405, "method_not_allowed"),
        ("DELETE", CHAT, 405, "method_not_allowed"),
        ("POST", "/v1/models", 405, "method_not_allowed"),
        ("PUT", "/healthz", 405, "method_not_allowed"),
    ],
)
async def test_a_wrong_route_or_method_is_told_in_the_same_form(
    gateway: Gateway, method: str, path: str, status: int, code: str
):
    reply = await gateway.request(method, path)
    assert (reply.status, reply.error["code"]) == (status, code)
    assert CANARY.encode() not in reply.body
    assert ("allow" in reply.headers) == (status == 405)
    assert reply.headers["x-request-id"].startswith("req_")


async def test_a_body_that_is_too_large_is_413_with_and_without_its_length(
    open_gateway: Opener, vllm: FakeVLLM
):
    gateway = await open_gateway(max_body_bytes=4096)
    sent = body(padding=CANARY * 500)

    async def unannounced() -> AsyncIterator[bytes]:
        for at in range(0, len(sent), 1000):
            yield sent[at : at + 1000]

    for path in (CHAT, "/v1/critiques", "/v1/principles/search"):
        for data in (sent, unannounced()):
            reply = await gateway.request("POST", path, data=data)
            error = reply.error
            assert (reply.status, error["type"], error["code"]) == (413, KIND, "body_too_large")
            assert CANARY.encode() not in reply.body
            assert reply.headers["x-request-id"]
            assert reply.headers["content-type"] == "application/json"
    assert vllm.requests == []


async def test_a_length_that_is_too_large_is_refused_before_the_body_comes(
    open_gateway: Opener,
):
    gateway = await open_gateway(max_body_bytes=4096)
    host = urlsplit(gateway.url)
    reader, writer = await asyncio.open_connection(host.hostname, host.port)
    writer.write(f"POST {CHAT} {SENT}content-length: 999999\r\n\r\n".encode())
    async with asyncio.timeout(2):
        assert b" 413 " in await reader.readline()
    writer.close()
    await writer.wait_closed()


async def test_a_body_at_the_limit_is_served(open_gateway: Opener):
    gateway = await open_gateway(max_body_bytes=4096)
    sent = json.dumps(asking("draft")).encode()
    sent = sent.replace(b'"content": "', b'"content": "' + b"x" * (4096 - len(sent)))
    assert len(sent) == 4096
    assert (await gateway.request("POST", CHAT, data=sent)).status == 200


@pytest.mark.parametrize("safe", ["abc", "A.b_c-9", "x" * 128])
async def test_a_safe_request_id_is_echoed(gateway: Gateway, safe: str):
    for reply in (
        await gateway.request("GET", "/healthz", headers={"x-request-id": safe}),
        await gateway.post(CHAT, asking(), **{"x-request-id": safe}),
        await gateway.post(CHAT, asking(stream=True), **{"x-request-id": safe}),
        await gateway.post(CHAT, {}, **{"x-request-id": safe}),
    ):
        assert reply.headers["x-request-id"] == safe


@pytest.mark.parametrize("unsafe", ["", "a b", "x" * 129, "a/b", "<script>", 'a"b', "é", "a;b"])
async def test_an_unsafe_request_id_is_replaced(gateway: Gateway, unsafe: str):
    reply = await gateway.request("GET", "/healthz", headers={"x-request-id": unsafe})
    assert reply.headers["x-request-id"] != unsafe
    assert reply.headers["x-request-id"].startswith("req_")


async def test_each_answer_has_ids_of_its_own(gateway: Gateway):
    replies = [await gateway.chat("fast") for _ in range(3)]
    assert len({reply.headers["x-request-id"] for reply in replies}) == 3
    assert len({reply.headers["x-revision-id"] for reply in replies}) == 3
    assert len({reply.json["id"] for reply in replies}) == 3


@pytest.mark.parametrize("mode", ["standard", "draft"])
@pytest.mark.parametrize("fields", [{"seed": 10**30}, {"max_tokens": 10**30}, {"foo": 10**30}])
async def test_a_number_beyond_64_bits_is_the_request_s_fault(
    gateway: Gateway, mode: str, fields: dict[str, int]
):
    for stream in (False, True):
        reply = await gateway.chat(mode, stream=stream, **fields)
        assert (reply.status, reply.error["type"]) == (400, KIND)


@pytest.mark.parametrize("status", [301, 307, 308])
async def test_a_model_server_that_redirects_is_no_fault_of_the_request(
    gateway: Gateway, vllm: FakeVLLM, status: int
):
    vllm.script["draft"] = Status(status=status, headers={"location": "http://127.0.0.1:1/"})
    reply = await gateway.chat()
    assert (reply.status, reply.error["code"]) == (502, "upstream_misconfigured")


async def test_a_conversation_that_is_too_long_is_told_so(gateway: Gateway, vllm: FakeVLLM):
    vllm.script["draft"] = overflow()
    for mode in ("standard", "draft"):
        reply = await gateway.chat(mode)
        assert (reply.status, reply.error["code"]) == (400, "context_length_exceeded")


# /v1/critiques and /v1/revisions.


@pytest.mark.parametrize("path", ["/v1/critiques", "/v1/revisions"])
@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({}, "answer"),
        ({"answer": ""}, "answer"),
        ({"answer": [CANARY]}, "answer"),
        ({"answer": "x", "messages": []}, "messages"),
        (
            {"answer": "x", "messages": [{"role": "tool", "content": CANARY}]},
            "messages.0.tool_call_id",
        ),
        ({"answer": "x", "user": [CANARY]}, "user"),
        ({"answer": "x", "functions": [CANARY]}, "functions"),
        ({"answer": "x", "revision": {"top_k": 0}}, "revision.top_k"),
        ({"answer": "x", "revision": {"mode": "draft"}}, "revision.mode"),
        ({"answer": "x", "model": f"{MODEL}-draft"}, "revision.mode"),
        ({"answer": "x", "chat_template": CANARY}, "chat_template"),
        ({"answer": "x", "response_format": CANARY}, "response_format"),
    ],
)
async def test_a_review_that_cannot_be_made_is_told_where(
    gateway: Gateway, path: str, fields: dict, param: str
):
    reply = await gateway.request("POST", path, data=body(**fields))
    assert (reply.status, reply.error["param"]) == (400, param)
    assert CANARY.encode() not in reply.body


@pytest.mark.parametrize(
    "sent",
    [b"", b"[]", b"{}", b'{"query": ""}', b'{"query": "x", "k": 0}', b'{"query": "x", "k": 101}'],
)
async def test_a_search_that_cannot_be_made_is_400(gateway: Gateway, sent: bytes):
    reply = await gateway.request("POST", "/v1/principles/search", data=sent)
    assert (reply.status, reply.error["type"]) == (400, KIND)


async def test_a_conversation_may_end_in_a_tool_s_result(gateway: Gateway):
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    messages = [
        {"role": "user", "content": QUESTION},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "1", "content": "7"},
    ]
    reply = await gateway.chat("fast", messages=messages)
    assert (reply.status, reply.text) == (200, DRAFT)


@pytest.mark.parametrize("role", ["system", "developer"])
async def test_instructions_may_come_after_the_question(
    gateway: Gateway, vllm: FakeVLLM, role: str
):
    messages = [{"role": "user", "content": QUESTION}, {"role": role, "content": "Be brief."}]
    reply = await gateway.chat(messages=messages)
    assert (reply.status, reply.revision["status"] != "off") == (200, True)
    roles = [turn["role"] for turn in vllm.of("draft")[0].body["messages"]]
    assert roles == ["system", "user"]


async def test_an_offered_upgrade_costs_no_body(gateway: Gateway):
    upgrade = {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c", "HTTP2-Settings": "AAMA"}
    reply = await gateway.post(CHAT, asking("draft"), **upgrade)
    assert (reply.status, reply.text) == (200, DRAFT)
