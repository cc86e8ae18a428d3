"""`GET /v1/models` and `GET /v1/models/{id}`."""

from fastapi import APIRouter, Depends
from starlette.responses import Response

from models.messages import Json
from server.access import ANY_KEY
from server.catalog import Listed
from server.errors import UnknownModel
from server.json_response import JsonResponse
from server.routes.wiring import Wired
from server.version import PACKAGE

router = APIRouter(dependencies=[Depends(ANY_KEY)])


@router.head("/v1/models", include_in_schema=False)
@router.get("/v1/models", response_model=None)
async def list_models(services: Wired) -> Response:
    """List the ids that a request may name."""
    data: list[Json] = [_card(listed) for listed in await services.catalog.listed()]
    return JsonResponse({"object": "list", "data": data})


@router.head("/v1/models/{model_id:path}", include_in_schema=False)
@router.get("/v1/models/{model_id:path}", response_model=None)
async def show_model(model_id: str, services: Wired) -> Response:
    """Show one of them."""
    for listed in await services.catalog.listed():
        if listed.id == model_id:
            return JsonResponse(_card(listed))
    raise UnknownModel


def _card(listed: Listed) -> dict[str, Json]:
    return {
        "id": listed.id,
        "object": "model",
        "created": 0,
        "owned_by": PACKAGE,
        "root": listed.choice.model,
        "mode": listed.choice.mode,
        "max_model_len": listed.context,
        "context_length": listed.context,
    }
