"""`POST /v1/critiques` and `POST /v1/revisions`: review of an answer that the caller has."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from server.departure import or_gone
from server.errors import InvalidRequest
from server.job import open_job, run
from server.json_response import JsonResponse
from server.replies import revision_body
from server.routes.wiring import Wired
from server.schemas import AnswerRequest, read_body
from server.services import Services

router = APIRouter()


@router.post("/v1/critiques", response_model=None)
async def critiques(request: Request, services: Wired) -> Response:
    """Critique an answer; it comes back as it was."""
    return await _review(request, services, "critique", rounds=0)


@router.post("/v1/revisions", response_model=None)
async def revisions(request: Request, services: Wired) -> Response:
    """Critique an answer and revise it where it falls short."""
    return await _review(request, services, "revision", rounds=None)


async def _review(
    request: Request, services: Services, kind: str, *, rounds: int | None
) -> Response:
    body = await read_body(request, AnswerRequest)
    choice = await services.catalog.resolve(body.model)
    mode = body.revision.mode or choice.mode
    if mode == "draft":
        raise InvalidRequest("the mode draft reviews nothing; name another", param="revision.mode")
    job = await open_job(services, body, choice, mode, rounds=rounds)
    request.state.revision_id = job.revision_id  # from here on errors carry it too
    review, events = await or_gone(request, run(job))
    headers = {"x-revision-id": job.revision_id, "x-revision-status": review.status}
    return JsonResponse(revision_body(kind, job, review, events), headers=headers)
