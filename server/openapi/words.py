"""The document's own words: of statuses, headers and the whole."""

from collections.abc import Mapping
from typing import Any, get_args

from revision.review import Status
from server.errors import TABLE

ABOUT = """\
Answers to health questions, drafted, critiqued, revised and re-checked, over OpenAI's API.

A request may have the extension `revision`, and an answer always has one: it says how the answer
was reviewed. In a stream it stands on the chunk that carries the `finish_reason`.

The schemas say what each field may hold. Two things they cannot say: an integer is written without
a decimal point, and some fields depend on others, as `tool_choice` does on `tools` and each turn
on those before it. A request that breaks such a rule gets a 400 that says what to change.

Every error has OpenAI's form, also those of unknown routes (404) and of methods that a route does
not have (405). After the first byte of a stream an error comes as an event: in the same form, and
followed by `[DONE]` like the end of any stream; of `/v1/responses` as `response.failed`. Comments
in between keep a connection open while hidden steps run. GET routes answer HEAD too.
"""

STATUSES: Mapping[int, str] = {
    400: "The request cannot be served as it is. `param` names the field, `code` the mistake.",
    401: "No API key was sent, or none that is good; only where the operator asks for keys.",
    403: "The key does not open this, the operator of this server does not allow it, or not from a "
    "web page of that origin.",
    404: "There is no such thing; `code` says what is missing.",
    408: "The request did not arrive in time.",
    413: "The body is larger than this server takes.",
    415: "The body is not said to be JSON.",
    421: "The header `host` is no name of this server.",
    429: "The key's limits are used up, or too many of your requests wait while others do; "
    "`retry-after` says when to retry.",
    431: "The headers are too many or too large.",
    500: "A fault of this server's own; its log has it under the answer's `x-request-id`.",
    502: "The model server's reply could not be used, or the review could not be completed.",
    503: "Not ready, overloaded or stopping, or the model server is; `retry-after` says when.",
    504: "The model server took too long, or the request's deadline has passed.",
}

COUNT: Mapping[str, Any] = {"type": "integer", "minimum": 0}
PERIOD: Mapping[str, Any] = {"type": "string", "pattern": "^([0-9]+m)?[0-9]+s$"}

HEADERS: Mapping[str, Mapping[str, Any]] = {
    "x-request-id": {
        "description": "The client's own id where it sent a safe one, else a new one.",
        "required": True,
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,128}$"},
    },
    "x-revision-id": {
        "description": "The id of the review, as in the extension.",
        "schema": {"type": "string", "pattern": "^rev_[0-9a-f]{32}$"},
    },
    "x-revision-status": {
        "description": "The status of the review, as in the extension; not in a stream.",
        "schema": {"type": "string", "enum": list(get_args(Status))},
    },
    "x-should-retry": {
        "description": "Whether the same request may succeed later; OpenAI's clients obey it.",
        "required": True,
        "schema": {"type": "string", "enum": ["true", "false"]},
    },
    "retry-after": {
        "description": "Seconds to wait before the next try.",
        "required": True,
        "schema": {"type": "integer", "minimum": 0},
    },
    "www-authenticate": {
        "description": "How a key is sent, and what is wrong with the one that came.",
        "required": True,
        "schema": {"type": "string", "pattern": "^Bearer realm="},
    },
    **{
        f"x-ratelimit-{what}-{of}": {"description": said.format(of), "schema": schema}
        for of in ("requests", "tokens")
        for what, said, schema in (
            ("limit", "How many {} a minute the key may use.", COUNT),
            ("remaining", "How many {} are left of this minute.", COUNT),
            ("reset", "When there are {} again, as `7s` or `2m0s`.", PERIOD),
        )
    },
}

RATES = tuple(
    f"x-ratelimit-{what}-{of}"
    for of in ("requests", "tokens")
    for what in ("limit", "remaining", "reset")
)
"""Headers that tell a key with limits what is left of them."""

SECURITY: Mapping[str, Mapping[str, Any]] = {
    "key": {
        "type": "http",
        "scheme": "bearer",
        "description": "An API key, where the operator asks for one: always beyond loopback. "
        "The headers `api-key` and `x-api-key` are read too.",
    },
}

READ: Mapping[str, Mapping[str, Any]] = {
    "x-request-id": {
        "description": "An id of the client's own; another form than the answer's is ignored.",
        "schema": {"type": "string"},
    },
    "x-openwebui-task": {
        "description": "Open WebUI's mark of a side request, such as a title: not reviewed.",
        "schema": {"type": "string"},
    },
}


def status_words(status: int) -> str:
    """Return what an error's status means, with the codes that the table of errors has for it."""
    codes = sorted({row.code for row in TABLE.values() if row.status == status})
    told = f" Codes among others: {', '.join(f'`{code}`' for code in codes)}." if codes else ""
    return STATUSES[status] + told
