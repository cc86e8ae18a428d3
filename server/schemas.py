"""The request bodies, as OpenAI's API and this project's extension define them.

Fields that OpenAI has and we do not name are kept and passed on. Fields that reach into the
engine are refused: a chat template or a grammar from outside is code, or as good as.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Literal, TypeVar

from fastapi import Request
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    ValidationError,
    field_validator,
)

from models.messages import Message
from revision.policy import Mode
from server.departure import body_of
from server.errors import InvalidRequest

REFUSED = frozenset(
    {
        "chat_template",
        "chat_template_kwargs",
        "documents",
        "prompt_embeds",
        "logits_processors",
        "structured_outputs",
        "guided_json",
        "guided_regex",
        "guided_choice",
        "guided_grammar",
        "guided_decoding_backend",
        "grammar",
        "kv_transfer_params",
        "mm_processor_kwargs",
        "media_io_kwargs",
        "best_of",
        "use_beam_search",
        "prompt_logprobs",
        "cache_salt",
        "priority",
        "api_base",
        "base_url",
        "json_schema",
        "vllm_xargs",
        "lora_request",
        "allowed_token_ids",
        "continue_final_message",
        "add_generation_prompt",
        "echo",
    }
)
MOST_CHOICES = 8
MOST_MESSAGES = 1000


class Body(BaseModel):
    """A part of a request."""

    model_config = ConfigDict(extra="allow", frozen=True)


class RevisionOptions(BaseModel):
    """The request extension `revision`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    mode: Mode | None = None
    max_rounds: Annotated[int, Field(ge=0, le=3, strict=True)] | None = None
    top_k: Annotated[int, Field(ge=1, le=20, strict=True)] | None = None
    deadline_ms: Annotated[int, Field(ge=100, le=600_000, strict=True)] | None = None
    include: tuple[Literal["trace"], ...] = ()
    expose: Literal["reasoning"] | None = None


class TextPart(BaseModel):
    """A part of a turn's content; only text can be reviewed."""

    model_config = ConfigDict(extra="allow", frozen=True)

    type: Literal["text"]
    text: str


class ChatMessage(Body):
    """One turn."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | tuple[TextPart, ...] | None = None

    def to_message(self) -> Message:
        """Return the turn with its other fields as they came."""
        content = self.content
        if isinstance(content, tuple):
            content_value: str | tuple[str, ...] | None = tuple(part.text for part in content)
        else:
            content_value = content
        return Message(role=self.role, content=content_value, extra=dict(self.model_extra or {}))


class StreamOptions(Body):
    """OpenAI's `stream_options`."""

    include_usage: bool = False


class Asked(Body):
    """What chat completions, critiques and revisions have in common."""

    model: Annotated[str, Field(min_length=1, max_length=256)]
    messages: Annotated[tuple[ChatMessage, ...], Field(min_length=1, max_length=MOST_MESSAGES)]
    revision: RevisionOptions = RevisionOptions()

    @field_validator("revision", mode="before")
    @classmethod
    def _default_revision(cls, value: object) -> object:
        """Take null for "not given", as OpenAI's API does."""
        return RevisionOptions() if value is None else value

    def turns(self) -> tuple[Message, ...]:
        """Return the conversation."""
        return tuple(message.to_message() for message in self.messages)


class ChatRequest(Asked):
    """A chat completion request."""

    stream: bool = False
    stream_options: StreamOptions | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    seed: int | None = None
    n: Annotated[int, Field(ge=1, le=MOST_CHOICES)] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    response_format: Mapping[str, JsonValue] | None = None
    store: bool | None = None

    @field_validator("stream", mode="before")
    @classmethod
    def _default_stream(cls, value: object) -> object:
        """Take null for "not given", as OpenAI's API does."""
        return False if value is None else value

    def answer_length(self) -> int | None:
        """Return the length asked for; the newer of OpenAI's two names wins."""
        return self.max_completion_tokens or self.max_tokens


class AnswerRequest(Asked):
    """A request to critique or revise an answer that the caller has."""

    answer: Annotated[str, Field(min_length=1)]


WORDS = {"too_short": "must not be empty", "missing": "is required"}
"""Clearer than the validator's own."""

_FIELD_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")

Read = TypeVar("Read", bound=Asked)
Form = TypeVar("Form", bound=BaseModel)


async def read_body(request: Request, kind: type[Read]) -> Read:
    """Read and check a request body.

    Raises:
        InvalidRequest: naming the parameter at fault and never repeating what it held.

    """
    body = parse_body(await body_of(request), kind)
    refused = sorted(REFUSED.intersection(body.model_extra or {}))
    if refused:
        raise InvalidRequest(
            f"the parameter {refused[0]} is not accepted from clients; leave it out",
            param=refused[0],
            code="unsupported_parameter",
        )
    return check_order(body)


def parse_body(body: bytes, kind: type[Form]) -> Form:
    """Read a body of that form.

    Raises:
        InvalidRequest: naming the parameter at fault and never repeating what it held.

    """
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        raise _complaint(error) from None


def check_order(body: Read) -> Read:
    """Check that the conversation waits for an answer.

    Raises:
        InvalidRequest: it ends in another turn than the user's or a tool's.

    """
    last = body.messages[-1]
    if last.role not in {"user", "tool", "function"}:
        raise InvalidRequest(
            f"the conversation must end in a user or tool message, not in one of {last.role}",
            param=f"messages.{len(body.messages) - 1}.role",
        )
    if last.role == "user" and not last.to_message().text.strip():
        raise InvalidRequest(
            "the last message is empty", param=f"messages.{len(body.messages) - 1}.content"
        )
    return body


def _complaint(error: ValidationError) -> InvalidRequest:
    errors = error.errors(include_input=False, include_url=False, include_context=False)
    first = errors[0]
    if first["type"] == "json_invalid":
        return InvalidRequest("the request body is not valid JSON in UTF-8", code="invalid_json")
    if first["loc"]:
        # Of a union's branches, the one that got furthest into the value says most.
        first = max(
            (one for one in errors if one["loc"][0] == first["loc"][0]),
            key=lambda one: len(one["loc"]),
        )
    # A union's branches are named in the location; a client knows only its own fields.
    place = [str(part) for part in first["loc"] if not _is_branch(part)]
    param = ".".join(place) or None
    if param is None:
        return InvalidRequest("the request body must be a JSON object", code="invalid_json")
    if first["type"] == "extra_forbidden" and not _FIELD_NAME.fullmatch(place[-1]):
        # What is no field's name may be a patient's words; only where it stands is told.
        parent = ".".join(place[:-1])
        return InvalidRequest(f"{parent} has a field that is not known", param=parent)
    said = WORDS.get(first["type"]) or first["msg"][0].lower() + first["msg"][1:]
    return InvalidRequest(f"{param}: {said}", param=param)


def _is_branch(part: int | str) -> bool:
    return part == "str" or str(part).startswith("tuple[")
