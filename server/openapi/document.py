"""The document itself, put together from the routes, `OPERATIONS` and the forms.

FastAPI's own would be a guess: the routes read bodies themselves, so that every mistake is told
in OpenAI's form, and it would announce a 422 that never comes.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeAlias

from fastapi.routing import APIRoute
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from starlette.routing import BaseRoute

from server.access import ANY_KEY, Needs, rule_of
from server.openapi.lists import Error
from server.openapi.operations import ANY, OPERATIONS, Operation
from server.openapi.requests import complete
from server.openapi.words import ABOUT, HEADERS, RATES, READ, SECURITY, status_words

Node: TypeAlias = dict[str, Any]

NO_KEY, TOO_MANY = 401, 429
NOT_NOW = frozenset({TOO_MANY, 503})
KEYS = (NO_KEY, 403, TOO_MANY, 503)
"""What can befall a request on every route that takes a key."""

_SCHEMAS = "#/components/schemas/"
_NEVER = {"$ref": f"{_SCHEMAS}OtherItem"}
"""A branch that no value can take; it is there to complain of those that try."""

_OURS: Mapping[str, str] = {r"\A": "^", r"\z": "$"}
"""Anchors of the validator's expressions → those of JSON Schema's."""


def document(routes: Iterable[BaseRoute], *, title: str, version: str) -> Node:
    """Return the OpenAPI document of these routes."""
    paths: Node = {}
    for route in routes:
        if not isinstance(route, APIRoute) or not route.include_in_schema:
            continue
        for method in sorted(route.methods or ()):
            item = paths.setdefault(route.path_format, {})
            item[method.lower()] = _operation(route, OPERATIONS[method, route.path_format])
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version, "description": ABOUT},
        "paths": paths,
        "components": {
            "schemas": _schemas(),
            "headers": dict(HEADERS),
            "securitySchemes": dict(SECURITY),
        },
    }


def _operation(route: APIRoute, known: Operation) -> Node:
    summary, _, more = (route.description or route.name).partition("\n\n")
    rule = rule_of(route)
    guarded = KEYS if isinstance(rule, Needs) else ()
    told: Node = {
        "operationId": route.name,
        "tags": [known.tag],
        "summary": summary.rstrip("."),
        "parameters": [*_path_parameters(route), *_header_parameters(known)],
        "responses": {
            "200": _answer(known, *(RATES if guarded else ())),
            **{str(status): _form_of(form, known) for status, form in known.also.items()},
            **{
                str(status): _error(status, known)
                for status in sorted({*guarded, *ANY, *known.errors})
            },
        },
    }
    if isinstance(rule, Needs):
        told["security"] = [{"key": []}, {}]  # on loopback there may be no keys
        scopes = "" if rule == ANY_KEY else " with the scope " + " or ".join(sorted(rule.scopes))
        more = f"{more}\n\nTakes an API key{scopes}, where keys are asked for.".strip()
    if more:
        told["description"] = more
    if known.takes is not None:
        content = {"schema": _ref(known.takes), "example": known.example}
        told["requestBody"] = {"required": True, "content": {"application/json": content}}
    return told


def _path_parameters(route: APIRoute) -> list[Node]:
    return [
        {"name": field.alias, "in": "path", "required": True, "schema": {"type": "string"}}
        for field in route.dependant.path_params
    ]


def _header_parameters(known: Operation) -> list[Node]:
    return [
        {"name": name, "in": "header", "required": False, **READ[name]}
        for name in ("x-request-id", *known.reads)
    ]


def _answer(known: Operation, *also: str) -> Node:
    content: Node
    if known.gives is None:
        content = {"text/plain": {"schema": {"type": "string"}}}
    else:
        content = {"application/json": {"schema": _ref(known.gives)}}
    if known.chunk is not None:
        content["text/event-stream"] = {"schema": _event(known.chunk, named=known.named_events)}
    return {
        "description": "As asked for.",
        "headers": _headers("x-request-id", *known.headers, *also),
        "content": content,
    }


def _event(chunk: type[BaseModel], *, named: bool) -> Node:
    """Return the form of one event of a stream, with what its data hold."""
    held: Node = {"contentMediaType": "application/json"}
    if named:
        name = {"type": "string", "description": "The `type` that the data have."}
        data = {"type": "string", **held, "contentSchema": _ref(chunk)}
        properties = {"event": name, "data": data}
    else:
        held["contentSchema"] = {"anyOf": [_ref(chunk), _ref(Error)]}
        said = "A chunk, or an error, or `[DONE]` at the end."
        data = {"type": "string", "description": said, "anyOf": [held, {"const": "[DONE]"}]}
        properties = {"data": data}
    return {"type": "object", "required": list(properties), "properties": properties}


def _form_of(form: type[BaseModel], known: Operation) -> Node:
    return {**_answer(known), "content": {"application/json": {"schema": _ref(form)}}}


def _error(status: int, known: Operation) -> Node:
    retry = ("retry-after",) if status in NOT_NOW else ()
    if status == TOO_MANY:
        retry = (*retry, *RATES)
    if status == NO_KEY:
        retry = ("www-authenticate",)
    return {
        "description": status_words(status),
        "headers": _headers("x-request-id", "x-should-retry", *retry, *known.error_headers),
        "content": {"application/json": {"schema": _ref(Error)}},
    }


def _headers(*names: str) -> Node:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _ref(form: type[BaseModel]) -> Node:
    return {"$ref": f"{_SCHEMAS}{form.__name__}"}


def _schemas() -> Node:
    forms: set[type[BaseModel]] = {Error}
    for known in OPERATIONS.values():
        named = (known.takes, known.gives, known.chunk, *known.also.values())
        forms.update(form for form in named if form is not None)
    ordered = sorted(forms, key=lambda form: form.__name__)
    _, made = models_json_schema(
        [(form, "validation") for form in ordered], ref_template=f"{_SCHEMAS}{{model}}"
    )
    schemas = _renamed(made["$defs"])
    complete(schemas)
    for schema in _nodes(schemas):
        if isinstance(schema.get("title"), str):
            del schema["title"]
        if isinstance(pattern := schema.get("pattern"), str):
            for ours, theirs in _OURS.items():
                pattern = pattern.replace(ours, theirs)
            schema["pattern"] = pattern
        if isinstance(branches := schema.get("oneOf"), list):
            schema["oneOf"] = [one for one in branches if one != _NEVER]
    del schemas[_NEVER["$ref"].removeprefix(_SCHEMAS)]
    return schemas


def _renamed(schemas: Node) -> Node:
    """Return the schemas with names that say nothing of our modules.

    Where two modules have a form of one name, both names come with the module's.
    """
    names = {name: _name(name) for name in schemas}
    if len({*names.values()}) < len(names):
        raise ValueError("two schemas have one name")
    for node in _nodes(schemas):
        if isinstance(target := node.get("$ref"), str):
            node["$ref"] = _SCHEMAS + names[target.removeprefix(_SCHEMAS)]
    return {names[name]: schema for name, schema in schemas.items()}


def _name(name: str) -> str:
    module, _, own = name.rpartition("__")
    return f"Responses{own}" if "responses" in module else own


def _nodes(value: object) -> Iterator[Node]:
    """Yield every object in a JSON value."""
    if isinstance(value, dict):
        yield value
        for held in value.values():
            yield from _nodes(held)
    elif isinstance(value, list):
        for held in value:
            yield from _nodes(held)
