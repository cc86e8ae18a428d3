"""What an engine lets strangers do, and which versions have holes."""

from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from models.engine_floor import FIXED, FLOOR, known_holes
from models.exposure import exposure

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def engine(
    *, key: str | None = None, version: str = "0.40.0", more: tuple[str, ...] = (), host: str
):
    """Serve an engine whose key guards /v1 alone, as vLLM's does."""

    @web.middleware
    async def guard(request: web.Request, handler: Answer) -> web.StreamResponse:
        told = request.headers.get("authorization")
        if key and request.path.startswith("/v1") and told != f"Bearer {key}":
            return web.Response(status=401)
        return await handler(request)

    async def well(_: web.Request) -> web.StreamResponse:
        return web.json_response({"version": version})

    app = web.Application(middlewares=[guard])
    for path in ("/v1/models", "/version", *more):
        app.router.add_route("*", path, well)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, host, 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    finally:
        await runner.cleanup()


async def seen(**kind: Any):
    async with engine(**{"host": "127.0.0.1", **kind}) as url:
        return await exposure(url)


async def test_an_engine_without_a_key_is_open():
    assert (await seen()).unguarded == ("/v1/models",)


async def test_routes_that_the_key_does_not_guard_are_named():
    found = await seen(key="k", more=("/tokenize", "/invocations"))
    assert found.unguarded == ("/tokenize", "/invocations")
    assert not found.developer_mode


async def test_the_developer_mode_is_seen():
    assert (await seen(key="k", more=("/server_info",))).developer_mode


async def test_a_guarded_private_engine_shows_nothing_but_its_version():
    found = await seen(key="k", version="0.40.1")
    assert (found.answers, found.unguarded, found.is_public) == (True, (), False)
    assert found.version == "0.40.1"


async def test_an_engine_that_listens_on_every_address_is_public():
    assert (await seen(key="k", host="0.0.0.0")).is_public  # noqa: S104  # what is tested


async def test_an_engine_that_is_down_shows_nothing():
    found = await exposure("http://127.0.0.1:9/v1")
    assert (found.answers, found.unguarded, found.version) == (False, (), None)


@pytest.mark.parametrize("version", ["0.21.9", "0.10.1", "0.9", "0.21.1rc1+cu128"])
def test_an_old_version_has_its_holes_named(version: str):
    assert "CVE-2026-48746" in (known_holes(version) or ())


def test_the_floor_has_no_known_hole_and_a_text_that_is_no_version_none_that_is_known():
    assert known_holes(".".join(map(str, FLOOR))) == ()
    assert known_holes("0.40.0") == ()
    assert known_holes("0.1.0") == tuple(FIXED)
    assert known_holes("unknown") is None
