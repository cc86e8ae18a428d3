"""From a model server's failures to this package's errors.

The server's own words are never repeated: vLLM and others quote the prompt in them.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import aiohttp
import orjson

from models.errors import (
    ContextOverflow,
    MalformedReply,
    ModelError,
    ModelOverloaded,
    ModelRejected,
    ModelTimeout,
    ModelUnavailable,
)

_REFUSALS = 400
_MOVED = frozenset({301, 302, 303, 307, 308})
"""It lives elsewhere: the address in the settings is wrong, which is to be told as our fault."""
_TOO_LATE = 408
_CONFLICTS = frozenset({409, 425})
"""Refusals of the moment, not of the request: another replica or a second try may take it."""
_TOO_LARGE = 413
_TOO_MANY = frozenset({429, 529})
_BUSY = 503
_NOT_IMPLEMENTED = 501
_SERVER_FAULTS = 500
_OVERFLOW_WORDS = (
    b"context_length_exceeded",
    b"maximum context length",
    b"maximum model length",
    b"exceed_context_size",
    b"longer than the maximum",
)
_LIMIT_WORDS = re.compile(rb"maximum (?:context|model) length (?:is|of) (\d{1,9})\b")


def refusal(status: int, headers: Mapping[str, str], body: bytes) -> ModelError:
    """Return the error that an answer with another status than 200 stands for."""
    if (
        status < _REFUSALS and status not in _MOVED
    ):  # neither an answer nor a refusal, so nothing that a client could mend
        return MalformedReply(f"the model server answered HTTP {status} where 200 is due")
    wait = _seconds(headers.get("retry-after"))
    if status in _TOO_MANY or (status == _BUSY and wait is not None):
        return ModelOverloaded(f"the model server is busy (HTTP {status})", retry_after=wait)
    if status in _CONFLICTS or (status >= _SERVER_FAULTS and status != _NOT_IMPLEMENTED):
        return ModelUnavailable(f"the model server failed (HTTP {status})")
    if status == _TOO_LATE:
        return ModelTimeout("the model server did not answer in time")
    if status == _TOO_LARGE or any(words in body.lower() for words in _OVERFLOW_WORDS):
        return ContextOverflow(
            "the conversation is longer than the model's context; shorten it or lower max_tokens",
            status=status,
            limit=_limit(body),
        )
    return ModelRejected(f"the model server refused the request (HTTP {status})", status=status)


class Refused(ModelUnavailable):
    """There was no connection at all: the call cannot have begun."""


@contextmanager
def translated() -> Iterator[None]:
    """Turn what the transport raises inside the block into a `ModelError`."""
    try:
        yield
    except aiohttp.ConnectionTimeoutError:  # a TimeoutError too, but of a host that is down
        raise Refused("the model server cannot be reached") from None
    except TimeoutError:
        raise ModelTimeout("the model server did not answer in time") from None
    except aiohttp.ClientConnectorError:
        raise Refused("the model server cannot be reached") from None
    except (aiohttp.ClientError, ConnectionError) as error:
        kind = type(error).__name__
        raise ModelUnavailable(f"the connection to the model server broke ({kind})") from None


def _limit(body: bytes) -> int | None:
    """Read from a refusal how long the context is: a number, and not a word of it."""
    if (said := _LIMIT_WORDS.search(body)) is not None:
        return int(said.group(1))
    try:
        reply = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    error = reply.get("error") if isinstance(reply, dict) else None
    told = error.get("n_ctx") if isinstance(error, dict) else None
    return told if isinstance(told, int) and told > 0 else None


def _seconds(value: str | None) -> float | None:
    """Read a Retry-After header in seconds; a date or anything else counts as absent."""
    try:
        seconds = float(value or "")
    except ValueError:
        return None
    return seconds if 0 <= seconds < float("inf") else None
