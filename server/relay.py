"""The mode `draft`: the upstream's own answer, relayed.

Frames go on as the bytes they came as. Only the one that carries the finish reason is opened, to
add the extension that says this answer was not reviewed.
"""

import re
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Mapping

import orjson
from starlette.requests import Request
from starlette.responses import Response

from models import sse
from models.errors import MalformedReply, ModelError, ModelUnavailable
from models.messages import Call, Json, merge_system
from models.openai_chat import Relayed
from server.catalog import Choice
from server.departure import or_gone
from server.errors import api_error
from server.event_stream import DONE, EventStream, comment, frame
from server.feed import Feed
from server.job import Plan
from server.json_response import JsonResponse
from server.replies import off_extension
from server.schemas import ChatRequest
from server.services import Services

_FINISH = re.compile(rb'"finish_reason"\s*:\s*"')
_PING = b""


async def relay(
    services: Services, request: Request, body: ChatRequest, plan: Plan, deadline: float
) -> Response:
    """Return the upstream's answer, streamed or whole.

    Raises:
        ModelError: the upstream gave none.

    """
    revision_id = f"rev_{secrets.token_hex(16)}"
    off = off_extension(revision_id, plan.mode, plan.reason)
    headers = {"x-revision-id": revision_id}
    source = _pieces(
        services,
        body,
        plan.choice,
        Call(step="draft", messages=(), deadline=deadline, affinity=revision_id),
    )
    counter = services.metrics.reviews.labels(plan.mode, "off", plan.reason)
    if not body.stream:
        whole = await or_gone(request, _whole(source, off))
        counter.inc()
        return JsonResponse(whole, headers={**headers, "x-revision-status": "off"})
    feed = Feed(source)
    try:
        await or_gone(request, feed.settle(lambda _: True, grace_s=None))
    except BaseException:
        await feed.close()
        raise
    counter.inc()
    return EventStream(
        _frames(feed, off, services.settings.ping_s), close=feed.close, headers=headers
    )


async def _pieces(
    services: Services, body: ChatRequest, choice: Choice, call: Call
) -> AsyncGenerator[bytes, None]:
    """Yield an empty piece when the upstream has said 200, then its bytes."""
    async with services.writer(choice.model).relay(_payload(services, body), call) as relayed:
        yield b""
        async for piece in _body(relayed, stream=body.stream):
            yield piece


async def _body(relayed: Relayed, *, stream: bool) -> AsyncIterator[bytes]:
    async for piece in sse.frames(relayed.body) if stream else relayed.body:
        yield piece


async def _whole(source: AsyncGenerator[bytes, None], off: Mapping[str, Json]) -> dict[str, Json]:
    try:
        answer: object = orjson.loads(b"".join([piece async for piece in source]))
    except orjson.JSONDecodeError:
        raise MalformedReply("the model server's reply is not JSON") from None
    if not isinstance(answer, dict):
        raise MalformedReply("the model server's reply is not an object")
    return {**answer, "revision": off}


async def _frames(
    feed: Feed[bytes], off: Mapping[str, Json], ping_s: float
) -> AsyncIterator[bytes]:
    finished = False
    try:
        async for piece in feed.items(ping_s=ping_s):
            if piece is None:
                yield comment("waiting")
            elif sse.data_of(piece) == sse.DONE:
                break
            elif _FINISH.search(piece):
                finished = True
                yield _extended(piece, off)
            elif b'"error"' in piece and "choices" not in _opened(piece):
                raise MalformedReply("the model server reported an error inside the stream")
            elif piece:
                yield piece
        if not finished:
            raise ModelUnavailable("the model server's stream ended before the reply did")
    except ModelError as error:
        yield frame(api_error(error).to_wire())
    yield DONE


def _extended(piece: bytes, off: Mapping[str, Json]) -> bytes:
    return frame({**_opened(piece), "revision": off})


def _opened(piece: bytes) -> dict[str, Json]:
    try:
        chunk: object = orjson.loads(sse.data_of(piece))
    except orjson.JSONDecodeError:
        raise MalformedReply("the model server sent a frame that is not JSON") from None
    if not isinstance(chunk, dict):
        raise MalformedReply("the model server sent a frame that is not an object")
    return chunk


def _payload(services: Services, body: ChatRequest) -> dict[str, Json]:
    sent: dict[str, Json] = body.model_dump(mode="json", exclude_unset=True, exclude={"revision"})
    sent["messages"] = [turn.to_wire() for turn in merge_system(body.turns())]
    if body.answer_length() is None and services.answer_max_tokens is not None:
        sent["max_tokens"] = services.answer_max_tokens
    return sent
