"""Stopping work for a client that has left."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect, Request

from server.errors import ApiError

Result = TypeVar("Result")


class ClientGone(ApiError):  # noqa: N818  # named after the state
    """The client closed the connection; nobody reads this answer, but the log counts it."""

    def __init__(self) -> None:
        super().__init__("the client left", status=499, kind="client_error", code="client_gone")


async def body_of(request: Request) -> bytes:
    """Return the request's body.

    Raises:
        ClientGone: the client left while it was sending.

    """
    try:
        return await request.body()
    except ClientDisconnect:
        raise ClientGone from None


async def or_gone(request: Request, work: Coroutine[Any, Any, Result]) -> Result:
    """Return what the work returns; cancel it as soon as the client leaves.

    Raises:
        ClientGone: the client left first.

    """
    task = asyncio.create_task(work)
    leaving = asyncio.create_task(_leave(request))
    try:
        await asyncio.wait({task, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise ClientGone
    finally:
        task.cancel()
        leaving.cancel()
        await asyncio.gather(task, leaving, return_exceptions=True)


async def _leave(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
