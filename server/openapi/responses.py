"""The response of the Responses API, whole and event by event."""

from typing import Literal, TypeAlias

from pydantic import JsonValue

from server.openapi.form import Count, Form, not_always
from server.openapi.review import Revision

ItemStatus: TypeAlias = Literal["in_progress", "completed", "incomplete"]
EventType: TypeAlias = Literal[
    "response.created",
    "response.in_progress",
    "response.output_item.added",
    "response.content_part.added",
    "response.reasoning_text.delta",
    "response.reasoning_text.done",
    "response.output_text.delta",
    "response.output_text.done",
    "response.output_text.annotation.added",
    "response.refusal.delta",
    "response.refusal.done",
    "response.function_call_arguments.delta",
    "response.function_call_arguments.done",
    "response.content_part.done",
    "response.output_item.done",
    "response.completed",
    "response.incomplete",
    "response.failed",
]


class OutputAnnotation(Form):
    """A page that the answer rests on. It bears on the whole answer, so it marks no words."""

    type: Literal["url_citation"]
    url: str
    title: str
    start_index: Count
    end_index: Count


class OutputText(Form):
    """Words of the answer."""

    type: Literal["output_text"]
    text: str
    annotations: list[OutputAnnotation]
    logprobs: list[JsonValue]


class OutputRefusal(Form):
    """Why the model gives no answer."""

    type: Literal["refusal"]
    refusal: str


class ReasoningText(Form):
    """Words of the model's reasoning."""

    type: Literal["reasoning_text"]
    text: str


class OutputMessage(Form):
    """The answer."""

    id: str
    type: Literal["message"]
    role: Literal["assistant"]
    status: ItemStatus
    content: list[OutputText | OutputRefusal]


class OutputReasoning(Form):
    """The model's reasoning, where the request asked to see it; there is never a summary."""

    id: str
    type: Literal["reasoning"]
    status: ItemStatus
    summary: list[JsonValue]
    content: list[ReasoningText]


class OutputCall(Form):
    """A call of a function that the client has to run; the arguments are JSON in a string."""

    id: str
    type: Literal["function_call"]
    status: ItemStatus
    call_id: str
    name: str
    arguments: str


OutputItem: TypeAlias = OutputMessage | OutputReasoning | OutputCall


class InputDetails(Form):
    """Of the input's tokens, those that the model server had in its cache."""

    cached_tokens: Count
    cache_write_tokens: Count


class OutputDetails(Form):
    """Of the output's tokens, those of reasoning."""

    reasoning_tokens: Count


class ResponseUsage(Form):
    """The tokens of all calls behind a response, hidden ones too."""

    input_tokens: Count
    input_tokens_details: InputDetails
    output_tokens: Count
    output_tokens_details: OutputDetails
    total_tokens: Count


class ResponseError(Form):
    """Why a stream came to nothing."""

    code: Literal["server_error", "invalid_prompt"]
    message: str
    type: str
    param: str | None


class IncompleteDetails(Form):
    """Why a response ended early."""

    reason: Literal["max_output_tokens", "content_filter"]


class RepeatedTool(Form):
    """A tool of the request."""

    type: Literal["function"]
    name: str
    description: str | None
    parameters: dict[str, JsonValue] | None
    strict: bool | None


class RepeatedChoice(Form):
    """The tool choice of the request, where it names a function."""

    type: Literal["function"]
    name: str


class RepeatedReasoning(Form):
    """The reasoning that the request asked for."""

    effort: str | None
    summary: None


class RepeatedText(Form):
    """The form of the answer that the request asked for."""

    format: dict[str, JsonValue]
    verbosity: Literal["low", "medium", "high"] = not_always()


class Response(Form):
    """A response. The fields from `instructions` on repeat the request."""

    id: str
    object: Literal["response"]
    created_at: int
    completed_at: int = not_always()
    status: Literal["in_progress", "completed", "incomplete", "failed"]
    background: Literal[False]
    error: ResponseError | None
    incomplete_details: IncompleteDetails | None
    model: str
    output: list[OutputItem]
    usage: ResponseUsage | None
    revision: Revision = not_always()
    instructions: str | None
    max_output_tokens: int | None
    metadata: dict[str, str]
    parallel_tool_calls: bool
    previous_response_id: None
    reasoning: RepeatedReasoning
    service_tier: str
    temperature: float | None
    text: RepeatedText
    tool_choice: Literal["none", "auto", "required"] | RepeatedChoice
    tools: list[RepeatedTool]
    top_p: float | None
    truncation: str


class ResponseEvent(Form):
    """An event of a stream; which fields it has goes by its type, as in OpenAI's API."""

    type: EventType
    sequence_number: Count
    response: Response = not_always()
    output_index: Count = not_always()
    content_index: Count = not_always()
    item_id: str = not_always()
    item: OutputItem = not_always()
    part: OutputText | OutputRefusal | ReasoningText = not_always()
    delta: str = not_always()
    text: str = not_always()
    refusal: str = not_always()
    arguments: str = not_always()
    logprobs: list[JsonValue] = not_always()
    annotation: OutputAnnotation = not_always()
    annotation_index: Count = not_always()
