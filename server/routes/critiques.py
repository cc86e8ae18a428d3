"""`POST /v1/critiques` and `POST /v1/revisions`: review of an answer that the caller has.

The options of a chat completion say how a revision is written: its length, form and seed. What
would mean another kind of reply is refused rather than ignored.
"""

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from revision.revise import TOOL_OPTIONS
from server.access import check_mode, needs
from server.deadline import limits
from server.departure import or_gone
from server.entry import enter
from server.errors import InvalidRequest
from server.job import Plan, in_time, mode_of, open_job, run
from server.json_response import JsonResponse
from server.replies import revision_body
from server.routes.wiring import Wired
from server.schemas import AnswerRequest, ChatRequest, WantedRequest, read_body
from server.services import Services

REFUSED_HERE = (
    *("stream", "stream_options", "n", "logprobs", "top_logprobs"),
    *sorted(TOOL_OPTIONS),
)

router = APIRouter(dependencies=[Depends(needs("critique"))])


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
    wanted = _checked(await read_body(request, WantedRequest))
    within = limits(services.settings, body.revision, request.headers)
    choice = await in_time(services.catalog.resolve(body.model), within.deadline)
    mode = mode_of(services, body, choice)
    if mode == "draft":
        raise InvalidRequest("the mode draft reviews nothing; name another", param="revision.mode")
    check_mode(request, mode)
    ticket = await enter(services, request, within.review_by)
    plan = Plan(choice=choice, mode=mode)
    job = await open_job(
        services, body, plan, within=within, rounds=rounds, wanted=wanted, ticket=ticket
    )
    request.state.revision_id = job.revision_id  # from here on errors carry it too
    review, events = await or_gone(request, run(job))
    headers = {"x-revision-id": job.revision_id, "x-revision-status": review.status}
    return JsonResponse(revision_body(kind, job, review, events), headers=headers)


def _checked(body: ChatRequest) -> ChatRequest:
    """Return the options of a revision.

    Raises:
        InvalidRequest: they ask for what these routes do not do.

    """
    sent = body.model_dump(mode="json", exclude_unset=True)
    for name in REFUSED_HERE:
        if sent.get(name) not in (None, False, 0, []) and not (name == "n" and sent[name] == 1):
            raise InvalidRequest(
                f"{name} means nothing to a review of an answer; leave it out",
                param=name,
                code="unsupported_parameter",
            )
    for number, thing in enumerate(body.revision.include):
        if thing != "trace":
            raise InvalidRequest(
                "revision.include may name only trace here; status and citations are for chats",
                param=f"revision.include.{number}",
                code="unsupported_parameter",
            )
    return body
