"""Text completions and embeddings, passed through to an upstream that has them.

Nothing is reviewed, and the header says so. What an upstream does not have is our 404: a client
that looks for the route learns the truth, not that the gateway is broken.
"""

from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from models import sse
from models.errors import ModelError, ModelRejected, ModelUnavailable
from models.messages import Call, Json
from server.admission import Ticket
from server.admitted import opened
from server.deadline import limits
from server.departure import or_gone
from server.entry import enter
from server.errors import ApiError
from server.event_stream import EventStream, comment, frame, to_the_end
from server.feed import Feed
from server.job import in_time
from server.json_response import JsonResponse
from server.plain_replies import TextReply, VectorReply
from server.plain_requests import CompletionRequest, EmbeddingRequest
from server.schemas import RevisionOptions
from server.services import Services

GRACE_S = 2.0
"""How long the first byte waits for a failure that deserves a real HTTP status."""

HEADERS = {"x-revision-status": "off"}

_NO_ROUTE = frozenset({404, 405, 501})


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """One request on its way. `step` names the call and what is waited for."""

    services: Services
    path: str
    body: dict[str, Json]
    step: str
    deadline: float
    ticket: Ticket

    async def whole(self, reply: TextReply | VectorReply) -> dict[str, Json]:
        """Return the upstream's whole reply.

        Raises:
            ApiError, ModelError: there is none.

        """
        upstream = self.services.upstream
        with self._booked(reply):
            try:
                async with self.ticket.slot(), self.ticket.fuse.waiting():
                    data = await upstream.fetch(self.body, self._call(), path=self.path)
            except ModelRejected as error:
                raise _missing(error, self.path) from None
            return reply.whole(data)

    async def frames(self, reply: TextReply) -> AsyncGenerator[bytes, None]:
        """Yield the upstream's frames as ours.

        Raises:
            ApiError, ModelError: there are none, or no more although a text has not ended.

        """
        upstream = self.services.upstream
        with self._booked(reply):
            try:
                opening = upstream.open(self.body, self._call(), path=self.path)
                async with opened(self.ticket, opening) as answer:
                    async for piece in sse.frames(self.ticket.fuse.each(answer.body)):
                        if (data := sse.data_of(piece)) == sse.DONE:
                            break
                        if data and (chunk := reply.chunk(data)) is not None:
                            yield frame(chunk)
            except ModelRejected as error:
                raise _missing(error, self.path) from None
            except ModelError:
                if not reply.complete:
                    raise
            if not reply.complete:
                raise ModelUnavailable("the model server's stream ended before the reply did")

    def _call(self) -> Call:
        salt = self.services.cache_salt(self.ticket.tenant)
        return Call(step=self.step, messages=(), deadline=self.deadline, salt=salt)

    @contextmanager
    def _booked(self, reply: TextReply | VectorReply) -> Iterator[None]:
        """Count what the reply costs, however it ends, as far as the upstream says."""
        failed: str | None = None
        try:
            yield
        except (ModelError, ApiError) as error:
            failed = type(error).__name__
            raise
        finally:
            self.ticket.spent += reply.usage.total_tokens
            self.services.metrics.spent_on(self.step, reply.usage, failed)


async def pass_through(
    services: Services,
    request: Request,
    body: CompletionRequest | EmbeddingRequest,
    step: str,
) -> Response:
    """Return the upstream's reply, streamed or whole; `step` is the route's last part.

    Raises:
        ApiError, ModelError: there is none.

    """
    stream = isinstance(body, CompletionRequest) and bool(body.stream)
    within = limits(services.settings, RevisionOptions(), request.headers, stream=stream)
    choice = await in_time(services.catalog.resolve(body.model), within.deadline)
    ticket = await enter(services, request, within.review_by)
    passage = Passage(
        services=services,
        path=f"/{step}",
        body=body.to_upstream(choice.model),
        step=step,
        deadline=within.deadline,
        ticket=ticket,
    )
    if isinstance(body, EmbeddingRequest):
        return JsonResponse(
            await or_gone(request, passage.whole(VectorReply(body))), headers=HEADERS
        )
    reply = TextReply(body)
    if body.stream:
        passage.body["stream_options"] = {"include_usage": True}  # the client's key is charged
    else:
        return JsonResponse(await or_gone(request, passage.whole(reply)), headers=HEADERS)
    feed = Feed(passage.frames(reply))
    try:
        await or_gone(request, feed.settle(lambda _: True, grace_s=min(GRACE_S, within.ping_s)))
    except BaseException:
        await feed.close()
        raise
    told = to_the_end(_told(feed, step, within.ping_s))
    return EventStream(told, close=feed.close, headers=HEADERS)


async def _told(feed: Feed[bytes], step: str, ping_s: float) -> AsyncGenerator[bytes, None]:
    async for piece in feed.items(patience=lambda: ping_s):
        yield comment(step) if piece is None else piece


def _missing(error: ModelRejected, path: str) -> Exception:
    """Return the error to raise: our own 404 where the upstream has no such route."""
    if error.status not in _NO_ROUTE:
        return error
    return ApiError(
        f"the model server behind this gateway has no route /v1{path} for this model; "
        "use /v1/chat/completions or /v1/responses, or ask its operator",
        status=404,
        kind="invalid_request_error",
        code="not_found",
    )
