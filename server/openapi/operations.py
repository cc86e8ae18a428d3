"""What each route takes and answers with: one entry a route, and a test that none is missing.

The statuses are those that can happen, not all that HTTP has. What leaves no answer, a client that
went away (499), is only logged.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import BaseModel

from server.openapi.chat import ChatCompletion, ChatCompletionChunk
from server.openapi.lists import (
    FoundPrincipleList,
    Model,
    ModelList,
    Principle,
    PrincipleList,
    Readiness,
    Version,
)
from server.openapi.plain import EmbeddingList, TextCompletion
from server.openapi.requests import ReviewRequest
from server.openapi.responses import Response, ResponseEvent
from server.openapi.review import CritiqueResult, RevisionResult
from server.plain_requests import CompletionRequest, EmbeddingRequest
from server.responses.request import ResponsesRequest
from server.routes.principles import Search
from server.schemas import ChatRequest

Example = Mapping[str, object]

UPSTREAM = (502, 503, 504)
ANY = (403, 421, 431)
"""What can befall a request on any route; see `server.door`."""
READING = (400, 408, 413, 415)
REVIEWING = (*READING, 404, 429, 500, *UPSTREAM)

REVIEW_ID = ("x-revision-id",)
REVIEW = ("x-revision-id", "x-revision-status")


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """A route's entry.

    `gives` is the form of the answer in JSON; without one it is plain text. `chunk` is that of
    an event of a stream, which ends in `[DONE]` unless its events have names. `errors` lists the
    statuses with an `Error`, and `also` those with another form. `headers` go with an answer, and
    `error_headers` with an error from the point on where there is something to name; `reads`
    names the request headers that matter.
    """

    tag: str
    gives: type[BaseModel] | None = None
    chunk: type[BaseModel] | None = None
    named_events: bool = False
    takes: type[BaseModel] | None = None
    example: Example | None = None
    errors: tuple[int, ...] = ()
    also: Mapping[int, type[BaseModel]] = field(default_factory=dict)
    headers: tuple[str, ...] = ()
    error_headers: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()


_QUESTION = [{"role": "user", "content": "What helps against a headache?"}]
_CHAT = {"model": "NAME", "messages": _QUESTION, "revision": {"mode": "standard"}}
_RESPONSE = {"model": "NAME", "input": "What helps against a headache?"}
_REVIEW = {"model": "NAME", "messages": _QUESTION, "answer": "Rest in a dark room."}

OPERATIONS: Mapping[tuple[str, str], Operation] = {
    ("POST", "/v1/chat/completions"): Operation(
        tag="Answers",
        takes=ChatRequest,
        example=_CHAT,
        gives=ChatCompletion,
        chunk=ChatCompletionChunk,
        errors=REVIEWING,
        headers=REVIEW,
        error_headers=REVIEW_ID,
        reads=("x-openwebui-task",),
    ),
    ("POST", "/v1/responses"): Operation(
        tag="Answers",
        takes=ResponsesRequest,
        example=_RESPONSE,
        gives=Response,
        chunk=ResponseEvent,
        named_events=True,
        errors=REVIEWING,
        headers=REVIEW,
        error_headers=REVIEW_ID,
        reads=("x-openwebui-task",),
    ),
    ("POST", "/v1/completions"): Operation(
        tag="Passed through",
        takes=CompletionRequest,
        example={"model": "NAME", "prompt": "Against a headache"},
        gives=TextCompletion,
        chunk=TextCompletion,
        errors=(*REVIEWING, 403),
        headers=("x-revision-status",),
    ),
    ("POST", "/v1/embeddings"): Operation(
        tag="Passed through",
        takes=EmbeddingRequest,
        example={"model": "NAME", "input": ["a headache", "a rash"]},
        gives=EmbeddingList,
        errors=REVIEWING,
        headers=("x-revision-status",),
    ),
    ("POST", "/v1/critiques"): Operation(
        tag="Answers",
        takes=ReviewRequest,
        example=_REVIEW,
        gives=CritiqueResult,
        errors=REVIEWING,
        headers=REVIEW,
        error_headers=REVIEW_ID,
    ),
    ("POST", "/v1/revisions"): Operation(
        tag="Answers",
        takes=ReviewRequest,
        example=_REVIEW,
        gives=RevisionResult,
        errors=REVIEWING,
        headers=REVIEW,
        error_headers=REVIEW_ID,
    ),
    ("GET", "/v1/models"): Operation(tag="Models", gives=ModelList, errors=(500, *UPSTREAM)),
    ("GET", "/v1/models/{model_id}"): Operation(
        tag="Models", gives=Model, errors=(404, 500, *UPSTREAM)
    ),
    ("GET", "/v1/principles"): Operation(tag="Principles", gives=PrincipleList, errors=(500, 503)),
    ("GET", "/v1/principles/{principle_id}"): Operation(
        tag="Principles", gives=Principle, errors=(404, 500, 503)
    ),
    ("POST", "/v1/principles/search"): Operation(
        tag="Principles",
        takes=Search,
        example={"query": "headache with a stiff neck", "k": 3},
        gives=FoundPrincipleList,
        errors=(*READING, 500, 503),
    ),
    ("GET", "/healthz"): Operation(tag="Running it"),
    ("GET", "/readyz"): Operation(
        tag="Running it", gives=Readiness, errors=(500,), also={503: Readiness}
    ),
    ("GET", "/metrics"): Operation(tag="Running it", errors=(500,)),
    ("GET", "/version"): Operation(tag="Running it", gives=Version, errors=(500,)),
}
"""Method and path → what happens there."""
