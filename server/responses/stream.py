"""A chat stream, told again as the events of a response.

The comments that name the stage go on as they came. What fails midway ends in `response.failed`,
for a client of this API knows no bare error frame and waits for no `[DONE]`.
"""

from collections.abc import AsyncIterator, Iterator

import orjson
from fastapi.sse import format_sse_event

from models import sse
from models.errors import MalformedReply
from models.messages import Json
from models.wire import parse
from server.errors import ApiError
from server.event_stream import reported
from server.responses.body import Told
from server.responses.chat_answer import ChatAnswer
from server.responses.parts import Event


async def events(told: Told, chat: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yield the response's events; `chat` is the body of the chat stream."""
    number = _Numbers()
    for kind in ("created", "in_progress"):
        yield number.frame({"type": f"response.{kind}", "response": told.begun()})
    try:
        async for frame in sse.frames(chat):
            data = sse.data_of(frame)
            if data == sse.DONE:
                break
            if not data:
                yield frame
                continue
            for event in told.add(_answer(data)):
                yield number.frame(event)
        for event in _ending(told):
            yield number.frame(event)
    except Exception as error:  # noqa: BLE001  # the last resort of a stream that has begun
        yield number.frame({"type": "response.failed", "response": told.failed(reported(error))})


def whole(told: Told, chat: bytes) -> dict[str, Json]:
    """Return the response that a whole chat completion comes to.

    Raises:
        MalformedReply, ModelUnavailable: it comes to none.

    """
    for _ in (*told.add(_answer(chat)), *told.end()):
        pass  # nobody reads the events of a whole answer
    return told.ended()


def _ending(told: Told) -> Iterator[Event]:
    yield from told.end()
    body = told.ended()
    yield {"type": f"response.{body['status']}", "response": body}


def _answer(data: bytes) -> ChatAnswer:
    """Return the chat answer, or raise the failure that stands in its place.

    Only an error that stands alone is one of ours, whose words may go out.
    """
    answer = parse(ChatAnswer, data)
    if answer.error is None:
        return answer
    if answer.model_fields_set != {"error"}:
        raise MalformedReply("the model server reported an error inside its answer")
    told = {name: str(value) for name, value in answer.error.items() if value is not None}
    raise ApiError(
        told.get("message", "the answer failed"),
        status=502,
        kind=told.get("type", "server_error"),
        code=told.get("code"),
        param=told.get("param"),
    )


class _Numbers:
    """Numbers the events of one stream."""

    def __init__(self) -> None:
        self._next = 0

    def frame(self, event: Event) -> bytes:
        """Return the event's frame."""
        numbered = {**event, "sequence_number": self._next}
        self._next += 1
        return format_sse_event(event=str(event["type"]), data_str=orjson.dumps(numbered).decode())
