"""`POST /v1/chat/completions`."""

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from server.access import check_mode, needs
from server.deadline import Limits, limits
from server.entry import admit, settle
from server.job import Job, Plan, begin, in_time, open_job, plan_chat, run
from server.json_response import JsonResponse
from server.relay import relay
from server.replies import completion_body
from server.routes.wiring import Wired
from server.schemas import ChatRequest, read_body
from server.services import Services
from server.streaming import stream_review

router = APIRouter(dependencies=[Depends(needs("chat"))])


@router.post("/v1/chat/completions", response_model=None)
async def chat_completions(request: Request, services: Wired) -> Response:
    """Answer a conversation: drafted, critiqued, revised, re-checked."""
    return await answer(request, services, await read_body(request, ChatRequest))


async def answer(request: Request, services: Services, body: ChatRequest) -> Response:
    """Return the answer, an `EventStream` if a stream was asked for, else a `JsonResponse`.

    Raises:
        ApiError, ModelError, RevisionError: there is none.

    """
    within = limits(services.settings, body.revision, request.headers, stream=bool(body.stream))
    plan = await in_time(plan_chat(services, body, request.headers), within.deadline)
    check_mode(request, plan.mode)
    if plan.relayed:
        return await relay(services, request, body, plan, within)
    if not body.stream:
        return await services.repeats.once(
            request, lambda: whole(request, services, body, plan, within)
        )
    opening = await begin(services, body, plan, within.deadline)
    request.state.revision_id = opening.revision_id  # from here on errors carry it too

    async def opened() -> Job:
        ticket = await admit(services, request, within.review_by)
        return await open_job(services, body, plan, within=within, ticket=ticket, opening=opening)

    return await stream_review(request, body, opening, opened, ping_s=within.ping_s)


async def whole(
    request: Request, services: Services, body: ChatRequest, plan: Plan, within: Limits
) -> Response:
    """Return the whole reviewed answer. Whether its client is still there is the caller's care.

    Raises:
        ApiError, ModelError, RevisionError: there is none.

    """
    opening = await begin(services, body, plan, within.deadline)
    request.state.revision_id = opening.revision_id  # from here on errors carry it too
    ticket = await admit(services, request, within.review_by)
    try:
        job = await open_job(services, body, plan, within=within, ticket=ticket, opening=opening)
        review, events = await run(job)
    finally:
        await settle(request)  # a repetition may have outlived the request that began this
    job.first_token()
    headers = {"x-revision-id": job.revision_id, "x-revision-status": review.status}
    return JsonResponse(completion_body(job, review, events), headers=headers)
