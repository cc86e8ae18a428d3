"""The mode `draft`: the upstream's own answer, relayed as it comes and reviewed by nobody.

It goes out under this gateway's id and the model's id that was asked for, in OpenAI's form and
with nothing of the engine's own (docs/adr/0012): what a client of the reviewed modes may rely on
holds here too.
"""

import secrets
import time
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from models import sse
from models.errors import ModelError, ModelUnavailable
from models.messages import Call, Json, Usage, merge_system
from revision.calls import CallRecord
from server.departure import or_gone
from server.draft_chunks import Chunk, read
from server.draft_stream import DraftStream, whole_body
from server.event_stream import DONE, EventStream, comment, failure
from server.feed import Feed
from server.job import Plan
from server.json_response import JsonResponse
from server.replies import off_extension
from server.schemas import ChatRequest
from server.services import Services
from server.version import system_fingerprint

GRACE_S = 2.0
"""How long the first byte waits for a failure that deserves a real HTTP status. There is nothing
to show before the upstream begins, so it may be longer than where a role can be told at once."""

CLOSE_S = 0.25
"""How long the end of a choice waits for the usage that follows it."""

STAGE = "draft"


@dataclass(frozen=True, slots=True, kw_only=True)
class Relay:
    """One relayed request. `created` in Unix seconds, `started` by the performance counter."""

    services: Services
    body: ChatRequest
    plan: Plan
    call: Call
    revision_id: str
    created: int
    started: float

    def head(self, kind: str) -> dict[str, Json]:
        """Return what the answer, or every chunk of it, begins with."""
        demo = self.services.settings.is_demo
        return {
            "id": f"chatcmpl-{secrets.token_hex(14)}",
            "object": kind,
            "created": self.created,
            "model": self.body.model,
            "system_fingerprint": system_fingerprint(self.plan.choice.model, "", demo=demo),
        }

    async def whole(self) -> Chunk:
        """Return the upstream's whole answer."""
        writer = self.services.writer(self.plan.choice.model)
        async with writer.relay(self._payload(), self.call) as relayed:
            data = b"".join([piece async for piece in relayed.body])
        return read(data, "message", choices=self._choices)

    async def chunks(self) -> AsyncGenerator[Chunk, None]:
        """Yield the upstream's chunks as they come."""
        writer = self.services.writer(self.plan.choice.model)
        begun = False
        async with writer.relay(self._payload(), self.call) as relayed:
            async for piece in sse.frames(relayed.body):
                if (data := sse.data_of(piece)) == sse.DONE:
                    break
                if data:
                    yield read(data, "delta", choices=self._choices)
                    begun = True
        if not begun:
            raise ModelUnavailable("the model server's stream ended before the reply did")

    def off(self, usage: Usage | None) -> dict[str, Json]:
        """Return the extension that says that nobody has reviewed this, and what it has cost."""
        return off_extension(self.revision_id, self.plan.mode, self.plan.reason, usage)

    def count(self) -> None:
        """Count the answer among the reviews, as one that was none."""
        self.services.metrics.reviews.labels(self.plan.mode, "off", self.plan.reason).inc()

    def book(self, usage: Usage | None, error: Exception | None = None) -> None:
        """Count what the answer has cost, as far as the upstream said."""
        known = error.spent if isinstance(error, ModelError) else None
        record = CallRecord(
            step="draft",
            seconds=time.perf_counter() - self.started,
            usage=usage or known or Usage(),
            error=type(error).__name__ if error else None,
        )
        self.services.metrics.spent([record])

    @property
    def _choices(self) -> int:
        return self.body.n or 1

    def _payload(self) -> dict[str, Json]:
        body = self.body
        sent: dict[str, Json] = body.model_dump(
            mode="json", exclude_unset=True, exclude={"revision"}
        )
        sent["messages"] = [turn.to_wire() for turn in merge_system(body.turns())]
        if body.answer_length() is None and self.services.answer_max_tokens is not None:
            sent["max_tokens"] = self.services.answer_max_tokens
        if body.stream:  # the extension tells the usage, whoever else wants it
            sent["stream_options"] = {"include_usage": True}
        return sent


async def relay(
    services: Services, request: Request, body: ChatRequest, plan: Plan, deadline: float
) -> Response:
    """Return the upstream's answer, streamed or whole.

    Raises:
        ModelError: the upstream gave none.

    """
    revision_id = f"rev_{secrets.token_hex(16)}"
    request.state.revision_id = revision_id  # from here on errors carry it too
    job = Relay(
        services=services,
        body=body,
        plan=plan,
        call=Call(step="draft", messages=(), deadline=deadline, affinity=revision_id),
        revision_id=revision_id,
        created=int(time.time()),
        started=time.perf_counter(),
    )
    return await (_stream(job, request) if body.stream else _whole(job, request))


async def _whole(job: Relay, request: Request) -> Response:
    try:
        answer = await or_gone(request, job.whole())
    except ModelError as error:
        job.book(None, error)
        raise
    job.book(answer.usage)
    job.count()
    headers = {"x-revision-id": job.revision_id, "x-revision-status": "off"}
    return JsonResponse(whole_body(job.head("chat.completion"), answer, job.off), headers=headers)


async def _stream(job: Relay, request: Request) -> Response:
    feed = Feed(job.chunks())
    try:
        has_begun = await or_gone(request, feed.settle(lambda _: True, grace_s=GRACE_S))
    except ModelError as error:
        job.book(None, error)
        await feed.close()
        raise
    except BaseException:
        await feed.close()
        raise
    job.count()
    return EventStream(
        _frames(job, feed, has_begun=has_begun),
        close=feed.close,
        headers={"x-revision-id": job.revision_id},
    )


async def _frames(job: Relay, feed: Feed[Chunk], *, has_begun: bool) -> AsyncIterator[bytes]:
    options = job.body.stream_options
    told = DraftStream(
        job.head("chat.completion.chunk"),
        job.off,
        include_usage=options is not None and options.include_usage,
    )
    failed: Exception | None = None
    try:
        if not has_begun:
            yield comment(STAGE)
        async for piece in _told(feed, told, job.services.settings.ping_s):
            yield piece
    except Exception as error:  # noqa: BLE001  # the last resort of a stream that has begun
        failed = error
        yield failure(error)
    finally:
        job.book(told.usage, failed)
    yield DONE


async def _told(feed: Feed[Chunk], told: DraftStream, ping_s: float) -> AsyncGenerator[bytes, None]:
    try:
        async for chunk in feed.items(patience=lambda: CLOSE_S if told.closing else ping_s):
            if chunk is not None:
                pieces = told.tell(chunk)
            elif told.closing:
                pieces = told.close()
            else:
                pieces = iter((comment(STAGE),))
            for piece in pieces:
                yield piece
    except ModelError:
        if not told.complete:
            raise
    for piece in told.end():
        yield piece
