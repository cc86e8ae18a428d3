"""`GET /docs`: the document to read and to try, without a word to any other server.

The page's script comes with an installed package instead of from a network of a stranger's: a
script on this origin can read what a patient writes on it. The page may load and call nothing
but this server, which the header below makes the browser see to. It needs no key: the document is
the same for everybody, and who tries it fills in a key there.
"""

from functools import cache
from importlib import resources

from fastapi import APIRouter, Depends, HTTPException, Request
from starlette.responses import HTMLResponse, Response

from server.access import OPEN
from server.json_response import JsonResponse

router = APIRouter(include_in_schema=False, dependencies=[Depends(OPEN)])

POLICY = (
    "default-src 'none'; "
    "script-src 'self'; "
    "style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; "
    "connect-src 'self'; "
    "base-uri 'none'; "
    "form-action 'none'; "
    "frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
PACKAGED = {"swagger-ui-bundle.js": "text/javascript", "swagger-ui.css": "text/css"}

PAGE = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>clinalign-serve</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="{root}/docs/swagger-ui.css">
<div id="page"></div>
<noscript>Without JavaScript there is <a href="{root}/openapi.json">the document</a>.</noscript>
<script src="{root}/docs/swagger-ui-bundle.js"></script>
<script src="{root}/docs/start.js" data-document="{root}/openapi.json"></script>
"""
START = """\
SwaggerUIBundle({
  url: document.currentScript.dataset.document,
  dom_id: "#page",
  deepLinking: true,
  validatorUrl: null,
});
"""


@router.get("/openapi.json", response_model=None)
async def openapi(request: Request) -> Response:
    """Return the document."""
    return JsonResponse(request.app.openapi())


@router.get("/docs", response_model=None)
async def docs(request: Request) -> Response:
    """Show the page."""
    return HTMLResponse(PAGE.format(root=request.scope.get("root_path", "")), headers=HEADERS)


@router.get("/docs/start.js", response_model=None)
async def start() -> Response:
    """Return the script that starts the page."""
    return Response(START, media_type="text/javascript", headers=HEADERS)


@router.get("/docs/{file}", response_model=None)
async def packaged(file: str) -> Response:
    """Return a file of the page's package."""
    if file not in PACKAGED:
        raise HTTPException(404)
    return Response(_packaged(file), media_type=PACKAGED[file], headers=HEADERS)


@cache
def _packaged(name: str) -> bytes:
    return (resources.files("fastapi_offline") / "static" / name).read_bytes()
