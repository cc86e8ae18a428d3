"""The gateway under attack, a process of its own: the server's own parts, and a small library.

    python -m tests.attack.gateway PORT UPSTREAM FOLDER

Only the library is the tests' own, so that no embedder has to be loaded first and the memory that
is watched is the server's.
"""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from models.openai_http import OpenAIServer
from server.app import create_app
from server.catalog import Catalog
from server.connection import connections
from server.log import configure
from server.metrics import Metrics
from server.services import Services, open_admission
from server.settings import Settings, load_settings
from server.shelf import Shelf
from tests.fakes.embedder import HashingEmbedder
from tests.fakes.library import open_library

KEY = "sk-attack-the-engine-s-own-key"


def services_of(settings: Settings, folder: Path) -> Services:
    """Return the application's parts; they are opened in its own event loop."""
    library = open_library(folder, HashingEmbedder())
    upstream = OpenAIServer(settings.upstream, api_key=KEY, timeout_s=settings.call_timeout_s)
    return Services(
        settings=settings,
        upstream=upstream,
        catalog=Catalog(upstream.models),
        shelf=Shelf(lambda: library),
        metrics=Metrics(),
        judge=None,
        judgements_at_once=settings.judgements_at_once,
        answer_max_tokens=None,
        admission=open_admission(settings),
    )


def application(settings: Settings, folder: Path) -> FastAPI:
    """Return the application; it opens and closes its client for the model server."""
    services = services_of(settings, folder)
    app = create_app(settings, services=services)
    inner = app.router.lifespan_context

    @asynccontextmanager
    async def lifespan(asked: FastAPI) -> AsyncIterator[object]:
        async with services.upstream, inner(asked) as state:
            yield state

    app.router.lifespan_context = lifespan
    return app


def main() -> None:
    """Serve until a signal comes."""
    port, upstream, folder = sys.argv[1:]
    settings = settings_of(int(port), upstream)
    configure("debug")
    config = uvicorn.Config(
        application(settings, Path(folder)),
        host=settings.host,
        port=settings.port,
        http=connections(
            receive_s=settings.receive_s, send_s=settings.send_s, most=settings.connections
        ),
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
    )
    uvicorn.Server(config).run()


def settings_of(port: int, upstream: str) -> Settings:
    """Return the settings: the usual ones, with less patience so that an attack ends soon."""
    return load_settings(
        port=port,
        upstream=[upstream],
        upstream_api_key=KEY,
        receive_s=1.0,
        send_s=2.0,
        connections=300,
        calls_at_once=16,
        queue_length=16,
        call_timeout_s=5.0,
    )


if __name__ == "__main__":
    main()
