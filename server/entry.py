"""How a request that will call the model server gets in."""

import asyncio

from starlette.requests import Request

from server.access import access_of
from server.admission import Ticket
from server.departure import body_of, or_gone
from server.errors import RateLimited
from server.keys.key import Key
from server.rates.rates import Spending
from server.services import Services
from server.tenant import tenant_of

BYTES_PER_TOKEN = 4
"""Of plain text, about; what a request costs at least is guessed from its body's length."""


async def admit(services: Services, request: Request, deadline: float | None = None) -> Ticket:
    """Return the request's ticket; the outermost layer closes it when the response has ended.

    `deadline` is a time of the event loop's clock by which the request must be answered.

    Raises:
        ApiError: there is no room, the key's limits are used up, or the gateway is being stopped.

    """
    if deadline is None:
        within_s = services.settings.deadline_ms / 1000
    else:
        within_s = max(0.0, deadline - asyncio.get_running_loop().time())
    access = access_of(request)
    if access.key is not None:
        least = len(await body_of(request)) // BYTES_PER_TOKEN
        access.spending = await counted(services, access.key, least)
        access.headers |= access.spending.headers
    ticket = await services.admission.enter(tenant_of(request), within_s=within_s)
    request.state.ticket = ticket
    return ticket


async def counted(services: Services, key: Key, least: int) -> Spending:
    """Return what the request takes of its key's limits; the outermost layer ends it.

    Raises:
        RateLimited: the key has none left.

    """
    try:
        return await services.rates.begin(key, least=least)
    except RateLimited as error:
        services.metrics.refused(error)
        raise


def charge(request: Request, tokens: int) -> None:
    """Note what the request has cost; one that was not let in has cost nothing."""
    ticket: Ticket | None = getattr(request.state, "ticket", None)
    if ticket is not None:
        ticket.spent += tokens


async def settle(request: Request) -> None:
    """Charge the request's key with what the request has cost so far."""
    ticket: Ticket | None = getattr(request.state, "ticket", None)
    await access_of(request).end(ticket.spent if ticket else 0)


async def enter(services: Services, request: Request, deadline: float | None = None) -> Ticket:
    """Return the request's ticket, unless the client leaves the queue.

    Raises:
        ApiError: as `admit`, or the client left.

    """
    return await or_gone(request, admit(services, request, deadline))
