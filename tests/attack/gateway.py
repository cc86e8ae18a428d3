"""The gateway under attack, a process of its own: the server's own parts, and a small library.

    python -m tests.attack.gateway PORT UPSTREAM FOLDER

Only the library is the tests' own, so that no embedder has to be loaded first and the memory that
is watched is the server's.
"""

import asyncio
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import uvicorn

from models.openai_http import OpenAIServer
from server.app import create_app
from server.catalog import Catalog
from server.connection import connections
from server.keys.open import open_ring
from server.log import configure
from server.metrics import Metrics
from server.services import Services, open_admission, open_rates
from server.settings import Settings, load_settings
from server.shelf import Shelf
from tests.fakes.embedder import HashingEmbedder
from tests.fakes.library import open_library

KEY = "sk-attack-the-engine-s-own-key"


async def opened(settings: Settings, folder: Path, stack: AsyncExitStack) -> Services:
    """Return the application's parts, open as long as the stack is."""
    library = open_library(folder, HashingEmbedder())
    upstream = OpenAIServer(settings.upstream, api_key=KEY, timeout_s=settings.call_timeout_s)
    return Services(
        settings=settings,
        upstream=await stack.enter_async_context(upstream),
        catalog=Catalog(upstream.models),
        shelf=Shelf(lambda: library),
        metrics=Metrics(),
        judge=None,
        judgements_at_once=settings.judgements_at_once,
        answer_max_tokens=None,
        admission=open_admission(settings),
        ring=await stack.enter_async_context(open_ring(settings)),
        rates=await stack.enter_async_context(open_rates(settings)),
    )


async def serve(settings: Settings, folder: Path) -> None:
    """Serve until a signal comes."""
    async with AsyncExitStack() as stack:
        config = uvicorn.Config(
            create_app(settings, services=await opened(settings, folder, stack)),
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
        await uvicorn.Server(config).serve()


def main() -> None:
    """Serve until a signal comes."""
    port, upstream, folder = sys.argv[1:]
    settings = settings_of(int(port), upstream)
    configure("debug")
    asyncio.run(serve(settings, Path(folder)))


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
