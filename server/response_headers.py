"""The headers of every answer, whoever gives it.

An answer may be a patient's: no cache keeps it, no page frames it, and no browser takes it for
something else than it says it is. What a route sets itself stays, as the page of documents does.
"""

from starlette.datastructures import MutableHeaders

HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}

SAFE = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
"""The same as a server's headers are written."""


def make_safe(headers: MutableHeaders) -> None:
    """Add to an answer's headers those that it lacks."""
    for name, value in HEADERS.items():
        headers.setdefault(name, value)
