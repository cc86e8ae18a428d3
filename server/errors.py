"""Every error a client can see: one form, one table.

ApiError            an answer in OpenAI's error form
├── InvalidRequest  400, naming the parameter
├── UnknownModel    404
├── NotReady        503 with Retry-After
├── Overloaded      503 with Retry-After
├── ShareUsedUp     429 with Retry-After
├── Refused         401 or 403: no key, one that is not good, or not for this
├── RateLimited     429 with Retry-After: a key's limits
├── Stopping        503 with Retry-After
└── ReviewDegraded  502: the operator wants no answer rather than an unreviewed one

Errors of the other packages are turned into these by `TABLE`. Messages say what to change; they
never repeat what was sent, nor what the model server said, since both may be a patient's words.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from models.errors import (
    ContextOverflow,
    EmbedderError,
    MalformedReply,
    ModelError,
    ModelOverloaded,
    ModelRejected,
    ModelTimeout,
    ModelUnavailable,
)
from models.messages import Json
from retrieval.errors import RetrievalError
from revision.errors import DeadlinePassed, EmptyDraft, RevisionError
from server.json_response import JsonResponse

RETRY_AFTER_S = 5
NO_HEADERS: Mapping[str, str] = MappingProxyType({})


class ApiError(Exception):
    """An answer in OpenAI's error form.

    `retry` is what a client's automatic retry should do, or after how many seconds: OpenAI's SDKs
    obey `x-should-retry`, and repeating a whole loop that failed for good costs the user three
    loops.
    """

    def __init__(  # noqa: PLR0913  # by name, and no two of a kind
        self,
        message: str,
        *,
        status: int,
        kind: str,
        code: str | None = None,
        param: str | None = None,
        retry: bool | float = False,
        headers: Mapping[str, str] = NO_HEADERS,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.kind = kind
        self.code = code
        self.param = param
        self.retry = retry
        self.headers = headers

    def to_wire(self) -> dict[str, Json]:
        """Return the body."""
        error = {"message": self.message, "type": self.kind, "param": self.param, "code": self.code}
        return {"error": error}

    def to_response(self) -> Response:
        """Return the response."""
        headers = {"x-should-retry": "true" if self.retry else "false", **self.headers}
        if self.retry:
            after = RETRY_AFTER_S if self.retry is True else math.ceil(self.retry)
            headers["retry-after"] = str(after)
        return JsonResponse(self.to_wire(), status_code=self.status, headers=headers)


class InvalidRequest(ApiError):  # noqa: N818  # named after the state, as in the tree above
    """The request cannot be served as it is."""

    def __init__(self, message: str, *, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message, status=400, kind="invalid_request_error", param=param, code=code)


class UnknownModel(ApiError):  # noqa: N818
    """There is no such model."""

    def __init__(self) -> None:
        super().__init__(
            "there is no such model; GET /v1/models lists those there are",
            status=404,
            kind="invalid_request_error",
            param="model",
            code="model_not_found",
        )


class NotReady(ApiError):  # noqa: N818
    """The gateway cannot review yet."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"not ready: {reason}", status=503, kind="server_error", code="not_ready", retry=True
        )


class Overloaded(ApiError):  # noqa: N818
    """More is asked than can be answered; `after` in seconds."""

    def __init__(self, after: float) -> None:
        super().__init__(
            "the server has more requests than it can answer; try again later",
            status=503,
            kind="server_error",
            code="overloaded",
            retry=after,
        )


class ShareUsedUp(ApiError):  # noqa: N818
    """The client has its share of a full queue; `after` in seconds."""

    def __init__(self, after: float) -> None:
        super().__init__(
            "too many of your requests are waiting while others wait too; send fewer at once",
            status=429,
            kind="rate_limit_error",
            code="rate_limit_exceeded",
            retry=after,
        )


class Refused(ApiError):  # noqa: N818
    """The request shows no key, or none that is good for it; `reason` is what metrics count."""

    def __init__(  # noqa: PLR0913  # by name
        self,
        message: str,
        *,
        reason: str,
        code: str,
        challenge: str | None = None,
        status: int = 401,
        kind: str = "invalid_request_error",
        param: str | None = None,
    ) -> None:
        headers = {"www-authenticate": challenge} if challenge else {}
        super().__init__(message, status=status, kind=kind, code=code, param=param, headers=headers)
        self.reason = reason


class RateLimited(ApiError):  # noqa: N818
    """A key has used what it may; `after` in seconds."""

    def __init__(
        self,
        of: Literal["requests", "tokens", "loops"],
        limit: int,
        after: float,
        headers: Mapping[str, str],
    ) -> None:
        what = {
            "requests": f"{limit} requests a minute",
            "tokens": f"{limit} tokens a minute, hidden calls included",
            "loops": f"{limit} requests at once",
        }[of]
        super().__init__(
            f"this key may use {what}; try again in {math.ceil(after)} s",
            status=429,
            kind="tokens" if of == "tokens" else "requests",  # as OpenAI calls these two
            code="rate_limit_exceeded",
            retry=after,
            headers=headers,
        )
        self.of = of


class Stopping(ApiError):  # noqa: N818
    """The gateway is being stopped."""

    def __init__(self) -> None:
        super().__init__(
            "the server is being restarted; try again shortly",
            status=503,
            kind="server_error",
            code="stopping",
            retry=True,
        )


class ReviewDegraded(ApiError):  # noqa: N818
    """The answer is unreviewed or still unsafe, and the operator wants none then."""

    def __init__(self) -> None:
        super().__init__(
            "the answer could not be reviewed in full, and this server gives none then",
            status=502,
            kind="server_error",
            code="review_degraded",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """How an error of another package looks to a client; it keeps its own message."""

    status: int
    code: str
    kind: str = "server_error"
    retry: bool = False


TABLE: dict[type[Exception], Row] = {
    ContextOverflow: Row(status=400, code="context_length_exceeded", kind="invalid_request_error"),
    ModelRejected: Row(status=400, code="upstream_rejected", kind="invalid_request_error"),
    ModelOverloaded: Row(status=503, code="upstream_overloaded", retry=True),
    ModelTimeout: Row(status=504, code="upstream_timeout"),
    ModelUnavailable: Row(status=503, code="upstream_unavailable", retry=True),
    MalformedReply: Row(status=502, code="upstream_malformed"),
    ModelError: Row(status=502, code="upstream_error"),
    DeadlinePassed: Row(status=504, code="deadline_exceeded"),
    EmptyDraft: Row(status=502, code="empty_completion"),
    RevisionError: Row(status=502, code="revision_failed"),
    RetrievalError: Row(status=503, code="not_ready", retry=True),
    EmbedderError: Row(status=503, code="not_ready", retry=True),
}

_NOT_IMPLEMENTED = 501
_OUR_SETUP = frozenset({301, 302, 303, 307, 308, 401, 403, 404, 405})
"""Refusals that no change of the request can mend."""


def api_error(error: Exception) -> ApiError:
    """Return what a client is told of an error; for an unknown one, that it is ours."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, ModelRejected) and error.status in _OUR_SETUP:
        return ApiError(
            "the model server does not accept this gateway's address, key or model; see `doctor`",
            status=502,
            kind="server_error",
            code="upstream_misconfigured",
        )
    if isinstance(error, ModelRejected) and error.status == _NOT_IMPLEMENTED:
        return ApiError(
            "the model server cannot do what the request's options ask for",
            status=502,
            kind="server_error",
            code="upstream_unsupported",
        )
    for known in type(error).__mro__:
        if (row := TABLE.get(known)) is not None:
            return ApiError(
                str(error),
                status=row.status,
                kind=row.kind,
                code=row.code,
                retry=(isinstance(error, ModelOverloaded) and error.retry_after) or row.retry,
            )
    return ApiError(
        "an internal error; the log has it under this answer's x-request-id",
        status=500,
        kind="server_error",
        code="internal_error",
    )


BODY_TOO_LARGE = ApiError(
    "the request body is too large",
    status=413,
    kind="invalid_request_error",
    code="body_too_large",
)

HTTP_CODES: dict[int, tuple[str, str]] = {
    404: ("not_found", "there is no such route"),
    405: ("method_not_allowed", "the route does not have this method"),
}


async def on_error(request: Request, error: Exception) -> Response:
    """Answer any error in OpenAI's form, with the review's id where there is one already."""
    answer = _answer(error)
    if (revision_id := getattr(request.state, "revision_id", None)) is not None:
        answer.headers["x-revision-id"] = revision_id
    return answer


def _answer(error: Exception) -> Response:
    if isinstance(error, RequestValidationError):
        place = [str(part) for part in error.errors()[0]["loc"]][1:]
        name = ".".join(place) or None
        error = InvalidRequest(f"the parameter {name} has a wrong value or type", param=name)
    if isinstance(error, HTTPException) and error.status_code == BODY_TOO_LARGE.status:
        return BODY_TOO_LARGE.to_response()
    if isinstance(error, HTTPException):
        code, message = HTTP_CODES.get(error.status_code, ("http_error", "the request failed"))
        answer = ApiError(
            message, status=error.status_code, kind="invalid_request_error", code=code
        ).to_response()
        answer.headers.update(error.headers or {})
        return answer
    return api_error(error).to_response()
