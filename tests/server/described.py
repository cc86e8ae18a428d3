"""What `/openapi.json` says of a route, and whether an answer is as it says.

The gateway of the tests holds every answer of every test against it (`tests/server/gateway.py`),
so an answer that the document does not describe fails whatever test got it.
"""

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import jsonschema_rs

from models import sse
from server.app import create_app
from server.settings import Settings

EVENTS = "text/event-stream"
JSON = "application/json"


@cache
def document() -> dict[str, Any]:
    """Return the document, which no setting changes."""
    return create_app(Settings()).openapi()


@cache
def validator(schema: str) -> jsonschema_rs.Draft202012Validator:
    """Return what checks values against that schema of the document, given as JSON."""
    whole = {**json.loads(schema), "components": document()["components"]}
    return jsonschema_rs.Draft202012Validator(whole)


def fault(schema: Mapping[str, Any], value: object) -> str:
    """Return the first thing that is wrong with the value; nothing if all is well."""
    for error in validator(json.dumps(schema)).iter_errors(value):
        return f"{'.'.join(map(str, error.instance_path))}: {error.message}"
    return ""


def operation(method: str, path: str) -> Mapping[str, Any] | None:
    """Return what the document says of a route; None if it has none of that method and path."""
    path = path.partition("?")[0]
    for template, item in document()["paths"].items():
        expression = re.sub(r"\\\{model_id\\\}", ".+", re.escape(template))
        expression = re.sub(r"\\\{\w+\\\}", "[^/]+", expression)
        if re.fullmatch(expression, path) and method.lower() in item:
            return item[method.lower()]
    return None


def complaints(
    method: str, path: str, status: int, headers: Mapping[str, str], body: bytes
) -> list[str]:
    """Return all in which an answer is not as the document says, if it says anything."""
    described = operation(method, path)
    if described is None:
        return []
    response = described["responses"].get(str(status))
    if response is None:
        return [f"the status {status} is not described"]
    kind = headers.get("content-type", "").partition(";")[0]
    form = response["content"].get(kind)
    if form is None:
        return [f"the content type {kind} is not described"]
    told = list(_of_headers(response, headers))
    if kind == EVENTS:
        told += _of_events(form["schema"], body)
    else:
        value = json.loads(body) if kind == JSON else body.decode()
        told += [wrong] if (wrong := fault(form["schema"], value)) else []
    return told


def _of_headers(response: Mapping[str, Any], headers: Mapping[str, str]) -> Iterator[str]:
    for name in response["headers"]:
        header = document()["components"]["headers"][name]
        if name not in headers:
            if header.get("required"):
                yield f"the header {name} is missing"
            continue
        number = header["schema"]["type"] == "integer"
        value = int(headers[name]) if number else headers[name]
        if wrong := fault(header["schema"], value):
            yield f"the header {name} is not as described{wrong}"


def _of_events(event: Mapping[str, Any], body: bytes) -> Iterator[str]:
    data = event["properties"]["data"]
    chunk = data.get("contentSchema") or data["anyOf"][0]["contentSchema"]["anyOf"][0]
    for piece in body.split(b"\n\n"):
        told = sse.data_of(piece[piece.find(b"data:") :] + b"\n\n")
        if not told or told == sse.DONE:
            continue
        value = json.loads(told)
        error = {"$ref": "#/components/schemas/Error"} if "anyOf" in data else chunk
        if wrong := fault(error if set(value) == {"error"} else chunk, value):
            yield f"an event is not as described: {wrong}"
