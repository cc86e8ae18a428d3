"""`GET /v1/principles`, `GET /v1/principles/{id}`, `POST /v1/principles/search`."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from pydantic import Field
from starlette.responses import Response

from models.messages import Json
from retrieval.principles import Principle
from server.access import ANY_KEY
from server.errors import ApiError
from server.json_response import JsonResponse
from server.routes.wiring import Wired
from server.schemas import read_form
from server.wire_fields import Closed, null_is

router = APIRouter(dependencies=[Depends(ANY_KEY)])


class Search(Closed):
    """A search for principles."""

    query: Annotated[str, Field(min_length=1, max_length=20_000)]
    k: Annotated[int, Field(ge=1, le=100, strict=True), null_is(default=8)] = 8


@router.get("/v1/principles", response_model=None)
async def list_principles(services: Wired) -> Response:
    """List all principles."""
    retriever = await services.shelf.retriever()
    data: list[Json] = [principle_body(known) for known in retriever.library]
    return JsonResponse({"object": "list", "data": data})


@router.post("/v1/principles/search", response_model=None)
async def search_principles(request: Request, services: Wired) -> Response:
    """Find the principles nearest to a text, best first."""
    body = await read_form(request, Search)
    retriever = await services.shelf.retriever()
    hits = await asyncio.to_thread(retriever.search, body.query, limit=body.k)
    data: list[Json] = [
        {**principle_body(hit.principle), "score": round(hit.score, 4)} for hit in hits
    ]
    return JsonResponse({"object": "list", "data": data})


@router.get("/v1/principles/{principle_id}", response_model=None)
async def show_principle(principle_id: str, services: Wired) -> Response:
    """Show one principle."""
    retriever = await services.shelf.retriever()
    principle = retriever.library.find(principle_id)
    if principle is None:
        raise ApiError(
            "there is no such principle; GET /v1/principles lists those there are",
            status=404,
            kind="invalid_request_error",
            param="id",
            code="principle_not_found",
        )
    return JsonResponse(principle_body(principle))


def principle_body(principle: Principle) -> dict[str, Json]:
    """Return a principle in the form of the library's file."""
    return {
        "id": principle.id,
        "object": "principle",
        "title": principle.title,
        "text": principle.text,
        "dimensions": {name: list(values) for name, values in principle.dimensions.items()},
        "criteria": [
            {
                "criterion": check.criterion,
                "points": check.points,
                "kind": check.kind,
                "critical": check.critical,
            }
            for check in principle.criteria
        ],
        "sources": [{"label": source.label, "url": source.url} for source in principle.sources],
        "always": principle.always,
    }
