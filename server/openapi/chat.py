"""The chat completion, whole and in chunks."""

from typing import Literal, TypeAlias

from pydantic import JsonValue

from server.openapi.form import Count, Form, OpenForm, not_always
from server.openapi.review import Revision
from server.openapi.usage import Usage

FinishReason: TypeAlias = Literal["stop", "length", "tool_calls", "content_filter", "function_call"]


class AnsweredFunction(OpenForm):
    """The function that is called, and its arguments as JSON in a string, or a piece of that."""

    name: str = not_always()
    arguments: str = not_always()


class AnswerToolCall(OpenForm):
    """A call of a tool that the request offered."""

    id: str = not_always()
    type: str = not_always()
    function: AnsweredFunction = not_always()


class ToolCallPiece(AnswerToolCall):
    """A piece of a call; `index` says of which."""

    index: Count


class Logprobs(Form):
    """Log-probabilities of the tokens, in draft mode only."""

    content: list[dict[str, JsonValue]] | None = not_always()
    refusal: list[dict[str, JsonValue]] | None = not_always()


class UrlCitation(Form):
    """A page that the answer rests on. It bears on the whole answer, so it marks no words."""

    url: str
    title: str
    start_index: Count
    end_index: Count


class Annotation(Form):
    """A remark on the answer, where `revision.include` asked for citations."""

    type: Literal["url_citation"]
    url_citation: UrlCitation


class AnswerMessage(Form):
    """The answer. `reasoning` comes under two names, since clients know one or the other."""

    role: Literal["assistant"]
    content: str | None
    refusal: str | None = not_always()
    tool_calls: list[AnswerToolCall] = not_always()
    function_call: AnsweredFunction = not_always()
    reasoning: str = not_always()
    reasoning_content: str = not_always()
    annotations: list[Annotation] = not_always()


class Choice(Form):
    """One answer and why it ended."""

    index: Count
    message: AnswerMessage
    logprobs: Logprobs | None
    finish_reason: FinishReason


class ChatCompletion(Form):
    """A whole chat completion. `usage` is left out where a draft's model server told none."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    system_fingerprint: str
    choices: list[Choice]
    usage: Usage = not_always()
    revision: Revision


class Delta(Form):
    """What a chunk adds to the answer."""

    role: Literal["assistant"] = not_always()
    content: str = not_always()
    refusal: str = not_always()
    tool_calls: list[ToolCallPiece] = not_always()
    function_call: AnsweredFunction = not_always()
    reasoning: str = not_always()
    reasoning_content: str = not_always()
    annotations: list[Annotation] = not_always()


class ChunkChoice(Form):
    """What a chunk adds to a choice."""

    index: Count
    delta: Delta
    logprobs: Logprobs | None
    finish_reason: FinishReason | None


class StatusLine(Form):
    """What is being done now; the last one is `done`."""

    description: str
    done: bool


class StatusEvent(Form):
    """What Open WebUI shows while the answer is not there yet."""

    type: Literal["status"]
    data: StatusLine


class ChatCompletionChunk(Form):
    """A chunk. `revision` stands on each that has a `finish_reason`.

    Two kinds have no choices, and come only where they were asked for: that with the `usage`, and
    those with an `event`.
    """

    id: str
    object: Literal["chat.completion.chunk"]
    created: int
    model: str
    system_fingerprint: str
    choices: list[ChunkChoice]
    usage: Usage | None = not_always()
    revision: Revision = not_always()
    event: StatusEvent = not_always()
