"""One model's context: how long it is, and how many tokens a prompt takes of it.

The server that runs the model knows both best. Ways to ask for a count differ: vLLM counts
messages, llama.cpp renders them and then counts text. Which one a server speaks is found out with
a harmless word, so that no conversation is ever sent to a route that may not exist.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

import orjson

from models.errors import MalformedReply, ModelError, ModelRejected
from models.messages import Call, Json, Message, merge_system
from models.wire import ModelCard

Dialect = Literal["vllm", "llama.cpp", "none"]

ASK_S = 2.0
"""A count that takes longer is not worth its time."""

LOOK_S = 1.0
AGAIN_S = 60.0
"""How long what a server could not tell is not asked again."""

TEMPLATE_OPTION = "chat_template_kwargs"
HELLO = (Message(role="user", content="Hello"),)


class Server(Protocol):
    """What this needs of a model server."""

    async def models(self) -> tuple[ModelCard, ...]:
        """Return the models that the server offers."""

    async def ask(self, path: str, body: Mapping[str, Json], call: Call) -> bytes:
        """Return the reply to a side question."""


class Context:
    """What is known of one model's context; shared by all requests."""

    def __init__(self, server: Server, model: str) -> None:
        self._server = server
        self._model = model
        self._length: int | None = None
        self._length_at = float("-inf")
        self._dialect: Dialect | None = None
        self._dialect_at = float("-inf")
        self._asking = asyncio.Lock()

    def tell(self, length: int | None) -> None:
        """Note what the list of models says, so that nobody has to ask for it."""
        self._length = length
        self._length_at = time.monotonic()

    async def length(self) -> int | None:
        """Return the context in tokens; None where the server does not tell."""
        if self._length is None and _is_old(self._length_at):
            async with self._asking:
                if _is_old(self._length_at):
                    self.tell(await self._listed())
        return self._length

    async def count(
        self, messages: Sequence[Message], options: Mapping[str, Json], affinity: str
    ) -> int | None:
        """Return a prompt's tokens, all that the template adds included; None if nobody counts."""
        async with self._asking:
            if self._dialect in {None, "none"} and _is_old(self._dialect_at):
                self._dialect = await self._spoken(options)
                self._dialect_at = time.monotonic()
        try:
            return await self._counted(self._dialect or "none", messages, options, affinity)
        except ModelError:
            return None

    async def _listed(self) -> int | None:
        try:
            async with asyncio.timeout(LOOK_S):
                cards = await self._server.models()
        except (ModelError, TimeoutError):
            return None
        return next((card.context_length() for card in cards if card.id == self._model), None)

    async def _spoken(self, options: Mapping[str, Json]) -> Dialect | None:
        """Find out how the server counts; None while it cannot say."""
        dialects: tuple[Dialect, ...] = ("vllm", "llama.cpp")
        for dialect in dialects:
            try:
                await self._counted(dialect, HELLO, options, "")
            except (ModelRejected, MalformedReply):
                continue
            except ModelError:
                return None
            return dialect
        return "none"

    async def _counted(
        self,
        dialect: Dialect,
        messages: Sequence[Message],
        options: Mapping[str, Json],
        affinity: str,
    ) -> int | None:
        turns: list[Json] = [turn.to_wire() for turn in merge_system(tuple(messages))]
        asked: dict[str, Json] = {"messages": turns}
        if TEMPLATE_OPTION in options:
            asked[TEMPLATE_OPTION] = options[TEMPLATE_OPTION]
        if dialect == "none":
            return None
        if dialect == "vllm":
            asked |= {"model": self._model, "add_generation_prompt": True}
            count = (await self._ask("/tokenize", asked, affinity)).get("count")
        else:
            prompt = (await self._ask("/apply-template", asked, affinity)).get("prompt")
            if not isinstance(prompt, str):
                raise MalformedReply("the model server rendered no prompt")
            text: dict[str, Json] = {"content": prompt, "add_special": True, "parse_special": True}
            tokens = (await self._ask("/tokenize", text, affinity)).get("tokens")
            count = len(tokens) if isinstance(tokens, list) else None
        if not isinstance(count, int) or count <= 0:
            raise MalformedReply("the model server counted no tokens")
        return count

    async def _ask(
        self, path: str, body: Mapping[str, Json], affinity: str
    ) -> Mapping[str, object]:
        deadline = asyncio.get_running_loop().time() + ASK_S
        call = Call(step="tokenize", messages=(), deadline=deadline, affinity=affinity)
        try:
            reply = orjson.loads(await self._server.ask(path, body, call))
        except orjson.JSONDecodeError:
            raise MalformedReply("the model server's count is not JSON") from None
        return reply if isinstance(reply, dict) else {}


def _is_old(at: float) -> bool:
    return time.monotonic() - at > AGAIN_S
