"""What a request may not be: the right status, parameter and code, and never its words again."""

import asyncio
import json
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest

from tests.fakes.library import QUESTION
from tests.fakes.vllm import DRAFT, MODEL, FakeVLLM, Status, overflow
from tests.server.conftest import Opener
from tests.server.gateway import CHAT, Gateway, asking

CANARY = "zebra-in-the-ward"
SAID = {"role": "user", "content": CANARY}
KIND = "invalid_request_error"


def body(**fields: object) -> bytes:
    return json.dumps({"model": MODEL, "messages": [SAID], **fields}).encode()


def wish(**fields: object) -> bytes:
    return body(revision=fields)


def deep(levels: int) -> bytes:
    return b'{"model": "m", "messages": ' + b"[" * levels + b"]" * levels + b"}"


BAD = {
    "empty": (b"", None, "invalid_json"),
    "blank": (b" \n", None, "invalid_json"),
    "not JSON": (CANARY.encode(), None, "invalid_json"),
    "cut short": (body()[:-5], None, "invalid_json"),
    "invalid UTF-8": (body().replace(CANARY.encode(), b"\xff\xfe"), None, "invalid_json"),
    "UTF-16": (body().decode().encode("utf-16"), None, "invalid_json"),
    "an array": (f'["{CANARY}"]'.encode(), None, "invalid_json"),
    "a string": (f'"{CANARY}"'.encode(), None, "invalid_json"),
    "a number": (b"7", None, "invalid_json"),
    "null": (b"null", None, "invalid_json"),
    "deep": (deep(100_000), None, "invalid_json"),
    "deep in a field of ours": (
        body(metadata=[[SAID]]).replace(b"[[", b"[" * 9000).replace(b"]]", b"]" * 9000),
        None,
        "invalid_json",
    ),
    "no model": (json.dumps({"messages": [SAID]}).encode(), "model", None),
    "model of a wrong type": (body(model=[CANARY]), "model", None),
    "empty model": (body(model=""), "model", None),
    "model of great length": (body(model=CANARY * 100), "model", None),
    "no messages": (json.dumps({"model": MODEL}).encode(), "messages", None),
    "messages empty": (body(messages=[]), "messages", None),
    "messages of a wrong type": (body(messages=CANARY), "messages", None),
    "a message of a wrong type": (body(messages=[CANARY]), "messages.0", None),
    "a message without role": (body(messages=[{"content": CANARY}]), "messages.0.role", None),
    "an unknown role": (
        body(messages=[{"role": CANARY, "content": "x"}]),
        "messages.0.role",
        None,
    ),
    "content of a wrong type": (
        body(messages=[{"role": "user", "content": {"x": CANARY}}]),
        "messages.0.content",
        None,
    ),
    "an image": (
        body(
            messages=[
                {
                    "role": "user",
                    "content": [
                        {"type": "text", "text": CANARY},
                        {"type": "image_url", "image_url": {"url": f"https://x/{CANARY}"}},
                    ],
                }
            ]
        ),
        "messages.0.content.1.type",
        None,
    ),
    "the last message is the assistant's": (
        body(messages=[SAID, {"role": "assistant", "content": CANARY}]),
        "messages.1.role",
        None,
    ),
    "the last message is the system's": (
        body(messages=[{"role": "system", "content": CANARY}]),
        "messages.0.role",
        None,
    ),
    "the last message is empty": (
        body(messages=[SAID, {"role": "user", "content": "  "}]),
        "messages.1.content",
        None,
    ),
    "too many messages": (body(messages=[SAID] * 1001), "messages", None),
    "stream of a wrong type": (body(stream=CANARY), "stream", None),
    "stream_options of a wrong type": (
        body(stream_options={"include_usage": CANARY}),
        "stream_options.include_usage",
        None,
    ),
    "temperature out of range": (body(temperature=2.1), "temperature", None),
    "temperature of a wrong type": (body(temperature=CANARY), "temperature", None),
    "max_tokens out of range": (body(max_tokens=0), "max_tokens", None),
    "very large n": (body(n=1000, revision={"mode": "draft"}), "n", None),
    "n in a reviewed mode": (body(n=2), "n", None),
    "n in fast mode": (body(n=2, revision={"mode": "fast"}), "n", None),
    "logprobs in a reviewed mode": (body(logprobs=True), "logprobs", None),
    "top_logprobs in a reviewed mode": (body(top_logprobs=3), "top_logprobs", None),
    "an unknown mode": (wish(mode=CANARY), "revision.mode", None),
    "top_k 0": (wish(top_k=0), "revision.top_k", None),
    "top_k 21": (wish(top_k=21), "revision.top_k", None),
    "top_k of a wrong type": (wish(top_k=CANARY), "revision.top_k", None),
    "top_k as text": (wish(top_k="8"), "revision.top_k", None),
    "top_k true": (wish(top_k=True), "revision.top_k", None),
    "max_rounds -1": (wish(max_rounds=-1), "revision.max_rounds", None),
    "max_rounds 4": (wish(max_rounds=4), "revision.max_rounds", None),
    "deadline_ms 99": (wish(deadline_ms=99), "revision.deadline_ms", None),
    "deadline_ms 600001": (wish(deadline_ms=600_001), "revision.deadline_ms", None),
    "an unknown thing to include": (wish(include=[CANARY]), "revision.include.0", None),
    "an unknown thing to expose": (wish(expose=CANARY), "revision.expose", None),
    "an unknown wish": (wish(rounds=1), "revision.rounds", None),
    "an unknown wish in words": (wish(**{f"{CANARY} has a fever": 1}), "revision", None),
    "revision of a wrong type": (body(revision=CANARY), "revision", None),
}
DANGEROUS = (
    "chat_template",
    "chat_template_kwargs",
    "prompt_embeds",
    "guided_grammar",
    "guided_regex",
    "guided_json",
    "structured_outputs",
    "grammar",
    "logits_processors",
    "kv_transfer_params",
    "mm_processor_kwargs",
    "priority",
    "cache_salt",
    "echo",
    "add_generation_prompt",
    "continue_final_message",
)


@pytest.mark.parametrize(("sent", "param", "code"), BAD.values(), ids=BAD)
async def test_a_bad_request_is_told_where_and_never_repeated(
    gateway: Gateway, vllm: FakeVLLM, sent: bytes, param: str | None, code: str | None
):
    reply = await gateway.request("POST", CHAT, data=sent)
    error = reply.error
    assert (reply.status, error["type"], error["param"], error["code"]) == (400, KIND, param, code)
    assert CANARY.encode() not in reply.body
    assert reply.headers["x-should-retry"] == "false"
    assert vllm.requests == []


@pytest.mark.parametrize("mode", ["draft", "standard"])
@pytest.mark.parametrize("name", DANGEROUS)
async def test_a_field_that_reaches_into_the_engine_is_refused(
    gateway: Gateway, vllm: FakeVLLM, name: str, mode: str
):
    sent = body(**{name: CANARY}, revision={"mode": mode})
    reply = await gateway.request("POST", CHAT, data=sent)
    error = reply.error
    assert (reply.status, error["param"], error["code"]) == (400, name, "unsupported_parameter")
    assert CANARY.encode() not in reply.body
    assert vllm.requests == []


@pytest.mark.parametrize("mode", ["draft", "standard"])
async def test_a_field_that_we_do_not_know_is_passed_on(
    gateway: Gateway, vllm: FakeVLLM, mode: str
):
    reply = await gateway.chat(mode, logit_bias={"1": 2}, brand_new={"a": [1]})
    assert reply.status == 200
    (draft,) = vllm.of("draft")
    assert (draft.body["logit_bias"], draft.body["brand_new"]) == ({"1": 2}, {"a": [1]})


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
    writer.write(f"POST {CHAT} HTTP/1.1\r\nhost: x\r\ncontent-length: 999999\r\n\r\n".encode())
    async with asyncio.timeout(2):
        assert b" 413 " in await reader.readline()
    writer.close()
    await writer.wait_closed()


async def test_a_body_at_the_limit_is_served(open_gateway: Opener):
    gateway = await open_gateway(max_body_bytes=4096)
    sent = json.dumps(asking("draft", metadata={"padding": ""})).encode()
    sent = sent.replace(b'"padding": "', b'"padding": "' + b"x" * (4096 - len(sent)))
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


@pytest.mark.parametrize(
    "name", ["stream", "revision", "stream_options", "n", "temperature", "max_tokens", "tools"]
)
async def test_an_optional_field_that_is_null_was_not_given(gateway: Gateway, name: str):
    reply = await gateway.post(CHAT, asking(**{name: None}))
    assert (reply.status, reply.text) == (200, DRAFT)


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
