"""`/healthz`, `/readyz`, `/metrics`, `/version`: for those who run the gateway; no key needed.

Load balancers probe with HEAD as often as with GET, so both are served.
"""

from fastapi import APIRouter, Depends
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import PlainTextResponse, Response

from models.errors import ModelError
from models.messages import Json
from revision.prompts import fingerprint
from server.access import OPEN
from server.errors import NotReady
from server.json_response import JsonResponse
from server.routes.wiring import Wired
from server.version import package_version

router = APIRouter(dependencies=[Depends(OPEN)])


@router.api_route(
    "/health", methods=["GET", "HEAD"], include_in_schema=False
)  # as vLLM's is called
@router.head("/healthz", include_in_schema=False)
@router.get("/healthz", response_model=None)
async def healthz() -> Response:
    """Say that the process lives; touches nothing else."""
    return PlainTextResponse("ok")


@router.head("/readyz", include_in_schema=False)
@router.get("/readyz", response_model=None)
async def readyz(services: Wired) -> Response:
    """Say whether a reviewed answer can be had now, and if not, why."""
    problems: dict[str, Json] = {}
    ready = True
    try:
        await services.shelf.retriever()
    except NotReady as error:
        problems["principles"] = error.message
        ready = False
    else:
        if (refused := services.shelf.problem) is not None:
            problems["principles"] = f"a changed library is not in use: {refused}"
    if services.admission.closed:
        problems["stopping"] = "the gateway is being stopped"
        ready = False
    try:
        await services.catalog.check()
    except ModelError as error:
        problems["upstream"] = str(error)
        ready = False
    if replicas := services.upstream.replicas.problems():
        problems["replicas"] = "; ".join(replicas)
    if (failed := services.judges.problem) is not None:
        problems["judge"] = failed
    body: dict[str, Json] = {"ready": ready, "problems": problems}
    return JsonResponse(body, status_code=200 if ready else 503)


@router.head("/metrics", include_in_schema=False)
@router.get("/metrics", response_model=None)
async def metrics(services: Wired) -> Response:
    """Show the metrics in Prometheus' text form."""
    return Response(generate_latest(services.metrics.registry), media_type=CONTENT_TYPE_LATEST)


@router.head("/version", include_in_schema=False)
@router.get("/version", response_model=None)
async def version(services: Wired) -> Response:
    """Show what this gateway is made of."""
    return JsonResponse(
        {
            "version": package_version(),
            "prompts": fingerprint(),
            "demo": services.settings.is_demo,
        }
    )
