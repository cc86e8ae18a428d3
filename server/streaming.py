"""A reviewed answer as a stream: a fold over the loop's events.

No word of the answer leaves before it is accepted. Until then the client gets the role chunk at
once and comments that name the stage; then the answer, whole, in chunks without any delay.
"""

from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing

from models.messages import Json
from revision.calls import total_usage
from revision.events import Drafted, DraftPiece, Event, StageBegan, Stopped
from server import status_line
from server.citations import annotations
from server.event_stream import EventStream, comment, frame, pieces, to_the_end
from server.exposed import Exposed, under_both_names
from server.feed import Feed
from server.job import Job
from server.replies import answer_of, extension, usage_body
from server.stages import Stages, told

GRACE_S = 0.5
"""How long the first byte waits for a failure that deserves a real HTTP status."""


async def stream_review(job: Job, *, include_usage: bool) -> EventStream:
    """Return the streamed response.

    Raises:
        ModelError, RevisionError: there is no draft, and that was known at once.

    """
    feed = Feed(job.events())
    try:
        await feed.settle(_is_result, grace_s=GRACE_S)
    except BaseException:
        await feed.close()
        raise
    chunks = Chunks(job, include_usage=include_usage)
    return EventStream(
        to_the_end(_frames(job, feed, chunks), before_failure=chunks.last_status),
        close=feed.close,
        headers={"x-revision-id": job.revision_id},
    )


async def _frames(job: Job, feed: Feed[Event], chunks: "Chunks") -> AsyncGenerator[bytes, None]:
    yield chunks.delta({"role": "assistant", "content": ""})
    async with aclosing(_fold(job, feed, chunks)) as frames:
        async for piece in frames:
            yield piece


async def _fold(job: Job, feed: Feed[Event], chunks: "Chunks") -> AsyncGenerator[bytes, None]:
    seen: list[Event] = []
    stages, shown = Stages(), Exposed()
    async for event in feed.items(patience=lambda: job.ping_s):
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
                for piece in chunks.answer(event, seen):
                    yield piece
            case _:
                seen.append(event)


class Chunks:
    """The chunks of one stream: one id, one creation time, one model."""

    def __init__(self, job: Job, *, include_usage: bool) -> None:
        self._job = job
        self._include_usage = include_usage
        self._status_goes_on = False

    def answer(self, stopped: Stopped, seen: list[Event]) -> Iterator[bytes]:
        """Yield the answer, the closing chunk with the extension, and the usage if asked for."""
        review = stopped.review
        answer = answer_of(self._job, review)
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
        if cited := annotations(self._job, review, answer, seen):
            yield self.delta({"annotations": cited})
        yield self.delta(
            {},
            finish=answer.finish_reason,
            extra={"revision": extension(self._job, review, seen)},
        )
        if self._include_usage:
            usage = usage_body(total_usage(self._job.calls.records))
            yield self._without_choices({"usage": usage})

    def status(self, description: str, *, done: bool = False) -> Iterator[bytes]:
        """Yield a chunk without choices that tells how far it is, if that was asked for."""
        if self._job.tells_status:
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
            "id": self._job.id,
            "object": "chat.completion.chunk",
            "created": self._job.created,
            "model": self._job.model,
            "system_fingerprint": self._job.fingerprint,
        }


def _is_result(event: Event) -> bool:
    return isinstance(event, Drafted | DraftPiece | Stopped)
