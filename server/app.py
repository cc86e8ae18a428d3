"""The application: everything that is wired, in one place."""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from models import embedded
from models.errors import EmbedderError, ModelError
from retrieval.errors import RetrievalError
from revision.errors import RevisionError
from server.access import answer_error, check_rules
from server.door import Door
from server.errors import ApiError, NotReady
from server.known_answers import watching
from server.log import quiet_loop
from server.metrics import Metrics
from server.middleware import RequestScope
from server.openapi.document import document
from server.routes import (
    chat,
    critiques,
    docs,
    health,
    models,
    passthrough,
    principles,
    responses,
)
from server.services import Services, open_services
from server.settings import Settings
from server.version import package_version

log = logging.getLogger("clinalign")

PARTS = (chat, responses, passthrough, critiques, models, principles, health, docs)
"""Everything that is served, in the order of its documentation."""


def create_app(settings: Settings, services: Services | None = None) -> "Gateway":
    """Return the application. Services that are handed in stay their giver's to close."""
    metrics = services.metrics if services else Metrics()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[Mapping[str, Services]]:
        if services is not None:
            metrics.observe(services.admission, services.upstream.replicas)
            metrics.watch_keys(services.ring, services.rates.counts)
            yield {"services": services}
            return
        asyncio.get_running_loop().set_exception_handler(quiet_loop)
        async with open_services(settings, metrics) as opened:
            await _tell(opened)
            app.services = opened
            metrics.observe(opened.admission, opened.upstream.replicas)
            metrics.watch_keys(opened.ring, opened.rates.counts)
            async with watching(opened):
                yield {"services": opened}

    app = Gateway(
        metrics,
        Door(settings),
        title="clinalign-serve",
        version=package_version(),
        openapi_url=None,  # server.routes.docs has it, with a rule like every other route
        docs_url=None,  # FastAPI's pages load scripts from other servers; server.routes.docs
        redoc_url=None,
        lifespan=lifespan,
        redirect_slashes=False,  # a redirect is built from Host, and takes the body with it
        max_body_size=settings.max_body_bytes,
    )
    for kind in (
        ApiError,
        ModelError,
        RevisionError,
        RetrievalError,
        EmbedderError,
        RequestValidationError,
        HTTPException,
        Exception,
    ):
        app.add_exception_handler(kind, answer_error)
    for part in PARTS:
        check_rules(part.router.routes)
        app.include_router(part.router)
    return app


class Gateway(FastAPI):
    """FastAPI with our own layer around all of its, so that no answer escapes it."""

    services: Services | None = None
    """What the application has opened itself, once it is up."""

    def __init__(self, metrics: Metrics, door: Door, **options: Any) -> None:  # noqa: ANN401  # FastAPI's own
        super().__init__(**options)
        self._metrics = metrics
        self._door = door

    def openapi(self) -> dict[str, Any]:
        """Return the OpenAPI document."""
        if self.openapi_schema is None:
            routes = [route for part in PARTS for route in part.router.routes]
            self.openapi_schema = document(routes, title=self.title, version=self.version)
        return self.openapi_schema

    def build_middleware_stack(self) -> ASGIApp:
        """Return the application as the server calls it."""
        stack = super().build_middleware_stack()
        return RequestScope(stack, metrics=self._metrics, door=self._door)


async def _tell(services: Services) -> None:
    """Log what serves, and what keeps it from serving."""
    try:
        await services.shelf.retriever()
    except NotReady as error:
        log.error("%s", error.message)  # noqa: TRY400  # the message says all
    try:
        names = ", ".join(card.id for card in await services.catalog.cards())
    except ModelError as error:
        log.error("upstream: %s; waiting for it to come up", error)  # noqa: TRY400  # likewise
    else:
        log.info("models: %s", names)
    settings = services.settings
    scheme = "https" if settings.tls_cert else "http"
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    log.info("serving %s://%s:%s/v1", scheme, host, settings.port)
    if services.ring.is_on:
        log.info("keys are asked for: %d known", len(services.ring.keys))
    if settings.is_demo:
        log.warning("%s", embedded.WARNING)
