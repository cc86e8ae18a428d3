"""Models whose every call takes a slot, is charged, and is ended when the gateway stops."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

from models.errors import ModelError
from models.messages import Call, Completion, Delta
from models.protocols import ChatModel
from server.admission import Ticket

Opened = TypeVar("Opened")


@dataclass(frozen=True, slots=True, kw_only=True)
class Admitted:
    """A model behind admission; implements `models.protocols.ChatModel`."""

    model: ChatModel
    ticket: Ticket

    @property
    def name(self) -> str:
        """The model's own name."""
        return self.model.name

    async def complete(self, call: Call) -> Completion:
        """Return the whole reply."""
        async with self.ticket.slot(), self.ticket.fuse.waiting():
            try:
                reply = await self.model.complete(call)
            except ModelError as error:
                self.ticket.spent += error.spent.total_tokens
                raise
            self.ticket.spent += reply.usage.total_tokens
            return reply

    async def stream(self, call: Call) -> AsyncIterator[Delta | Completion]:
        """Yield the reply's pieces as they come, then the whole of it."""
        async with self.ticket.slot():
            pieces = self.model.stream(call)
            try:
                async for piece in self.ticket.fuse.each(pieces):
                    if isinstance(piece, Completion):
                        self.ticket.spent += piece.usage.total_tokens
                    yield piece
            except ModelError as error:
                self.ticket.spent += error.spent.total_tokens
                raise
            finally:
                if hasattr(pieces, "aclose"):
                    await pieces.aclose()  # the slot is free only when the call has ended


@asynccontextmanager
async def opened(
    ticket: Ticket, opening: AbstractAsyncContextManager[Opened]
) -> AsyncIterator[Opened]:
    """Open one reply in a slot of the request."""
    async with ticket.slot(), AsyncExitStack() as stack:
        async with ticket.fuse.waiting():
            reply = await stack.enter_async_context(opening)
        yield reply
