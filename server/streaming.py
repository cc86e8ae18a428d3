"""A reviewed answer as a stream: a fold over the loop's events.

No word of the answer leaves before it is accepted. Until then the client gets the role chunk at
once and comments that name the stage; then the answer, whole, in chunks without any delay.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing

from starlette.requests import Request

from models.messages import Json
from revision.calls import total_usage
from revision.events import Drafted, DraftPiece, Event, StageBegan, Stopped
from server import status_line
from server.citations import annotations
from server.departure import or_gone
from server.event_stream import EventStream, comment, frame, pieces, to_the_end
from server.exposed import Exposed, under_both_names
from server.feed import Feed
from server.job import Job, Opening
from server.replies import answer_of, extension, usage_body
from server.schemas import ChatRequest
from server.stages import Stages, told

GRACE_S = 0.5
"""How long the first byte waits for a failure that deserves a real HTTP status: a refusal at the
door, or a model server that is down. A request that is still in the queue then waits there on."""

QUEUED = "queue"
"""What a stream is told while its request waits to be let in."""


async def stream_review(
    request: Request,
    body: ChatRequest,
    opening: Opening,
    opened: Callable[[], Awaitable[Job]],
    *,
    ping_s: float,
) -> EventStream:
    """Return the streamed response; `opened` returns the job once the request is let in.

    Raises:
        ApiError: the request is not let in, and that was known at once; or its client left.
        ModelError, RevisionError: there is no draft, and that was known at once.

    """
    feed = Feed(_events(opened))
    try:
        await or_gone(request, feed.settle(_is_result, grace_s=GRACE_S))
    except BaseException:
        await feed.close()
        raise
    usage = body.stream_options is not None and body.stream_options.include_usage
    chunks = Chunks(opening, include_usage=usage, tells_status="status" in body.revision.include)
    return EventStream(
        to_the_end(_frames(feed, chunks, ping_s), before_failure=chunks.last_status),
        close=feed.close,
        headers={"x-revision-id": opening.revision_id},
    )


async def _events(opened: Callable[[], Awaitable[Job]]) -> AsyncGenerator[Job | Event, None]:
    """Yield the job once it is let in, then its events."""
    job = await opened()
    yield job
    async with aclosing(job.events()) as events:
        async for event in events:
            yield event


async def _frames(
    feed: Feed[Job | Event], chunks: "Chunks", ping_s: float
) -> AsyncGenerator[bytes, None]:
    yield chunks.delta({"role": "assistant", "content": ""})
    items = feed.items(patience=lambda: ping_s)
    async with aclosing(items):
        while not isinstance(job := await anext(items), Job):
            yield comment(QUEUED)
        async with aclosing(_fold(job, _events_in(items), chunks)) as frames:
            async for piece in frames:
                yield piece


async def _events_in(items: AsyncIterator[Job | Event | None]) -> AsyncIterator[Event | None]:
    async for item in items:
        if not isinstance(item, Job):
            yield item


async def _fold(
    job: Job, items: AsyncIterator[Event | None], chunks: "Chunks"
) -> AsyncGenerator[bytes, None]:
    seen: list[Event] = []
    stages, shown = Stages(), Exposed()
    async for event in items:
        if event is not None:
            stages.see(event)
        match event:
            case None:
                yield comment(str(stages))
            case StageBegan():
                seen.append(event)
                yield comment(told(event))
                for piece in chunks.status(status_line.begun(event)):
                    yield piece
            case DraftPiece():
                if text := shown.add(event.delta):
                    yield chunks.delta(under_both_names(text))
            case Stopped():
                job.first_token()
                for piece in chunks.answer(job, event, seen):
                    yield piece
            case _:
                seen.append(event)


class Chunks:
    """The chunks of one stream: one id, one creation time, one model."""

    def __init__(self, opening: Opening, *, include_usage: bool, tells_status: bool) -> None:
        self._opening = opening
        self._include_usage = include_usage
        self._tells_status = tells_status
        self._status_goes_on = False

    def answer(self, job: Job, stopped: Stopped, seen: list[Event]) -> Iterator[bytes]:
        """Yield the answer, the closing chunk with the extension, and the usage if asked for."""
        review = stopped.review
        answer = answer_of(job, review)
        yield from self.status(status_line.ended(review), done=True)
        for piece in pieces(answer.text):
            yield self.delta({"content": piece})
        for piece in pieces(answer.refusal):
            yield self.delta({"refusal": piece})
        if answer.tool_calls:
            calls: list[Json] = [
                {"index": number, **call} if isinstance(call, dict) else call
                for number, call in enumerate(answer.tool_calls)
            ]
            yield self.delta({"tool_calls": calls})
        if cited := annotations(job, review, answer, seen):
            yield self.delta({"annotations": cited})
        yield self.delta(
            {},
            finish=answer.finish_reason,
            extra={"revision": extension(job, review, seen)},
        )
        if self._include_usage:
            usage = usage_body(total_usage(job.calls.records))
            yield self._without_choices({"usage": usage})

    def status(self, description: str, *, done: bool = False) -> Iterator[bytes]:
        """Yield a chunk without choices that tells how far it is, if that was asked for."""
        if self._tells_status:
            self._status_goes_on = not done
            yield self._without_choices({"event": status_line.event(description, done=done)})

    def last_status(self) -> Iterator[bytes]:
        """Yield what ends the status line of an answer that breaks off."""
        if self._status_goes_on:
            yield from self.status(status_line.BROKEN_OFF, done=True)

    def delta(
        self,
        delta: dict[str, Json],
        *,
        finish: str | None = None,
        extra: dict[str, Json] | None = None,
    ) -> bytes:
        """Return one chunk."""
        choice: dict[str, Json] = {
            "index": 0,
            "delta": delta,
            "logprobs": None,
            "finish_reason": finish,
        }
        return frame({**self._head(), "choices": [choice], **self._no_usage(), **(extra or {})})

    def _without_choices(self, extra: dict[str, Json]) -> bytes:
        return frame({**self._head(), "choices": [], **self._no_usage(), **extra})

    def _no_usage(self) -> dict[str, Json]:
        """Return what every chunk but the last says of the usage, once that is asked for."""
        return {"usage": None} if self._include_usage else {}

    def _head(self) -> dict[str, Json]:
        return {
            "id": self._opening.id,
            "object": "chat.completion.chunk",
            "created": self._opening.created,
            "model": self._opening.model,
            "system_fingerprint": self._opening.fingerprint,
        }


def _is_result(event: Job | Event) -> bool:
    return isinstance(event, Drafted | DraftPiece | Stopped)
