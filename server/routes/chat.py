"""`POST /v1/chat/completions`."""

import asyncio

from fastapi import APIRouter, Request
from starlette.responses import Response

from server.entry import admit, enter
from server.job import Plan, open_job, plan_chat, run
from server.json_response import JsonResponse
from server.relay import relay
from server.replies import completion_body
from server.routes.wiring import Wired
from server.schemas import ChatRequest, read_body
from server.services import Services
from server.streaming import stream_review

router = APIRouter()


@router.post("/v1/chat/completions", response_model=None)
async def chat_completions(request: Request, services: Wired) -> Response:
    """Answer a conversation: drafted, critiqued, revised, re-checked."""
    return await answer(request, services, await read_body(request, ChatRequest))


async def answer(request: Request, services: Services, body: ChatRequest) -> Response:
    """Return the answer, an `EventStream` if a stream was asked for, else a `JsonResponse`.

    Raises:
        ApiError, ModelError, RevisionError: there is none.

    """
    plan = await plan_chat(services, body, request.headers)
    if plan.relayed:
        await enter(services, request, body.revision.deadline_ms)
        wished = body.revision.deadline_ms or services.settings.deadline_ms
        deadline = asyncio.get_running_loop().time() + wished / 1000
        return await relay(services, request, body, plan, deadline)
    if not body.stream:
        return await services.repeats.once(request, lambda: whole(request, services, body, plan))
    ticket = await enter(services, request, body.revision.deadline_ms)
    job = await open_job(services, body, plan.choice, plan.mode, ticket=ticket)
    request.state.revision_id = job.revision_id  # from here on errors carry it too
    usage = body.stream_options is not None and body.stream_options.include_usage
    return await stream_review(job, include_usage=usage)


async def whole(request: Request, services: Services, body: ChatRequest, plan: Plan) -> Response:
    """Return the whole reviewed answer. Whether its client is still there is the caller's care.

    Raises:
        ApiError, ModelError, RevisionError: there is none.

    """
    ticket = await admit(services, request, body.revision.deadline_ms)
    job = await open_job(services, body, plan.choice, plan.mode, ticket=ticket)
    request.state.revision_id = job.revision_id  # from here on errors carry it too
    review, events = await run(job)
    job.first_token()
    headers = {"x-revision-id": job.revision_id, "x-revision-status": review.status}
    return JsonResponse(completion_body(job, review, events), headers=headers)
