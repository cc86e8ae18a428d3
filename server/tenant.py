"""Whose request it is, as far as fair shares go. Keys are not checked here."""

import hashlib

from starlette.datastructures import Headers

ANONYMOUS = "anonymous"


def tenant_of(headers: Headers) -> str:
    """Return a name for who asks: a hash of the bearer token, never the token."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.casefold() != "bearer" or not token.strip():
        return ANONYMOUS
    return hashlib.sha256(token.strip().encode()).hexdigest()[:16]
