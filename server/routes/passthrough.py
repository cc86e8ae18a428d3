"""`POST /v1/completions` and `POST /v1/embeddings`, where the upstream has them."""

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from server.access import check_mode, needs
from server.errors import ApiError
from server.passthrough import pass_through
from server.plain_requests import CompletionRequest, EmbeddingRequest
from server.routes.wiring import Wired
from server.schemas import read_form

router = APIRouter(dependencies=[Depends(needs("chat"))])


@router.post("/v1/completions", response_model=None)
async def completions(request: Request, services: Wired) -> Response:
    """Go on with a text; not reviewed, so refused where the operator wants a review of all."""
    body = await read_form(request, CompletionRequest)
    check_mode(request, "draft")
    if services.settings.minimum_mode != "draft":
        raise ApiError(
            "text completions are not reviewed, and this server gives nothing without a review; "
            "use /v1/chat/completions",
            status=403,
            kind="permission_error",
            code="review_required",
        )
    if body.max_tokens is None and services.answer_max_tokens is not None:
        body = body.model_copy(update={"max_tokens": services.answer_max_tokens})
    return await pass_through(services, request, body, "completions")


@router.post("/v1/embeddings", response_model=None)
async def embeddings(request: Request, services: Wired) -> Response:
    """Return vectors of texts."""
    body = await read_form(request, EmbeddingRequest)
    return await pass_through(services, request, body, "embeddings")
