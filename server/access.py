"""Who may use a route: a dependency that every route declares, or the application does not start.

Nothing is decided by a path: what runs before a route's own code is what stands beside it, however
the request got there. What no route answers, an unknown path or method, is decided as strictly, so
that without a key there is nothing to see. Open routes say so by `OPEN`.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import TypeAlias

from fastapi import Request
from fastapi.routing import APIRoute
from starlette.responses import Response
from starlette.routing import BaseRoute

from revision.policy import Mode
from server.credentials import BAD_TOKEN, CHALLENGE, credential_of
from server.errors import ApiError, NotReady, RateLimited, Refused, on_error
from server.keys.key import SCOPES, Key, Scope
from server.keys.ring import KeyRefused
from server.rates.rates import Spending
from server.services import Services

log = logging.getLogger("clinalign")

WORDS = {
    "unknown": "the API key is not one of this server's: check that it is whole",
    "expired": "the API key has expired; ask this server's operator for another",
    "revoked": "the API key was revoked; ask this server's operator for another",
}


@dataclass(slots=True, kw_only=True)
class Access:
    """What was decided of a request: whose key it shows, None where none is asked for.

    `headers` go with the answer.
    """

    key: Key | None = None
    spending: Spending | None = None
    headers: dict[str, str] = field(default_factory=dict)

    async def end(self, spent: int) -> None:
        """Charge the key with what the request has cost, in tokens; once more charges the rest."""
        if self.spending is not None:
            await self.spending.end(spent)


@dataclass(frozen=True, slots=True)
class Needs:
    """Lets in who shows a key with one of the scopes."""

    scopes: frozenset[Scope]

    async def __call__(self, request: Request) -> None:
        """Decide, as a dependency.

        Raises:
            ApiError: the request may not come in.

        """
        services: Services = request.state.services
        try:
            request.state.access = await _decide(request, services, self.scopes)
        except (Refused, RateLimited) as error:
            services.metrics.refused(error)
            if isinstance(error, Refused):
                log.info("refused reason=%s client=%s", error.reason, _address(request))
            raise


class Open:
    """Lets everybody in."""

    async def __call__(self, request: Request) -> None:
        """Decide, as a dependency."""
        request.state.access = Access()


Rule: TypeAlias = Needs | Open

OPEN = Open()
ANY_KEY = Needs(frozenset(SCOPES))


def needs(*scopes: Scope) -> Needs:
    """Return what lets in who has a key with one of the scopes."""
    return Needs(frozenset(scopes))


def access_of(request: Request) -> Access:
    """Return what was decided of the request."""
    access: Access = request.state.access
    return access


def check_mode(request: Request, mode: Mode) -> None:
    """Check that the request's key may ask for that mode.

    Raises:
        Refused: it may not.

    """
    key = access_of(request).key
    if key is not None and key.limits.modes and mode not in key.limits.modes:
        services: Services = request.state.services
        allowed = ", ".join(sorted(key.limits.modes))
        refusal = Refused(
            f"this API key may not use the mode {mode}, only {allowed}; "
            "name one by revision.mode or by the model's suffix",
            reason="mode",
            code="mode_not_allowed",
            status=403,
            kind="permission_error",
            param="revision.mode",
        )
        services.metrics.refused(refusal)
        raise refusal


async def answer_error(request: Request, error: Exception) -> Response:
    """Answer an error; what came before anything was decided tells nothing to who has no key."""
    if not hasattr(request.state, "access") and not isinstance(error, Refused | RateLimited):
        try:
            await ANY_KEY(request)
        except ApiError as refusal:
            error = refusal
    return await on_error(request, error)


def rule_of(route: BaseRoute) -> Rule | None:
    """Return what the route says of who may use it."""
    if not isinstance(route, APIRoute):
        return None
    rules = [one.call for one in route.dependant.dependencies if isinstance(one.call, Needs | Open)]
    return rules[0] if len(rules) == 1 else None


def check_rules(routes: Iterable[BaseRoute]) -> None:
    """Check that each route says who may use it.

    Raises:
        RuntimeError: one does not, or says two things.

    """
    for route in routes:
        if rule_of(route) is None:
            name = getattr(route, "path", type(route).__name__)
            raise RuntimeError(
                f"the route {name} does not say who may use it: see server/access.py"
            )


def _address(request: Request) -> str:
    """Return who asks, for whoever looks for guessers; what a proxy says may be anything."""
    try:
        return str(ip_address(request.client.host if request.client else ""))
    except ValueError:
        return "unknown"


async def _decide(request: Request, services: Services, scopes: frozenset[Scope]) -> Access:
    if not services.ring.is_on:
        return Access()
    try:
        key = services.ring.find(credential_of(request.scope))
    except KeyRefused as error:
        if error.fault == "unreadable":
            raise NotReady("the API keys cannot be read; see the log") from None
        raise Refused(
            WORDS[error.fault],
            reason=error.fault,
            code="invalid_api_key",
            challenge=BAD_TOKEN,
        ) from None
    request.state.key_id = key.id  # for the log, also where it may not do this
    if not key.opens(scopes):
        wanted = sorted(scopes)
        raise Refused(
            f"this API key may not do that: it takes the scope {' or '.join(wanted)}",
            reason="scope",
            code="missing_scope",
            challenge=f'{CHALLENGE}, error="insufficient_scope", scope="{" ".join(wanted)}"',
            status=403,
            kind="permission_error",
        )
    return Access(key=key, headers=await services.rates.count(key))
