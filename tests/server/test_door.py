"""What a request must be before anything looks at it: no web page drives a gateway on loopback."""

import json
from typing import Any

import pytest

from tests.fakes.vllm import FakeVLLM
from tests.server.conftest import Opener
from tests.server.gateway import CHAT, Gateway, Reply, asking

PAGE = "https://evil.example"
ROUTES = [
    *(("GET", path) for path in ("/v1/models", "/v1/principles", "/healthz", "/metrics", "/docs")),
    *(("GET", path) for path in ("/version", "/readyz", "/openapi.json", "/no/such/route")),
    *(("POST", path) for path in (CHAT, "/v1/responses", "/v1/completions", "/v1/embeddings")),
    *(("POST", path) for path in ("/v1/critiques", "/v1/revisions", "/v1/principles/search")),
]


async def ask(gateway: Gateway, method: str, path: str, **headers: str) -> Reply:
    body = {"json": asking("draft")} if method == "POST" else {}
    return await gateway.request(method, path, headers=headers, **body)


@pytest.mark.parametrize(("method", "path"), ROUTES)
@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8000",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "127.0.0.1@evil.example",
        "evil.example/v1/models?",
        "169.254.169.254",
        "0.0.0.0",  # noqa: S104  # browsers send it to this machine
        "[::ffff:8.8.8.8]",
        "::1]x",
        "",
    ],
)
async def test_a_name_that_is_not_ours_is_refused_on_every_route(
    gateway: Gateway, vllm: FakeVLLM, method: str, path: str, host: str
):
    reply = await ask(gateway, method, path, host=host)
    assert (reply.status, reply.error["code"]) == (421, "host_not_allowed")
    assert b"evil" not in reply.body
    assert vllm.requests == []


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1", "127.8.8.8", "[::1]:80"])
async def test_every_name_of_loopback_is_ours(gateway: Gateway, host: str):
    assert (await ask(gateway, "GET", "/healthz", host=host)).status == 200


async def test_further_names_are_the_operators_to_give(open_gateway: Opener):
    gateway = await open_gateway(allowed_hosts="clinic.example", public_url="https://ask.example")
    for host in ("Clinic.Example", "clinic.example:443", "ask.example", "localhost"):
        assert (await ask(gateway, "GET", "/healthz", host=host)).status == 200
    assert (await ask(gateway, "GET", "/healthz", host="evil.example")).status == 421


async def test_beyond_loopback_any_name_is_taken_unless_some_are_given(open_gateway: Opener):
    wide = {"host": "0.0.0.0", "unprotected": True}  # noqa: S104  # a setting; the test's socket is loopback's
    gateway = await open_gateway(**wide)
    assert (await ask(gateway, "GET", "/healthz", host="clinic.example")).status == 200
    gateway = await open_gateway(**wide, allowed_hosts="clinic.example")
    assert (await ask(gateway, "GET", "/healthz", host="clinic.example")).status == 200
    assert (await ask(gateway, "GET", "/healthz", host="evil.example")).status == 421


@pytest.mark.parametrize(("method", "path"), ROUTES)
@pytest.mark.parametrize("origin", [PAGE, "null", "http://localhost:1", "chrome-extension://abc"])
async def test_a_page_of_another_origin_is_refused_on_every_route(
    gateway: Gateway, vllm: FakeVLLM, method: str, path: str, origin: str
):
    reply = await ask(gateway, method, path, origin=origin)
    assert (reply.status, reply.error["code"]) == (403, "origin_not_allowed")
    assert not [name for name in reply.headers if name.lower().startswith("access-control")]
    assert vllm.requests == []


async def test_a_page_of_this_servers_own_may_ask(gateway: Gateway):
    assert (await ask(gateway, "POST", CHAT, origin=gateway.url)).status == 200


async def test_an_origin_that_is_allowed_may_ask_and_read(open_gateway: Opener):
    gateway = await open_gateway(allowed_origins="https://clinic.example,http://localhost:3000")
    for origin in ("https://clinic.example", "http://localhost:3000"):
        reply = await ask(gateway, "POST", CHAT, origin=origin)
        assert reply.status == 200
        assert reply.headers["access-control-allow-origin"] == origin
        assert "Origin" in reply.headers["vary"]
        assert "access-control-allow-credentials" not in reply.headers
    assert (await ask(gateway, "POST", CHAT, origin=PAGE)).status == 403


async def preflight(gateway: Gateway, origin: str) -> Reply:
    headers = {
        "origin": origin,
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization,content-type",
    }
    return await gateway.request("OPTIONS", CHAT, headers=headers)


async def test_a_preflight_is_answered_only_to_an_allowed_origin(open_gateway: Opener):
    closed = await preflight(await open_gateway(), PAGE)
    assert closed.status == 403
    gateway = await open_gateway(allowed_origins="https://clinic.example")
    assert (await preflight(gateway, PAGE)).status == 403
    told = await preflight(gateway, "https://clinic.example")
    assert (told.status, told.body) == (204, b"")
    assert "POST" in told.headers["access-control-allow-methods"]
    assert "authorization" in told.headers["access-control-allow-headers"]
    assert "*" not in told.headers["access-control-allow-headers"]


async def test_any_origin_can_be_let_in_by_the_operator_alone(open_gateway: Opener):
    gateway = await open_gateway(allowed_origins="*")
    assert (await preflight(gateway, PAGE)).status == 204
    assert (await ask(gateway, "POST", CHAT, origin=PAGE)).status == 200


@pytest.mark.parametrize("path", [path for method, path in ROUTES if method == "POST"])
@pytest.mark.parametrize(
    "kind",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""],
)
async def test_what_a_page_can_send_without_asking_is_no_request(
    gateway: Gateway, vllm: FakeVLLM, path: str, kind: str
):
    body = json.dumps(asking("draft")).encode()
    reply = await gateway.request("POST", path, data=body, headers={"content-type": kind})
    assert (reply.status, reply.error["code"]) == (415, "unsupported_media_type")
    assert vllm.requests == []


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "Application/JSON"])
async def test_json_is_json_in_any_spelling(gateway: Gateway, kind: str):
    body = json.dumps(asking("draft")).encode()
    assert (
        await gateway.request("POST", CHAT, data=body, headers={"content-type": kind})
    ).status == 200


SAFE: dict[str, str] = {
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
    "cross-origin-resource-policy": "same-origin",
}


def is_safe(headers: Any) -> None:
    for name, value in SAFE.items():
        assert headers[name] == value, name
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert "default-src 'none'" in headers["content-security-policy"]


@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_every_answer_has_safe_headers(gateway: Gateway, method: str, path: str):
    is_safe((await ask(gateway, method, path)).headers)
    is_safe((await ask(gateway, method, path, origin=PAGE)).headers)


async def test_a_stream_has_safe_headers_too(gateway: Gateway):
    is_safe((await gateway.stream("draft")).headers)


@pytest.mark.parametrize(
    "headers",
    [{f"x-{n}": "1" for n in range(110)}, {"x-long": "1" * 17_000}],
    ids=["many", "long"],
)
async def test_too_many_headers_are_told(gateway: Gateway, headers: dict[str, str]):
    reply = await ask(gateway, "GET", "/healthz", **headers)
    assert (reply.status, reply.error["code"]) == (431, "headers_too_large")


@pytest.mark.parametrize(
    "path",
    [
        "//v1/models",
        "/v1//models",
        "/V1/models",
        "/v1/models/../../metrics",
        "/v1/%2e%2e/metrics",
        "/v1/models;x=1",
        "/.git/config",
        "/../../etc/passwd",
        "/docs/..%2f..%2fpyproject.toml",
        "/docs/%2e%2e/openapi.json%00",
    ],
)
async def test_a_path_that_plays_tricks_is_no_route(gateway: Gateway, path: str):
    from yarl import URL

    url = URL(gateway.url + path, encoded=True)
    async with gateway.session.get(url) as response:
        assert response.status == 404
        assert (await response.json())["error"]["type"] == "invalid_request_error"


async def test_no_header_changes_the_method_the_path_or_the_host(gateway: Gateway):
    tricks = {
        "x-http-method-override": "GET",
        "x-original-url": "/metrics",
        "x-rewrite-url": "/metrics",
        "x-forwarded-host": "evil.example",
        "x-forwarded-prefix": "/evil",
        "forwarded": "host=evil.example",
    }
    reply = await ask(gateway, "POST", "/v1/models", **tricks)
    assert reply.status == 405
    page = await ask(gateway, "GET", "/docs", **tricks)
    assert b"evil" not in page.body
