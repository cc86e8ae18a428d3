"""`/openapi.json` and `/docs`: all that is served is described, and nothing else is.

Whether the answers are as described is checked wherever a test gets one (tests/server/gateway.py).
"""

import json
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import pytest

from server.app import PARTS
from server.openapi.operations import OPERATIONS
from server.refused import ENGINE, INSTEAD
from tests.fakes.vllm import FakeVLLM
from tests.server.described import document, fault, operation
from tests.server.gateway import CHAT, Gateway, asking

REQUEST = "application/json"


def nodes(value: object) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
    for held in value.values() if isinstance(value, dict) else value:
        if isinstance(held, dict | list):
            yield from nodes(held)


def of_body(path: str) -> dict[str, Any]:
    return operation("POST", path)["requestBody"]["content"][REQUEST]


async def test_the_document_is_served_as_it_is_put_together(gateway: Gateway):
    reply = await gateway.get("/openapi.json")
    assert (reply.status, reply.json) == (200, document())
    assert reply.json["openapi"].startswith("3.1.")


def test_every_route_is_described_and_every_description_has_its_route():
    served = {
        (method, route.path_format)
        for part in PARTS
        for route in part.router.routes
        if route.include_in_schema
        for method in route.methods
    }
    assert served == set(OPERATIONS)
    told = {(method.upper(), path) for path, item in document()["paths"].items() for method in item}
    assert told == served


def test_what_is_not_described_is_heads_and_the_documents_own_page():
    hidden = {
        (method, route.path_format)
        for part in PARTS
        for route in part.router.routes
        if not route.include_in_schema
        for method in route.methods
    }
    pages = {path for method, path in hidden if method == "GET"}
    assert pages == {"/openapi.json", "/docs", "/docs/start.js", "/docs/{file}", "/health"}
    heads = {path for method, path in hidden if method == "HEAD"}
    assert heads - pages <= set(document()["paths"])


def test_the_framework_announces_nothing_that_never_comes():
    told = json.dumps(document())
    assert "HTTPValidationError" not in told
    statuses = {
        status
        for item in document()["paths"].values()
        for described in item.values()
        for status in described["responses"]
    }
    assert "422" not in statuses


def test_every_reference_leads_somewhere():
    for node in nodes(document()):
        if isinstance(target := node.get("$ref"), str):
            found: Any = document()
            for step in target.removeprefix("#/").split("/"):
                found = found[step]


def test_every_schema_is_one():
    schemas = document()["components"]["schemas"]
    assert len(schemas) > 30
    for schema in schemas.values():
        jsonschema_rs.meta.validate(schema)


def test_every_expression_is_one_of_json_schema():
    patterns = [
        node["pattern"] for node in nodes(document()) if isinstance(node.get("pattern"), str)
    ]
    assert patterns
    assert not [pattern for pattern in patterns if "\\A" in pattern or "\\z" in pattern]


@pytest.mark.parametrize("path", [path for method, path in OPERATIONS if method == "POST"])
async def test_each_example_is_a_request_that_is_served(
    gateway: Gateway, vllm: FakeVLLM, path: str
):
    vllm.models = ["NAME"]
    body = of_body(path)
    assert fault(body["schema"], body["example"]) == ""
    assert (await gateway.post(path, body["example"])).status == 200


@pytest.mark.parametrize("name", sorted([*ENGINE, *INSTEAD]))
def test_a_refused_field_is_described_as_refused(name: str):
    schema = of_body(CHAT)["schema"]
    assert fault(schema, asking()) == ""
    assert fault(schema, asking(**{name: {"x": 1}})) != ""


@pytest.mark.parametrize(
    "fields",
    [
        {"revision": {"top_k": 21}},
        {"revision": {"depth": 3}},
        {"revision": {"mode": "slow"}},
        {"temperature": 3},
        {"messages": []},
        {"messages": [{"role": "nurse", "content": "x"}]},
        {"metadata": {"ward": 5}},
        {"logit_bias": {"fifty": 1}},
        {"response_format": {"type": "structural_tag"}},
    ],
    ids=str,
)
async def test_what_the_document_rules_out_is_refused(gateway: Gateway, fields: dict[str, Any]):
    assert fault(of_body(CHAT)["schema"], asking(**fields)) != ""
    assert (await gateway.post(CHAT, asking(**fields))).status == 400


@pytest.mark.parametrize(
    "fields",
    [
        {"revision": None, "stream": None, "stop": None, "functions": None},
        {"revision": {"mode": "fast", "top_k": 20, "include": ["trace"], "expose": "reasoning"}},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "x"}]}]},
        {"metadata": {"ward": "5"}, "logit_bias": {"50": -100}, "stop": ["a", "b"]},
        {"a_field_of_openais_that_we_do_not_know": 1},
    ],
    ids=str,
)
async def test_what_is_served_is_not_ruled_out_by_the_document(
    gateway: Gateway, fields: dict[str, Any]
):
    assert (await gateway.post(CHAT, asking(**fields))).status == 200
    assert fault(of_body(CHAT)["schema"], asking(**fields)) == ""


async def test_an_answer_that_is_not_as_described_fails_its_test(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("server.routes.health.package_version", lambda: 1)
    with pytest.raises(AssertionError, match="GET /version answered 200: version"):
        await gateway.get("/version")


async def test_the_page_loads_nothing_from_elsewhere(gateway: Gateway):
    page = await gateway.get("/docs")
    text = page.body.decode()
    assert page.status == 200
    assert "//" not in text
    assert page.headers["content-security-policy"].startswith("default-src 'none'; ")
    assert "http" not in page.headers["content-security-policy"]
    for name, kind in (
        ("swagger-ui-bundle.js", "text/javascript"),
        ("start.js", "text/javascript"),
        ("swagger-ui.css", "text/css"),
    ):
        assert f'"/docs/{name}"' in text
        file = await gateway.get(f"/docs/{name}")
        assert file.status == 200
        assert file.headers["content-type"].startswith(kind)
        assert file.headers["x-content-type-options"] == "nosniff"
        assert file.body


@pytest.mark.parametrize("path", ["/redoc", "/docs/oauth2-redirect"])
async def test_the_framework_s_own_pages_are_off(gateway: Gateway, path: str):
    assert (await gateway.get(path)).status == 404


async def test_another_file_of_the_page_is_not_there(gateway: Gateway):
    for name in ("redoc.standalone.js", "..%2fcore.py", "__init__.py"):
        assert (await gateway.get(f"/docs/{name}")).status == 404
