"""A request for a response, and the chat request that it comes to.

Only what the Responses API calls by another name stands here. Fields that both APIs share go on
to `ChatRequest`, which checks them and knows which of them a model server may see. What a server
without a store of responses and without tools of its own cannot do is refused by name.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, Tag

from models.messages import Json
from server.chat_fields import StreamOptions
from server.errors import InvalidRequest
from server.responses.items import Item
from server.responses.options import AnyChoice, FunctionTool, Reasoning, TextOptions
from server.responses.turns import Turns, turns_of
from server.schemas import MOST_MESSAGES, MOST_TOKENS, MOST_TOOLS, ChatRequest, checked
from server.wire_fields import Body, Flag, Whole, chosen_by, mistake

NOT_KEPT = "is not supported: responses are not kept here; send the whole conversation in input"
UNSUPPORTED: Mapping[str, str] = {
    "previous_response_id": NOT_KEPT,
    "conversation": NOT_KEPT,
    "prompt": "is not supported: there are no stored prompts; send the text in instructions",
    "background_options": "is not supported; leave it out and wait for the answer, or stream it",
    "context_management": "is not supported: no conversation is shortened here; leave it out",
    "max_tool_calls": "is not supported: it is about built-in tools; leave it out",
    "moderation": "is not supported; leave it out",
    "image": "is not supported: answers are text; leave it out",
    "access_programs": "is not supported; leave it out",
    "prompt_cache_options": "is not supported; leave it out",
    "prompt_cache_retention": "is not supported; leave it out",
    "messages": "belongs to chat completions; send the conversation in input",
    "max_tokens": "belongs to chat completions; use max_output_tokens",
    "max_completion_tokens": "belongs to chat completions; use max_output_tokens",
    "response_format": "belongs to chat completions; use text.format",
    "reasoning_effort": "belongs to chat completions; use reasoning.effort",
    "verbosity": "belongs to chat completions; use text.verbosity",
    "n": "belongs to chat completions: a response is one answer; leave it out",
    "logprobs": "belongs to chat completions; leave it out",
}
"""Fields that are refused unless they are null."""


def _wait(value: bool | None) -> bool | None:  # noqa: FBT001  # pydantic's form
    if value:
        raise mistake("unsupported_value", "must not be true; wait for the answer, or stream it")
    return value


NOT_THERE = frozenset({"reasoning.encrypted_content"})
"""What may be asked for although no answer here ever has it: SDKs ask for it unasked."""


def _nothing(value: Sequence[str] | None) -> Sequence[str] | None:
    if not NOT_THERE.issuperset(value or ()):
        raise mistake(
            "unsupported_value",
            "must be empty or 'reasoning.encrypted_content': there is nothing else to include",
        )
    return value


def _no_logprobs(value: int | None) -> int | None:
    if value:
        raise mistake("unsupported_value", "must be 0: log-probabilities are not given here")
    return value


def _input_tag(value: object) -> str | None:
    if isinstance(value, str):
        return "<words>"
    return "<items>" if isinstance(value, list | tuple) else None


Input = Annotated[
    Annotated[str, Field(min_length=1), Tag("<words>")]
    | Annotated[tuple[Item, ...], Field(min_length=1, max_length=MOST_MESSAGES), Tag("<items>")],
    chosen_by(_input_tag, "must be a string or an array of items"),
]


class ResponsesRequest(Body):
    """A request for a response."""

    input: Input
    instructions: str | None = None
    max_output_tokens: Annotated[Whole, Field(ge=1, le=MOST_TOKENS)] | None = None
    tools: Annotated[tuple[FunctionTool, ...], Field(max_length=MOST_TOOLS)] | None = None
    tool_choice: AnyChoice | None = None
    parallel_tool_calls: Flag | None = None
    text: TextOptions | None = None
    reasoning: Reasoning | None = None
    stream: Flag | None = None
    stream_options: StreamOptions | None = None
    truncation: Literal["auto", "disabled"] | None = None
    background: Annotated[Flag | None, AfterValidator(_wait)] = None
    include: Annotated[tuple[str, ...] | None, AfterValidator(_nothing)] = None
    top_logprobs: Annotated[Whole | None, AfterValidator(_no_logprobs)] = None


def to_chat(request: ResponsesRequest) -> ChatRequest:
    """Return the chat request that the request comes to.

    Raises:
        InvalidRequest: it cannot be served; `param` names the field of the Responses API.

    """
    extra = request.model_extra or {}
    for name, said in UNSUPPORTED.items():
        if extra.get(name) is not None:
            raise InvalidRequest(f"{name} {said}", param=name, code="unsupported_parameter")
    if request.stream_options is not None and not request.stream:
        raise InvalidRequest(
            "stream_options must be left out unless stream is true",
            param="stream_options",
            code="invalid_combination",
        )
    turns = Turns()
    if request.instructions:
        turns.add("instructions", role="system", content=request.instructions)
    if isinstance(request.input, str):
        turns.add("input", role="user", content=request.input)
    else:
        turns_of(request.input, turns)
    fields: dict[str, object] = {
        **{name: value for name, value in extra.items() if name not in UNSUPPORTED},
        **_translated(request),
        "messages": turns.turns,
    }
    with in_its_own_words(turns.places):
        return checked(fields, ChatRequest)


def _translated(request: ResponsesRequest) -> dict[str, Json]:
    """Return the fields that chat completions call by another name, as far as they are given."""
    fields: dict[str, Json] = {"max_completion_tokens": request.max_output_tokens}
    if request.stream:
        fields["stream"] = True
        fields["stream_options"] = {"include_usage": True}
    if request.text is not None:
        fields["response_format"] = request.text.to_chat()
        fields["verbosity"] = request.text.verbosity
    if request.reasoning is not None:
        fields["reasoning_effort"] = request.reasoning.effort
    choice = request.tool_choice
    if request.tools:
        fields["tools"] = [tool.to_chat() for tool in request.tools]
        fields["parallel_tool_calls"] = request.parallel_tool_calls
        fields["tool_choice"] = choice.to_chat() if isinstance(choice, Body) else choice
    elif choice not in (None, "auto", "none"):
        raise InvalidRequest(
            "tool_choice must be left out unless there are tools",
            param="tool_choice",
            code="invalid_combination",
        )
    return {name: value for name, value in fields.items() if value is not None}


@contextmanager
def in_its_own_words(places: Sequence[str]) -> Iterator[None]:
    """Let complaints about the chat request name the field of the Responses API."""
    try:
        yield
    except InvalidRequest as error:
        if error.param is None or (param := _named(error.param, places)) == error.param:
            raise
        message = error.message.replace(error.param, param)
        raise InvalidRequest(message, param=param, code=error.code) from None


_NAMES: Mapping[str, str] = {
    "max_completion_tokens": "max_output_tokens",
    "response_format.json_schema": "text.format",
    "response_format": "text.format",
    "reasoning_effort": "reasoning.effort",
    "verbosity": "text.verbosity",
    "messages": "input",
}


def _named(param: str, places: Sequence[str]) -> str:
    root, _, rest = param.partition(".")
    number, _, inner = rest.partition(".")
    if root == "messages" and number.isdigit() and int(number) < len(places):
        place = places[int(number)]
        item_field = inner.partition(".")[0]
        known = {"tool_call_id": "call_id", "tool_calls": ""}.get(item_field, inner)
        return f"{place}.{known}" if known and place.startswith("input.") else place
    if root in {"tools", "tool_choice"}:
        return param.replace(".function", "", 1)
    for name, ours in _NAMES.items():
        if param == name or param.startswith(f"{name}."):
            return ours + param.removeprefix(name)
    return param
