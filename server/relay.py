"""The mode `draft`: the upstream's own answer, relayed as it comes and reviewed by nobody.

It goes out under this gateway's id and the model's id that was asked for, in OpenAI's form and
with nothing of the engine's own (docs/adr/0012): what a client of the reviewed modes may rely on
holds here too.
"""

import secrets
import time
from collections.abc import AsyncGenerator

from starlette.requests import Request
from starlette.responses import Response

from models.errors import ModelError
from models.messages import Call
from server.deadline import Limits
from server.departure import or_gone
from server.draft_call import DraftCall
from server.draft_chunks import Chunk
from server.draft_stream import DraftStream, whole_body
from server.entry import admit, charge
from server.event_stream import EventStream, comment, to_the_end
from server.feed import Feed
from server.job import Plan
from server.json_response import JsonResponse
from server.schemas import ChatRequest
from server.services import Services
from server.tenant import tenant_of

GRACE_S = 2.0
"""How long the first byte waits for a failure that deserves a real HTTP status. There is nothing
to show before the upstream begins, so it may be longer than where a role can be told at once."""

CLOSE_S = 0.25
"""How long the end of a choice waits for the usage that follows it."""

STAGE = "draft"


async def relay(
    services: Services, request: Request, body: ChatRequest, plan: Plan, within: Limits
) -> Response:
    """Return the upstream's answer, streamed or whole.

    Raises:
        ApiError: the request was not let in, or its client left.
        ModelError: the upstream gave none.

    """
    revision_id = f"rev_{secrets.token_hex(16)}"
    request.state.revision_id = revision_id  # from here on errors carry it too
    job = DraftCall(
        services=services,
        body=body,
        plan=plan,
        call=Call(
            step="draft",
            messages=(),
            deadline=within.deadline,
            affinity=revision_id,
            salt=services.cache_salt(tenant_of(request)),
        ),
        revision_id=revision_id,
        created=int(time.time()),
        started=time.perf_counter(),
        admitted=lambda: admit(services, request, within.review_by),
        charge=lambda tokens: charge(request, tokens),
    )
    return await (_stream(job, request, within.ping_s) if body.stream else _whole(job, request))


async def _whole(job: DraftCall, request: Request) -> Response:
    try:
        answer = await or_gone(request, job.whole())
    except ModelError as error:
        job.book(None, error)
        raise
    job.book(answer.usage)
    job.count()
    headers = {"x-revision-id": job.revision_id, "x-revision-status": "off"}
    return JsonResponse(whole_body(job.head("chat.completion"), answer, job.off), headers=headers)


async def _stream(job: DraftCall, request: Request, ping_s: float) -> Response:
    feed = Feed(job.chunks())
    try:
        settled = feed.settle(lambda _: True, grace_s=min(GRACE_S, ping_s))
        has_begun = await or_gone(request, settled)
    except ModelError as error:
        job.book(None, error)
        await feed.close()
        raise
    except BaseException:
        await feed.close()
        raise
    return EventStream(
        to_the_end(_frames(job, feed, ping_s, has_begun=has_begun)),
        close=feed.close,
        headers={"x-revision-id": job.revision_id},
    )


async def _frames(
    job: DraftCall, feed: Feed[Chunk], ping_s: float, *, has_begun: bool
) -> AsyncGenerator[bytes, None]:
    options = job.body.stream_options
    told = DraftStream(
        job.head("chat.completion.chunk"),
        job.off,
        include_usage=options is not None and options.include_usage,
    )
    failed: ModelError | None = None
    try:
        if not has_begun:
            yield comment(STAGE)
        async for piece in _told(feed, told, ping_s):
            yield piece
    except ModelError as error:
        failed = error
        raise
    finally:
        job.book(told.usage, failed)
        if told.complete:
            job.count()


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
