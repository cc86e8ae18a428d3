"""Who may do what: nothing answers without a key but what says so, and a scope opens its routes."""

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import APIRouter, Depends
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute

from server.access import ANY_KEY, OPEN, Needs, Open, check_rules, needs, rule_of
from server.app import create_app
from server.keys.key import SCOPES, KeyLimits
from server.settings import Settings
from tests.fakes.vllm import FakeVLLM
from tests.server.conftest import Opener
from tests.server.gateway import CHAT, Gateway, asking
from tests.server.keyed import asked, bearing, issue, send_raw

OPEN_ROUTES = {
    "/health",
    "/healthz",
    "/readyz",
    "/metrics",
    "/version",
    "/docs",
    "/docs/start.js",
    "/docs/{file}",
    "/openapi.json",
}
OPENED_BY = {
    ("POST", "/v1/chat/completions"): {"chat"},
    ("POST", "/v1/responses"): {"chat"},
    ("POST", "/v1/completions"): {"chat"},
    ("POST", "/v1/embeddings"): {"chat"},
    ("POST", "/v1/critiques"): {"critique"},
    ("POST", "/v1/revisions"): {"critique"},
    ("GET", "/v1/models"): set(SCOPES),
    ("HEAD", "/v1/models"): set(SCOPES),
    ("GET", "/v1/models/{model_id:path}"): set(SCOPES),
    ("HEAD", "/v1/models/{model_id:path}"): set(SCOPES),
    ("GET", "/v1/principles"): set(SCOPES),
    ("GET", "/v1/principles/{principle_id}"): set(SCOPES),
    ("POST", "/v1/principles/search"): set(SCOPES),
}
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "get")


def leaves(routes: list[BaseRoute]) -> Iterator[BaseRoute]:
    """Yield every route, those of included routers and mounted applications too."""
    for route in routes:
        inner = getattr(route, "original_router", None) or getattr(route, "app", None)
        if isinstance(route, APIRoute) or not hasattr(inner, "routes"):
            yield route
        else:
            yield from leaves(inner.routes)


def table() -> list[APIRoute]:
    found = list(leaves(create_app(Settings()).routes))
    assert len(found) > 15
    return found


def filled(path: str) -> str:
    return re.sub(r"\{[^}]+\}", "x", path)


@pytest.fixture
async def locked(open_gateway: Opener, tmp_path: Path) -> Gateway:
    await issue(tmp_path, "chat")
    return await open_gateway()


def test_every_route_says_once_who_may_use_it():
    for route in table():
        assert isinstance(route, APIRoute), route
        calls = [one.call for one in route.dependant.dependencies]
        assert len([one for one in calls if isinstance(one, Needs | Open)]) == 1, route.path


def test_the_open_routes_are_these_and_no_others():
    assert {route.path for route in table() if rule_of(route) is OPEN} == OPEN_ROUTES


def test_each_other_route_is_opened_by_these_scopes_and_no_others():
    said = {
        (method, route.path): set(rule.scopes)
        for route in table()
        if isinstance(rule := rule_of(route), Needs)
        for method in route.methods
    }
    assert said == OPENED_BY


@pytest.mark.parametrize(
    "route",
    [
        Route("/x", lambda _: None),
        Mount("/x", app=lambda *_: None),
        WebSocketRoute("/x", lambda _: None),
        APIRoute("/x", lambda: None),
        APIRoute("/x", lambda: None, dependencies=[Depends(OPEN), Depends(needs("chat"))]),
        APIRoute("/x", lambda: None, dependencies=[Depends(OPEN), Depends(OPEN)]),
    ],
)
def test_an_application_with_a_route_that_does_not_say_so_does_not_start(route: BaseRoute):
    with pytest.raises(RuntimeError, match="/x does not say who may use it"):
        check_rules([route])


def test_a_rule_of_the_router_holds_for_its_routes():
    router = APIRouter(dependencies=[Depends(ANY_KEY)])
    router.get("/x")(lambda: None)
    check_rules(router.routes)


@pytest.mark.parametrize("method", METHODS)
async def test_without_a_key_no_route_answers_but_the_open_ones(locked: Gateway, method: str):
    is_open = {
        path: {one for route in table() if route.path == path for one in route.methods}
        for path in OPEN_ROUTES
    }
    for path in sorted({route.path for route in table()}):
        answer = await send_raw(locked, asked(method, filled(path)))
        if method in is_open.get(path, ()):
            assert answer.status in {200, 404}, (method, path)
        else:
            assert answer.status == 401, (method, path)
            assert "www-authenticate: bearer realm=" in answer.head.lower()
            assert "x-request-id: " in answer.head.lower()


TRICKS = [
    "/v1/models/",
    "//v1/models",
    "/v1//models",
    "/v1/models//",
    "/./v1/models",
    "/v1/./models",
    "/healthz/../v1/models",
    "/healthz/%2e%2e/v1/models",
    "/%2e%2e/v1/models",
    "/v1/%6dodels",
    "/v1%2fmodels",
    "/V1/models",
    "/v1/models.",
    "/v1/models%20",
    "/v1/models%00",
    "/v1/models;x=1",
    "/v1/models?x=/healthz",
    "/v1/models#/healthz",
    "/healthz#/../v1/models",
    "http://127.0.0.1/v1/models",
    "http://127.0.0.1/healthz/../v1/models",
    "/docs/../v1/models",
    "/docs/..%2fv1%2fmodels",
    "/docs/%2e%2e%2fv1%2fmodels",
    "/openapi.json/../v1/models",
    "/v1/chat/completions/",
    "/v1/unknown",
    "/nothing",
    "*",
]
BYPASSES = [
    (),
    ("X-Forwarded-For: 127.0.0.1",),
    ("X-Forwarded-Host: localhost", "X-Original-URL: /healthz", "X-Rewrite-URL: /healthz"),
    ("X-HTTP-Method-Override: GET", "X-Method-Override: HEAD"),
    ("Forwarded: for=127.0.0.1;host=localhost;proto=https", "X-Real-IP: 127.0.0.1"),
    ("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Key: eA==",
     "Sec-WebSocket-Version: 13"),
    ("Upgrade: h2c", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA"),
]  # fmt: skip
HOSTS = ["127.0.0.1", "localhost", "x/healthz?", "127.0.0.1/healthz", "healthz", "[::1]", ""]


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "OPTIONS"])
@pytest.mark.parametrize("target", TRICKS)
async def test_no_trick_with_the_target_gets_past_the_keys(
    locked: Gateway, vllm: FakeVLLM, method: str, target: str
):
    answer = await send_raw(locked, asked(method, target))
    if target.startswith(("/docs/..%2f", "/docs/%2e%2e%2f")):
        assert answer.status in {401, 404}  # a file of the open page, that it does not have
    else:
        assert answer.status in {400, 401}
    assert '"data"' not in answer.body
    assert vllm.requests == []


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("headers", BYPASSES)
async def test_no_header_gets_past_the_keys(
    locked: Gateway, vllm: FakeVLLM, headers: tuple[str, ...], host: str
):
    for method, target in (("GET", "/v1/models"), ("POST", CHAT)):
        answer = await send_raw(locked, asked(method, target, *headers, host=host))
        assert answer.status in {400, 401, 421}, (method, target)
        assert '"data"' not in answer.body
    assert vllm.requests == []


async def test_a_body_is_not_read_before_the_key(locked: Gateway):
    request = asked("POST", CHAT, "Content-Type: application/json", "Content-Length: 1000000")
    answer = await send_raw(locked, request + b'{"model": ')
    assert answer.status == 401


@pytest.mark.parametrize("scope", SCOPES)
async def test_a_scope_opens_its_routes_and_no_others(
    open_gateway: Opener, tmp_path: Path, scope: str
):
    key = await issue(tmp_path, scope)
    gateway = await open_gateway()
    for (method, path), scopes in OPENED_BY.items():
        body = {"json": {}} if method == "POST" else {}
        reply = await gateway.request(method, filled(path), headers=bearing(key), **body)
        if scope == "admin" or scope in scopes:
            assert reply.status not in {401, 403}, (method, path)
            continue
        assert reply.status == 403, (method, path)
        assert (reply.error["type"], reply.error["code"]) == ("permission_error", "missing_scope")
        told = reply.headers["www-authenticate"]
        assert 'error="insufficient_scope"' in told
        assert f'scope="{" ".join(sorted(scopes))}"' in told


async def test_what_is_not_there_is_told_to_those_with_a_key_only(
    open_gateway: Opener, tmp_path: Path
):
    key = await issue(tmp_path, "records")
    gateway = await open_gateway()
    for method, path, status in (
        ("GET", "/v1/nothing", 404),
        ("DELETE", "/v1/models", 405),
        ("POST", "/healthz", 405),
    ):
        assert (await gateway.request(method, path)).status == 401
        reply = await gateway.request(method, path, headers=bearing(key))
        assert (reply.status, reply.error["type"]) == (status, "invalid_request_error")


async def test_a_mode_that_the_key_may_not_use_is_refused(
    open_gateway: Opener, vllm: FakeVLLM, tmp_path: Path
):
    limits = KeyLimits(modes=frozenset({"standard", "thorough"}))
    key = await issue(tmp_path, "chat", "critique", limits=limits)
    gateway = await open_gateway()
    for path, body in (
        (CHAT, asking("draft")),
        (CHAT, asking("fast", stream=True)),
        (CHAT, {**asking(), "model": f"{asking()['model']}-draft"}),
        ("/v1/critiques", asking("fast", answer="Rest.")),
        ("/v1/completions", {"model": asking()["model"], "prompt": "x"}),
    ):
        reply = await gateway.post(path, body, **bearing(key))
        assert (reply.status, reply.error["code"]) == (403, "mode_not_allowed")
        assert reply.error["param"] == "revision.mode"
        assert "standard, thorough" in reply.error["message"]
    assert not [request for request in vllm.requests if request.step == "draft"]
    assert (await gateway.post(CHAT, asking("standard"), **bearing(key))).status == 200


async def test_without_keys_nothing_is_asked_for_on_loopback(gateway: Gateway):
    assert (await gateway.get("/v1/models")).status == 200
    assert (await gateway.post(CHAT, asking("draft"), authorization="Bearer none")).status == 200
    assert (await gateway.get("/v1/nothing")).status == 404


async def test_beyond_loopback_a_key_is_asked_for_even_before_there_is_one(open_gateway: Opener):
    gateway = await open_gateway(host="192.0.2.1")
    assert (await gateway.get("/v1/models")).status == 401


async def test_refusals_are_counted_by_reason_and_logged_by_the_keys_id(
    open_gateway: Opener, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    key = await issue(tmp_path, "critique")
    gateway = await open_gateway()
    caplog.set_level("INFO", logger="clinalign")
    await gateway.get("/v1/models")
    await gateway.request("GET", "/v1/models", headers=bearing("clinalign_zebra"))
    await gateway.post(CHAT, asking(), **bearing(key))
    await gateway.request("GET", "/v1/models", headers=bearing(key))
    await asyncio.sleep(0.05)
    told = (await gateway.get("/metrics")).body.decode()
    for reason in ("missing", "unknown", "scope"):
        assert f'clinalign_refusals_total{{reason="{reason}"}} 1.0' in told
    key_id, secret = key.split("_")[1:]
    lines = [record.getMessage() for record in caplog.records]
    assert [line.split(" key=")[1].split()[0] for line in lines if " key=" in line][:4] == [
        "none",
        "none",
        key_id,
        key_id,
    ]
    everything = told + "\n".join(lines)
    assert secret not in everything
    assert "zebra" not in everything
    assert key_id not in told
