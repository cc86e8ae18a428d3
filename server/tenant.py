"""Whose request it is, as far as fair shares go. Keys are not checked here."""

import hashlib
import hmac

from starlette.datastructures import Headers

ANONYMOUS = "anonymous"


def tenant_of(headers: Headers) -> str:
    """Return a name for who asks: a hash of the bearer token, never the token."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.casefold() != "bearer" or not token.strip():
        return ANONYMOUS
    return hashlib.sha256(token.strip().encode()).hexdigest()[:16]


def cache_salt(tenant: str, secret: str) -> str:
    """Return the tenant's salt for an engine's cache; neither can be told from it."""
    return hmac.new(f"cache salt {secret}".encode(), tenant.encode(), hashlib.sha256).hexdigest()
