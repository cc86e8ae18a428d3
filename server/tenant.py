"""Whose request it is: for fair shares, repeats, and what else must not mix."""

import hashlib
import hmac

from starlette.datastructures import Headers
from starlette.requests import Request

ANONYMOUS = "anonymous"


def tenant_of(request: Request) -> str:
    """Return a name for who asks: the id of the key, or where none is asked for, what is sent."""
    key_id: str | None = getattr(request.state, "key_id", None)
    return key_id or named_by(request.headers)


def named_by(headers: Headers) -> str:
    """Return a name that keeps apart who sends different tokens, which nobody checks."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.casefold() != "bearer" or not token.strip():
        return ANONYMOUS
    return hashlib.sha256(token.strip().encode()).hexdigest()[:16]


def cache_salt(tenant: str, secret: str) -> str:
    """Return the tenant's salt for an engine's cache; neither can be told from it."""
    return hmac.new(f"cache salt {secret}".encode(), tenant.encode(), hashlib.sha256).hexdigest()
