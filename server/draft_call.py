"""One call of the mode `draft`: what goes up, what comes back, what it is told as and costs.

The upstream is always asked for the usage of a stream: the extension tells it, whether or not the
client wants the usage chunk.
"""

import secrets
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass

from models import sse
from models.errors import ModelError, ModelUnavailable
from models.messages import Call, Json, Usage, merge_system
from models.openai_http import read_whole
from revision.calls import CallRecord
from server.admission import Ticket
from server.admitted import opened
from server.draft_chunks import Chunk, read
from server.job import Plan
from server.replies import off_extension
from server.schemas import ChatRequest
from server.services import Services
from server.version import system_fingerprint


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftCall:
    """A relayed request under way. `created` in Unix seconds, `started` by performance counter.

    `admitted` returns its ticket once it is let in; `charge` takes the tokens it has cost.
    """

    services: Services
    body: ChatRequest
    plan: Plan
    call: Call
    revision_id: str
    created: int
    started: float
    admitted: Callable[[], Awaitable[Ticket]]
    charge: Callable[[int], None]

    def head(self, kind: str) -> dict[str, Json]:
        """Return what the answer, or every chunk of it, begins with."""
        demo = self.services.settings.is_demo
        return {
            "id": f"chatcmpl-{secrets.token_hex(14)}",
            "object": kind,
            "created": self.created,
            "model": self.body.model,
            "system_fingerprint": system_fingerprint(self.plan.choice.model, "", demo=demo),
        }

    async def whole(self) -> Chunk:
        """Return the upstream's whole answer.

        Raises:
            ApiError: the request was not let in.
            ModelError: there is none, or it is too long.

        """
        ticket = await self.admitted()
        writer = self.services.writer(self.plan.choice.model)
        async with opened(ticket, writer.relay(self._payload(), self.call)) as relayed:
            data = await read_whole(ticket.fuse.each(relayed.body))
        return read(data, "message", choices=self._choices)

    async def chunks(self) -> AsyncGenerator[Chunk, None]:
        """Yield the upstream's chunks as they come."""
        ticket = await self.admitted()
        writer = self.services.writer(self.plan.choice.model)
        begun = False
        async with opened(ticket, writer.relay(self._payload(), self.call)) as relayed:
            async for piece in sse.frames(ticket.fuse.each(relayed.body)):
                if (data := sse.data_of(piece)) == sse.DONE:
                    break
                if data:
                    yield read(data, "delta", choices=self._choices)
                    begun = True
        if not begun:
            raise ModelUnavailable("the model server's stream ended before the reply did")

    def off(self, usage: Usage | None) -> dict[str, Json]:
        """Return the extension that says that nobody has reviewed this, and what it has cost."""
        return off_extension(self.revision_id, self.plan.mode, self.plan.reason, usage)

    def count(self) -> None:
        """Count the answer among the reviews, as one that was none."""
        self.services.metrics.reviews.labels(self.plan.mode, "off", self.plan.reason).inc()

    def book(self, usage: Usage | None, error: Exception | None = None) -> None:
        """Count what the answer has cost, as far as the upstream said."""
        known = error.spent if isinstance(error, ModelError) else None
        record = CallRecord(
            step="draft",
            seconds=time.perf_counter() - self.started,
            usage=usage or known or Usage(),
            error=type(error).__name__ if error else None,
        )
        self.charge(record.usage.total_tokens)
        self.services.metrics.spent([record])

    @property
    def _choices(self) -> int:
        return self.body.n or 1

    def _payload(self) -> dict[str, Json]:
        body = self.body
        sent: dict[str, Json] = body.model_dump(
            mode="json", exclude_unset=True, exclude={"revision"}
        )
        sent["messages"] = [turn.to_wire() for turn in merge_system(body.turns())]
        if body.answer_length() is None and self.services.answer_max_tokens is not None:
            sent["max_tokens"] = self.services.answer_max_tokens
        if body.stream:
            sent["stream_options"] = {"include_usage": True}
        return sent
