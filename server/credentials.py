"""The key that a request shows: read from its headers, and from nowhere else.

`Authorization: Bearer` is what OpenAI's clients send; `api-key` and `x-api-key` are what Azure's
and Anthropic's do. A request that shows two different keys is refused, since whoever looked at it
on its way may have looked at the other one. A key in the URL is refused although it may be good:
URLs are written into the logs of everything on the way.
"""

from collections.abc import Iterator
from urllib.parse import parse_qsl

from starlette.datastructures import Headers
from starlette.types import Scope

from server.errors import Refused
from server.keys.key import PREFIX

CHALLENGE = 'Bearer realm="clinalign-serve"'
BAD_TOKEN = f'{CHALLENGE}, error="invalid_token"'
BAD_REQUEST = f'{CHALLENGE}, error="invalid_request"'

BARE = ("api-key", "x-api-key")
IN_URLS = frozenset({"api_key", "apikey", "api-key", "x-api-key", "access_token", "token", "key"})


def credential_of(scope: Scope) -> str:
    """Return the one key that the request shows, whatever it is.

    Raises:
        Refused: there is none, or not one, or one in the URL.

    """
    if _is_in_url(scope["query_string"]):
        raise Refused(
            "a key was sent in the URL, where logs keep it: send it in the header Authorization, "
            "and replace it if it was a real one",
            reason="in_url",
            code="invalid_api_key",
            challenge=BAD_REQUEST,
        )
    shown = set(_shown(Headers(scope=scope)))
    if not shown:
        raise Refused(
            "no API key was sent: send the header `Authorization: Bearer KEY`",
            reason="missing",
            code="missing_api_key",
            challenge=CHALLENGE,
        )
    if len(shown) > 1:
        raise Refused(
            "several different API keys were sent: send one",
            reason="several",
            code="invalid_api_key",
            challenge=BAD_REQUEST,
        )
    return shown.pop()


def _shown(headers: Headers) -> Iterator[str]:
    """Yield what stands where a key may; another scheme is meant for somebody else."""
    for value in headers.getlist("authorization"):
        scheme, _, token = value.strip().partition(" ")
        if scheme.casefold() == "bearer" and token.strip():
            yield token.strip()
    for name in BARE:
        for value in headers.getlist(name):
            if value.strip():
                yield value.strip()


def _is_in_url(query: bytes) -> bool:
    text = query.decode("latin-1")
    return any(
        value and (name.casefold() in IN_URLS or value.startswith(f"{PREFIX}_"))
        for name, value in parse_qsl(text, keep_blank_values=True, max_num_fields=None)
    )
