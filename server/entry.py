"""How a request that will call the model server gets in."""

import asyncio

from starlette.requests import Request

from server.admission import Ticket
from server.departure import or_gone
from server.services import Services
from server.tenant import tenant_of


async def admit(services: Services, request: Request, deadline: float | None = None) -> Ticket:
    """Return the request's ticket; the outermost layer closes it when the response has ended.

    `deadline` is a time of the event loop's clock by which the request must be answered.

    Raises:
        ApiError: there is no room, or the gateway is being stopped.

    """
    if deadline is None:
        within_s = services.settings.deadline_ms / 1000
    else:
        within_s = max(0.0, deadline - asyncio.get_running_loop().time())
    ticket = await services.admission.enter(tenant_of(request.headers), within_s=within_s)
    request.state.ticket = ticket
    return ticket


async def enter(services: Services, request: Request, deadline: float | None = None) -> Ticket:
    """Return the request's ticket, unless the client leaves the queue.

    Raises:
        ApiError: as `admit`, or the client left.

    """
    return await or_gone(request, admit(services, request, deadline))
