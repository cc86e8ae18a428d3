"""Responses as a client sees them, each validated strictly against OpenAI's own types."""

import asyncio
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from openai.types.responses import Response, ResponseStreamEvent
from pydantic import BaseModel, TypeAdapter

from models import sse
from tests.fakes.library import QUESTION
from tests.fakes.vllm import MODEL
from tests.server.gateway import Gateway, Reply

PATH = "/v1/responses"
EVENT = TypeAdapter(ResponseStreamEvent)


@dataclass(frozen=True, slots=True, kw_only=True)
class Events:
    """A whole stream; `at` is when each event came, in seconds after the request."""

    headers: Any
    comments: tuple[str, ...]
    events: tuple[dict[str, Any], ...]
    at: tuple[float, ...]

    @property
    def kinds(self) -> list[str]:
        return [event["type"].removeprefix("response.") for event in self.events]

    @property
    def last(self) -> dict[str, Any]:
        return self.events[-1]["response"]

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["type"] == f"response.{kind}"]

    @property
    def text(self) -> str:
        return "".join(event["delta"] for event in self.of("output_text.delta"))


def asking(mode: str | None = None, **fields: Any) -> dict[str, Any]:
    body = {"model": MODEL, "input": QUESTION, **fields}
    return body if mode is None else {**body, "revision": {"mode": mode}}


async def ask(gateway: Gateway, mode: str | None = None, **fields: Any) -> dict[str, Any]:
    """Return the response, which is a good one."""
    reply = await post(gateway, mode, **fields)
    if reply.status != 200:
        raise AssertionError(reply.body)
    return of_openais_form(reply.json)


async def post(gateway: Gateway, mode: str | None = None, **fields: Any) -> Reply:
    return await gateway.post(PATH, asking(mode, **fields))


async def stream(gateway: Gateway, mode: str | None = None, **fields: Any) -> Events:
    """Return a stream's events, each of OpenAI's type and in OpenAI's order."""
    clock = asyncio.get_running_loop().time
    started, comments, events, at = clock(), [], [], []
    body = asking(mode, stream=True, **fields)
    async with gateway.session.post(gateway.url + PATH, json=body) as response:
        if response.status != 200:
            raise AssertionError(await response.text())
        async for frame in sse.frames(response.content.iter_any()):
            gateway.is_as_described("POST", PATH, response, frame)
            if frame.startswith(b":"):
                comments.append(frame.decode().strip(": \n"))
                continue
            name, _, data = frame.decode().partition("\n")
            event = json.loads(sse.data_of(data.encode()))
            if name != f"event: {event['type']}":
                raise AssertionError(f"{name} names another event than {event['type']}")
            events.append(event)
            at.append(clock() - started)
    check_events(events)
    return Events(
        headers=response.headers, comments=tuple(comments), events=tuple(events), at=tuple(at)
    )


def of_openais_form(body: dict[str, Any]) -> dict[str, Any]:
    """Return the body, which is a Response strictly and holds nothing of its own but `revision`."""
    check_extras(Response.model_validate(body, strict=True))
    return body


def check_events(events: Iterable[dict[str, Any]]) -> None:
    """Check each event's type and number, and that what is done was begun."""
    open_items: dict[str, int] = {}
    for number, event in enumerate(events):
        check_extras(EVENT.validate_python(event, strict=True))
        if event["sequence_number"] != number:
            raise AssertionError(f"event {number} is numbered {event['sequence_number']}")
        if event["type"] == "response.output_item.added":
            open_items[event["item"]["id"]] = event["output_index"]
        elif event["type"] == "response.output_item.done":
            if open_items.pop(event["item"]["id"]) != event["output_index"]:
                raise AssertionError("an item changed its place")
        elif "item_id" in event and open_items[event["item_id"]] != event["output_index"]:
            raise AssertionError(f"{event['type']} is about another item")
    if open_items and events[-1]["type"] != "response.failed":
        raise AssertionError("an item is not done")


def check_extras(value: object) -> None:
    """Check that OpenAI's types name every key, but for our extension."""
    if isinstance(value, BaseModel):
        if extra := set(value.model_extra or {}) - {"revision"}:
            raise AssertionError(f"{type(value).__name__} has {extra}")
        for _, inner in value:
            check_extras(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            check_extras(inner)


def without_ids(value: Any) -> Any:
    """Return the value without what differs from request to request."""
    if isinstance(value, dict):
        fleeting = {"id", "item_id", "created_at", "completed_at", "call_id"}
        return {key: without_ids(one) for key, one in value.items() if key not in fleeting}
    return [without_ids(one) for one in value] if isinstance(value, list) else value
