"""The request bodies, as OpenAI's API and this project's extension define them.

Every field of OpenAI's that is known is checked as OpenAI checks it; fields that OpenAI has and
we do not name are kept and passed on. What says who a person is or how a record is kept stays
here: it is checked, carried on the request, and never sent to a model server (`exclude`).
"""

from collections.abc import Mapping
from typing import Annotated, Literal, TypeVar

from fastapi import Request
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    field_validator,
    model_serializer,
)
from pydantic_core import from_json

from models.messages import Message
from revision.policy import Mode
from server.chat_fields import (
    LogitBias,
    Metadata,
    Modalities,
    ServiceTier,
    Stop,
    StreamOptions,
)
from server.complaints import complaint, not_json
from server.conversation_rules import check_turns
from server.departure import body_of
from server.errors import ApiError, InvalidRequest
from server.refused import check_inside, check_unknown, describe, without_refused
from server.response_format import ResponseFormat
from server.tools import NamedChoice, Tool, ToolChoice
from server.turns import ChatMessage
from server.wire_fields import Body, Closed, Flag, Number, Whole, null_is

MOST_CHOICES = 8
MOST_MESSAGES = 1000
MOST_TOOLS = 128
MOST_TOKENS = 2**31 - 1
JSON = "application/json"


class RevisionOptions(Closed):
    """The request extension `revision`."""

    mode: Mode | None = None
    max_rounds: Annotated[int, Field(ge=0, le=3, strict=True)] | None = None
    top_k: Annotated[int, Field(ge=1, le=20, strict=True)] | None = None
    deadline_ms: Annotated[int, Field(ge=100, le=600_000, strict=True)] | None = None
    include: Annotated[
        tuple[Literal["trace", "status", "citations"], ...], null_is(default=())
    ] = ()
    expose: Literal["reasoning"] | None = None


class Asked(Body):
    """What chat completions, critiques and revisions have in common."""

    model_config = ConfigDict(json_schema_extra=describe)

    model: Annotated[str, Field(min_length=1, max_length=256)]
    messages: Annotated[tuple[ChatMessage, ...], Field(min_length=1, max_length=MOST_MESSAGES)]
    revision: RevisionOptions = RevisionOptions()

    store: Annotated[Flag | None, Field(exclude=True)] = None
    metadata: Annotated[Metadata | None, Field(exclude=True)] = None
    user: Annotated[str | None, Field(max_length=512, exclude=True)] = None
    safety_identifier: Annotated[str | None, Field(max_length=64, exclude=True)] = None
    prompt_cache_key: Annotated[str | None, Field(max_length=64, exclude=True)] = None

    @field_validator("revision", mode="before", json_schema_input_type=RevisionOptions | None)
    @classmethod
    def _default_revision(cls, value: object) -> object:
        """Take null for "not given", as OpenAI's API does."""
        return RevisionOptions() if value is None else value

    def turns(self) -> tuple[Message, ...]:
        """Return the conversation."""
        return tuple(message.to_message() for message in self.messages)


class ChatRequest(Asked):
    """A chat completion request."""

    stream: Flag = False
    stream_options: StreamOptions | None = None
    max_tokens: Annotated[Whole, Field(ge=1, le=MOST_TOKENS)] | None = None
    max_completion_tokens: Annotated[Whole, Field(ge=1, le=MOST_TOKENS)] | None = None
    temperature: Annotated[Number, Field(ge=0, le=2)] | None = None
    top_p: Annotated[Number, Field(ge=0, le=1)] | None = None
    presence_penalty: Annotated[Number, Field(ge=-2, le=2)] | None = None
    frequency_penalty: Annotated[Number, Field(ge=-2, le=2)] | None = None
    seed: Annotated[Whole, Field(ge=-(2**63), le=2**63 - 1)] | None = None
    stop: Stop | None = None
    n: Annotated[Whole, Field(ge=1, le=MOST_CHOICES)] | None = None
    logprobs: Flag | None = None
    top_logprobs: Annotated[Whole, Field(ge=0, le=20)] | None = None
    logit_bias: LogitBias | None = None
    response_format: ResponseFormat | None = None
    tools: Annotated[tuple[Tool, ...], Field(min_length=1, max_length=MOST_TOOLS)] | None = None
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: Flag | None = None
    reasoning_effort: Annotated[str, Field(min_length=1, max_length=32)] | None = None
    verbosity: Literal["low", "medium", "high"] | None = None

    modalities: Annotated[Modalities | None, Field(exclude=True)] = None
    service_tier: Annotated[ServiceTier | None, Field(exclude=True)] = None

    @field_validator("stream", mode="before", json_schema_input_type=Flag | None)
    @classmethod
    def _default_stream(cls, value: object) -> object:
        """Take null for "not given", as OpenAI's API does."""
        return False if value is None else value

    @model_serializer(mode="wrap")
    def _one_length(self, serialize: SerializerFunctionWrapHandler) -> dict[str, object]:
        """Return what may go up: of OpenAI's two names for the length only the one that counts."""
        sent: dict[str, object] = serialize(self)
        if self.max_completion_tokens is not None:
            sent.pop("max_tokens", None)
        return sent

    def answer_length(self) -> int | None:
        """Return the length asked for; the newer of OpenAI's two names wins."""
        return self.max_completion_tokens or self.max_tokens

    def check_together(self) -> None:
        """Check that no field is given without the one that it is about.

        Raises:
            InvalidRequest: one is.

        """
        if self.stream_options is not None and not self.stream:
            raise _lonely("stream_options", "stream is true")
        if self.top_logprobs is not None and not self.logprobs:
            raise _lonely("top_logprobs", "logprobs is true")
        for name in ("tool_choice", "parallel_tool_calls"):
            if self.tools is None and getattr(self, name) is not None:
                raise _lonely(name, "there are tools")
        known = {tool.function.name for tool in self.tools or ()}
        if (
            isinstance(self.tool_choice, NamedChoice)
            and self.tool_choice.function.name not in known
        ):
            raise InvalidRequest(
                "tool_choice must name one of the tools", param="tool_choice", code="invalid_value"
            )


class WantedRequest(ChatRequest):
    """A request to revise an answer, read for how the revision is wanted."""

    answer: Annotated[str, Field(min_length=1)]


class AnswerRequest(Asked):
    """A request to critique or revise an answer that the caller has."""

    answer: Annotated[str, Field(min_length=1)]


Read = TypeVar("Read", bound=Asked)
Form = TypeVar("Form", bound=BaseModel)


async def read_body(request: Request, kind: type[Read]) -> Read:
    """Read and check a request body.

    Raises:
        InvalidRequest: naming the parameter at fault and never repeating what it held.

    """
    check_encoding(request)
    return checked(_fields_of(await body_of(request)), kind)


def checked(fields: Mapping[str, object], kind: type[Read]) -> Read:
    """Return the request that these fields make, once all its rules are checked.

    Raises:
        InvalidRequest: as `read_body`.

    """
    body = _formed(without_refused(fields), kind)
    check_turns(body.messages)
    if isinstance(body, ChatRequest):
        check_unknown(body.model_extra or {})
        for number, tool in enumerate(body.tools or ()):
            check_inside(tool.model_extra or {}, f"tools.{number}")
            check_inside(tool.function.model_extra or {}, f"tools.{number}.function")
        body.check_together()
    return body


async def read_form(request: Request, kind: type[Form]) -> Form:
    """Read a request body of that form, which is no conversation as chat completions have it.

    Raises:
        InvalidRequest: naming the parameter at fault and never repeating what it held.

    """
    check_encoding(request)
    return parse_body(await body_of(request), kind)


def parse_body(body: bytes, kind: type[Form]) -> Form:
    """Read a body of that form.

    Raises:
        InvalidRequest: naming the parameter at fault and never repeating what it held.

    """
    return _formed(_fields_of(body), kind)


def check_encoding(request: Request) -> None:
    """Check that the body is sent as JSON, and as it is.

    A web page of another origin can send anything but that without asking first.

    Raises:
        ApiError: it is said to be something else, or is compressed.

    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != JSON:
        raise ApiError(
            f"the request body must be JSON; send it with content-type: {JSON}",
            status=415,
            kind="invalid_request_error",
            code="unsupported_media_type",
        )
    if request.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise InvalidRequest(
            "the request body must not be compressed; send it without content-encoding",
            code="unsupported_content_encoding",
        )


def _fields_of(body: bytes) -> dict[str, object]:
    try:
        fields: object = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise not_json(error) from None
    if not isinstance(fields, dict):
        raise InvalidRequest("the request body must be a JSON object", code="invalid_json")
    return fields


def _formed(fields: dict[str, object], kind: type[Form]) -> Form:
    try:
        return kind.model_validate(fields)
    except ValidationError as error:
        raise complaint(error, kind) from None


def _lonely(name: str, unless: str) -> InvalidRequest:
    return InvalidRequest(
        f"{name} must be left out unless {unless}", param=name, code="invalid_combination"
    )
