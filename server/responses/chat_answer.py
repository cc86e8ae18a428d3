"""A chat answer, whole or a chunk of a stream, as far as a response is made of it."""

from collections.abc import Mapping

from pydantic import AliasChoices, Field, JsonValue

from models.wire_parts import Wire


class CalledFunction(Wire):
    """Which function is called; in a stream the arguments come in pieces."""

    name: str | None = None
    arguments: str | None = None


class ToolCall(Wire):
    """A call or a piece of one. `index` says which of several it is, in a stream."""

    index: int | None = None
    id: str | None = None
    function: CalledFunction = CalledFunction()


class UrlCitation(Wire):
    """A page that the answer rests on, and the characters of the answer that it is about."""

    url: str
    title: str
    start_index: int
    end_index: int


class Annotation(Wire):
    """A remark on the answer; there is one kind."""

    url_citation: UrlCitation

    def to_response(self) -> dict[str, JsonValue]:
        """Return the annotation as responses have it: the same, less deep."""
        return {"type": "url_citation", **self.url_citation.model_dump()}


class Words(Wire):
    """What the assistant says, thinks and calls."""

    content: str | None = None
    refusal: str | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None
    tool_calls: tuple[ToolCall, ...] | None = None
    annotations: tuple[Annotation, ...] | None = None

    def thinking(self) -> str:
        """Return the reasoning; it stands under both names at once."""
        return self.reasoning or self.reasoning_content or ""


class Choice(Wire):
    """The answer or a piece of it: chat completions call it a message or a delta."""

    words: Words = Field(default=Words(), validation_alias=AliasChoices("message", "delta"))
    finish_reason: str | None = None


class PromptDetails(Wire):
    """What of the prompt came from the cache."""

    cached_tokens: int | None = None


class CompletionDetails(Wire):
    """What of the answer was thought and not said."""

    reasoning_tokens: int | None = None


class ChatUsage(Wire):
    """What the answer has cost, hidden calls included."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0
    prompt_tokens_details: PromptDetails | None = None
    completion_tokens_details: CompletionDetails | None = None


class ChatAnswer(Wire):
    """A chat completion or a chunk of one. A frame that tells of a failure has `error` alone."""

    choices: tuple[Choice, ...] = ()
    usage: ChatUsage | None = None
    revision: Mapping[str, JsonValue] | None = None
    error: Mapping[str, JsonValue] | None = None
