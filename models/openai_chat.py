"""One model of an OpenAI-compatible server: whole replies, streamed replies, relayed bytes."""

import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from models import sse
from models.context import Context
from models.errors import MalformedReply, ModelError, ModelRejected, ModelUnavailable
from models.finish import finish_reason
from models.messages import NOTHING, Call, Completion, Delta, Json, Usage
from models.openai_http import OpenAIServer
from models.schema_support import may_be_the_schema, without_schema
from models.thinking import Thinking
from models.thinking_switch import FIELD, may_be_the_switch, without_thinking
from models.tool_calls import GrowingCalls
from models.wire import WireChunk, WireCompletion, parse

log = logging.getLogger("clinalign")


@dataclass(frozen=True, slots=True, kw_only=True)
class Relayed:
    """An upstream's own answer, handed on as it comes."""

    content_type: str
    body: AsyncIterator[bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenAIChatModel:
    """One model of a server; implements `models.protocols.ChatModel`.

    `options` are added to every call, such as a variable of the chat template.
    """

    server: OpenAIServer
    name: str
    options: Mapping[str, Json] = field(default_factory=lambda: NOTHING)

    @property
    def context(self) -> Context:
        """What is known of its context."""
        return self.server.context(self.name)

    def template(self, call: Call) -> Mapping[str, Json]:
        """Return the fields of a call that change what the chat template makes of it."""
        switched = not call.thinks and self.server.takes_switch.get(self.name) is not False
        body = without_thinking(self.options) if switched else self.options
        return {FIELD: body[FIELD]} if FIELD in body else {}

    async def complete(self, call: Call) -> Completion:
        """Return the whole reply, without the schema where the server takes none."""
        if call.schema is None:
            return await self._complete(call)
        takes = self.server.takes_schema.get(self.name)
        if takes is False:
            return await self._complete(without_schema(call))
        try:
            reply = await self._complete(call)
        except ModelRejected as refused:
            if not may_be_the_schema(refused):
                raise
            reply = await self._complete(without_schema(call))
            if takes is None:
                log.warning("the model server takes no JSON schema; hidden steps do without")
                self.server.takes_schema[self.name] = False
            return reply
        self.server.takes_schema[self.name] = True
        return reply

    async def _complete(self, call: Call) -> Completion:
        body = self._body(call)
        reply = await (self.server.fetch(body, call) if call.thinks else self._at_once(body, call))
        return parse(WireCompletion, reply).to_completion()

    async def stream(self, call: Call) -> AsyncIterator[Delta | Completion]:
        """Yield the reply's pieces as they come, then the whole of it.

        Raises:
            ModelUnavailable: the stream ended before the reply did.

        """
        body = self._body(call) | {"stream": True, "stream_options": {"include_usage": True}}
        assembly = Assembly()
        try:
            async with self.server.open(body, call) as reply:
                async for frame in sse.frames(reply.body):
                    data = sse.data_of(frame)
                    if data == sse.DONE:
                        break
                    delta = assembly.add(parse(WireChunk, data)) if data else Delta()
                    if delta != Delta():
                        yield delta
            if (rest := assembly.rest()) != Delta():
                yield rest
            whole = assembly.completion()
        except ModelError as error:
            error.spent = error.spent if error.spent != Usage() else assembly.usage
            raise
        yield whole

    @asynccontextmanager
    async def relay(self, body: Mapping[str, Json], call: Call) -> AsyncIterator[Relayed]:
        """Send the client's own request and hand the answer's bytes on as they come."""
        async with self.server.open({**self.options, **body, "model": self.name}, call) as reply:
            yield Relayed(content_type=reply.content_type, body=reply.body)

    async def _at_once(self, body: Mapping[str, Json], call: Call) -> bytes:
        """Return a reply without thinking, or as it comes where the server has no such switch.

        What the server does with the switch is learned from the first call that tells: one that it
        answers, or one that it refuses with the switch and answers without.
        """
        takes = self.server.takes_switch.get(self.name)
        if takes is False:
            return await self.server.fetch(body, call)
        try:
            reply = await self.server.fetch(without_thinking(body), call)
        except ModelRejected as refused:
            if takes or not may_be_the_switch(refused):
                raise
            reply = await self.server.fetch(body, call)
            self.server.takes_switch[self.name] = False
            return reply
        self.server.takes_switch[self.name] = True
        return reply

    def _body(self, call: Call) -> dict[str, Json]:
        return {**self.options, **call.to_wire(), "model": self.name}


class Assembly:
    """Puts a streamed reply together."""

    def __init__(self) -> None:
        self.usage = Usage()
        self._thinking = Thinking()
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._refusal: list[str] = []
        self._calls = GrowingCalls()
        self._finish_reason: str | None = None

    def add(self, chunk: WireChunk) -> Delta:
        """Take one frame and return what it says.

        Raises:
            MalformedReply: the frame carries an error inside a stream that began well.

        """
        if chunk.failed:
            raise MalformedReply("the model server reported an error inside the stream")
        if chunk.usage is not None:
            self.usage = chunk.usage.to_usage()
        if not chunk.choices:
            return Delta()
        choice = chunk.choices[0]
        self._finish_reason = choice.finish_reason or self._finish_reason
        self._refusal.append(choice.delta.refusal or "")
        for piece in choice.delta.tool_calls:
            self._calls.add(piece)
        words = self._thinking.add(choice.delta.words())
        return self._keep(
            Delta(text=words.text, reasoning=choice.delta.thinking() + words.reasoning)
        )

    def rest(self) -> Delta:
        """Return what was held back, since it looked like the beginning of a tag."""
        return self._keep(self._thinking.rest())

    def completion(self) -> Completion:
        """Return the whole reply; nothing may be held back any more.

        Raises:
            ModelUnavailable: no finish reason came, or one that says that the server gave up, so
                what came is a fragment.
            MalformedReply: it calls a tool, and does not say which.

        """
        if self._finish_reason is None:
            raise ModelUnavailable("the model server's stream ended before the reply did")
        return Completion(
            text="".join(self._text),
            finish_reason=finish_reason(self._finish_reason, self.usage),
            usage=self.usage,
            reasoning="".join(self._reasoning),
            tool_calls=tuple(call.to_wire() for call in self._calls.whole()),
            refusal="".join(self._refusal),
        )

    def _keep(self, delta: Delta) -> Delta:
        self._text.append(delta.text)
        self._reasoning.append(delta.reasoning)
        return delta
