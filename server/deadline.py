"""When a request's answer must be on its way, and how long its stream may be silent.

Three parties have a say: the request (`deadline_ms`), the operator (the setting, where the request
says nothing) and the client's own patience, which OpenAI's SDKs announce. An SDK that gives up asks
again, and the whole loop runs twice for nobody; so the review ends a margin before that. The draft
does not: without one there is nothing to send, and an answer that is late for this attempt is in
time for the retry that joins it (`server/repeats.py`). When a client gives up, the work ends. Of a
stream, patience bounds the silence and not the whole: SDKs wait so long for the next byte, or for
the headers, which a stream sends within half a second.
"""

import asyncio
from dataclasses import dataclass

from starlette.datastructures import Headers

from server.schemas import RevisionOptions
from server.settings import Settings

PATIENCE_HEADERS = ("x-stainless-read-timeout", "x-stainless-timeout")
"""In seconds: what OpenAI's Python SDK sends, and what its others do."""

LEAST_S, MOST_S = 0.1, 86_400.0
"""A patience outside of these is no announcement but a mistake, or a way of saying "none"."""

MARGIN = 0.1
MOST_MARGIN_S = 1.0
"""Of the client's patience, for the way there and back."""

SENDING = 0.05
MOST_SENDING_S = 0.2
"""Of the whole, for what comes after the last step: the answer is put together and sent."""

PINGS = 3
"""Signs of life within a client's patience: one may be late."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Times of the event loop's clock, and `ping_s` in seconds.

    After `deadline` no step runs, after `review_by` none but the draft.
    """

    deadline: float
    review_by: float
    ping_s: float


def limits(
    settings: Settings,
    wishes: RevisionOptions,
    headers: Headers | None = None,
    *,
    stream: bool = False,
) -> Limits:
    """Return the limits of a request that has come just now."""
    seconds = (wishes.deadline_ms or settings.deadline_ms) / 1000
    review_s, ping_s = seconds, settings.ping_s
    patience = patience_of(headers) if headers is not None else None
    if patience is not None and stream:
        ping_s = min(ping_s, patience / PINGS)
    elif patience is not None:
        review_s = min(seconds, patience - min(MOST_MARGIN_S, MARGIN * patience))
    now = asyncio.get_running_loop().time()
    return Limits(
        deadline=now + _before_sending(seconds),
        review_by=now + _before_sending(review_s),
        ping_s=ping_s,
    )


def _before_sending(seconds: float) -> float:
    return seconds - min(MOST_SENDING_S, SENDING * seconds)


def patience_of(headers: Headers) -> float | None:
    """Return how many seconds the client says it waits; None where it says nothing sensible."""
    told = [_seconds(headers.get(name)) for name in PATIENCE_HEADERS]
    return min((one for one in told if one is not None), default=None)


def _seconds(value: str | None) -> float | None:
    try:
        seconds = float(value or "")
    except ValueError:
        return None
    return seconds if LEAST_S <= seconds <= MOST_S else None  # a NaN is not between anything
