"""The Response object."""

import secrets
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from models.errors import MalformedReply, ModelUnavailable
from models.messages import Json
from server.errors import ApiError
from server.responses.chat_answer import ChatAnswer, ChatUsage
from server.responses.output import Output
from server.responses.parts import Event
from server.responses.request import ResponsesRequest
from server.schemas import ChatRequest
from server.wire_fields import Body

_REASONS: Mapping[str, str] = {
    "length": "max_output_tokens",
    "content_filter": "content_filter",
}
"""A chat answer's reason to end early, in the words of the Responses API."""

_WHOLE = frozenset({"stop", "tool_calls", "function_call"})


@dataclass(slots=True, kw_only=True)
class Told:
    """A response as it grows with the chat answer that it is made of."""

    request: ResponsesRequest
    chat: ChatRequest
    id: str = field(default_factory=lambda: f"resp_{secrets.token_hex(24)}")
    created: int = field(default_factory=lambda: int(time.time()))
    output: Output = field(default_factory=Output)
    finish_reason: str | None = None
    usage: ChatUsage | None = None
    revision: Mapping[str, Json] | None = None

    def add(self, answer: ChatAnswer) -> Iterator[Event]:
        """Take a chat answer or a chunk of one, and yield the events of what it says."""
        self.usage = answer.usage or self.usage
        self.revision = answer.revision or self.revision
        for choice in answer.choices[:1]:
            self.finish_reason = choice.finish_reason or self.finish_reason
            yield from self.output.add(choice.words)

    def end(self) -> Iterator[Event]:
        """Finish the items.

        Raises:
            ModelUnavailable: the answer has not ended.
            MalformedReply: it ended as no answer does.

        """
        if self.finish_reason is None:
            raise ModelUnavailable("the model server's answer ended before it was whole")
        if self.finish_reason not in {*_WHOLE, *_REASONS}:
            raise MalformedReply("the model server's answer ended for no reason that is known")
        yield from self.output.end(cut=self.finish_reason in _REASONS)

    def begun(self) -> dict[str, Json]:
        """Return the response of which nothing is known yet."""
        return self._body("in_progress")

    def ended(self) -> dict[str, Json]:
        """Return the finished response, with the extension."""
        reason = _REASONS.get(self.finish_reason or "")
        body = self._body("incomplete" if reason else "completed")
        if reason:
            body["incomplete_details"] = {"reason": reason}
        else:
            body["completed_at"] = int(time.time())
        return {**body, "revision": self.revision}

    def failed(self, error: ApiError) -> dict[str, Json]:
        """Return the response that came to nothing, with what was said till then."""
        self.output.abandon()
        ours = error.kind != "invalid_request_error"
        told: Json = {
            "code": "server_error" if ours else "invalid_prompt",
            "message": error.message,
            "type": error.kind,
            "param": error.param,
        }
        return {**self._body("failed"), "error": told}

    def _body(
        self, status: Literal["in_progress", "completed", "incomplete", "failed"]
    ) -> dict[str, Json]:
        return {
            "id": self.id,
            "object": "response",
            "created_at": self.created,
            "status": status,
            "background": False,
            "error": None,
            "incomplete_details": None,
            "model": self.chat.model,
            "output": self.output.items(),
            **_repeated(self.request, self.chat),
            "usage": _usage(self.usage) if self.usage else None,
        }


def _repeated(request: ResponsesRequest, chat: ChatRequest) -> dict[str, Json]:
    """Return what a response repeats of its request, and what holds where that says nothing."""
    choice = request.tool_choice
    text: dict[str, Json] = {"format": {"type": "text"}}
    if request.text is not None:
        text |= request.text.model_dump(mode="json", exclude_none=True)
    effort = request.reasoning.effort if request.reasoning else None
    return {
        "instructions": request.instructions,
        "max_output_tokens": request.max_output_tokens,
        "metadata": dict(chat.metadata or {}),
        "parallel_tool_calls": request.parallel_tool_calls is not False,
        "previous_response_id": None,
        "reasoning": {"effort": effort, "summary": None},
        "service_tier": "default",
        "temperature": chat.temperature,
        "text": text,
        "tool_choice": choice.to_wire() if isinstance(choice, Body) else choice or "auto",
        "tools": [tool.to_wire() for tool in request.tools or ()],
        "top_p": chat.top_p,
        "truncation": "disabled",
    }


def _usage(usage: ChatUsage) -> dict[str, Json]:
    cached = usage.prompt_tokens_details
    thought = usage.completion_tokens_details
    return {
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {
            "cached_tokens": (cached.cached_tokens or 0) if cached else 0,
            "cache_write_tokens": 0,
        },
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {
            "reasoning_tokens": (thought.reasoning_tokens or 0) if thought else 0
        },
        "total_tokens": usage.total_tokens or usage.prompt_tokens + usage.completion_tokens,
    }
