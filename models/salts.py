"""Salts for an engine's prefix cache, so that one tenant cannot time what another has asked.

An engine answers sooner when it has seen a prompt's beginning before, whoever sent it; a client
that guesses at another's words can tell a right guess by the clock. vLLM keeps cached prefixes
apart by the field `cache_salt`. Other servers may refuse a request for a field they do not know, so
it goes only to models that the server's own list says vLLM runs.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress

from models.errors import ModelError
from models.messages import Call, Json
from models.wire import ModelCard

FIELD = "cache_salt"
PATHS = frozenset({"/chat/completions", "/completions"})
LOOK_S = 1.0
"""How long the first call to a model that nobody has listed yet waits to hear who runs it."""


class Salts:
    """Knows which models take a salt. `models` asks the server for its list."""

    def __init__(self, models: Callable[[], Awaitable[Sequence[ModelCard]]]) -> None:
        self._models = models
        self._takes: dict[str, bool] = {}
        self._asking = asyncio.Lock()

    def hear(self, cards: Sequence[ModelCard]) -> None:
        """Take what a list of models says of who runs them."""
        self._takes.update({card.id: card.is_vllm for card in cards})

    async def added(self, body: Mapping[str, Json], call: Call, path: str) -> Mapping[str, Json]:
        """Return the request with the call's salt, if it has one and the engine takes it."""
        model = body.get("model")
        if not call.salt or path not in PATHS or FIELD in body or not isinstance(model, str):
            return body
        if model not in self._takes:
            await self._look(model)
        return {**body, FIELD: call.salt} if self._takes[model] else body

    async def _look(self, model: str) -> None:
        async with self._asking:
            if model in self._takes:
                return
            with suppress(ModelError, TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    self.hear(await self._models())
            self._takes.setdefault(model, False)
