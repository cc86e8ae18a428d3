"""The model ids that clients may name, and what each means.

For an upstream model NAME: NAME reviews in `standard` mode, NAME-fast, NAME-thorough and
NAME-draft in theirs. An exact upstream id beats a reading as suffix.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from models.errors import ModelError, ModelUnavailable
from models.wire import ModelCard
from revision.policy import Mode
from server.errors import UnknownModel

FRESH_S = 30.0
SUFFIXES: dict[str, Mode] = {"-fast": "fast", "-thorough": "thorough", "-draft": "draft"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What a model id means; `context` in tokens where known."""

    model: str
    mode: Mode
    context: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A model id as `/v1/models` shows it; `context` in tokens where known."""

    id: str
    choice: Choice
    context: int | None


class Catalog:
    """Knows the upstream's models; asks again when what it knows is old.

    `only` narrows them to one. A model server that is down keeps the list it had. At most one
    request for the list is under way, and who names a model of an older list does not wait for it.
    """

    def __init__(
        self,
        fetch: Callable[[], Awaitable[tuple[ModelCard, ...]]],
        *,
        only: str | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._fetch = fetch
        self._only = only
        self._clock = clock
        self._cards: tuple[ModelCard, ...] = ()
        self._asked_at: float | None = None
        self._asking: asyncio.Task[ModelError | None] | None = None

    async def cards(self) -> tuple[ModelCard, ...]:
        """Return the upstream's models, as they are now unless they were asked for lately.

        Raises:
            ModelError: the upstream was never reached, and is not now.

        """
        if self._is_old():
            try:
                await self.check()
            except ModelError:
                if not self._cards:
                    raise
        return self._cards

    async def check(self) -> None:
        """Ask the upstream now, or wait for the answer of whoever has just asked.

        Raises:
            ModelError: it does not answer, or lacks the model that the settings name.

        """
        error = await asyncio.shield(self._refresh())
        if error is not None:
            raise error

    async def resolve(self, model_id: str) -> Choice:
        """Return what the id means.

        Raises:
            UnknownModel: there is no such model.
            ModelError: the upstream was never reached.

        """
        if self._cards and self._is_old():
            # A model that was there a while ago most likely still is: nobody waits to hear it.
            self._refresh()
            if (choice := self._read(model_id)) is not None:
                return choice
        await self.cards()
        if (choice := self._read(model_id)) is not None:
            return choice
        raise UnknownModel

    async def listed(self) -> tuple[Listed, ...]:
        """Return every id that `resolve` knows, each model's plain name first.

        Raises:
            ModelError: the upstream was never reached.

        """
        ids: dict[str, Listed] = {}
        cards = await self.cards()
        for card in cards:
            context = card.context_length()
            readings: dict[str, Mode] = {"": "standard", **SUFFIXES}
            for suffix, mode in readings.items():
                choice = Choice(model=card.id, mode=mode, context=context)
                listed = Listed(id=card.id + suffix, choice=choice, context=context)
                if not suffix or all(listed.id != other.id for other in cards):
                    ids.setdefault(listed.id, listed)
        return tuple(ids.values())

    def _is_old(self) -> bool:
        return self._asked_at is None or self._clock() - self._asked_at > FRESH_S

    def _read(self, model_id: str) -> Choice | None:
        contexts = {card.id: card.context_length() for card in self._cards}
        if model_id in contexts:
            return Choice(model=model_id, mode="standard", context=contexts[model_id])
        for suffix, mode in SUFFIXES.items():
            name = model_id.removesuffix(suffix)
            if name != model_id and name in contexts:
                return Choice(model=name, mode=mode, context=contexts[name])
        return None

    def _refresh(self) -> asyncio.Task[ModelError | None]:
        """Ask the upstream in the background, unless that is under way already."""
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask())
        return self._asking

    async def _ask(self) -> ModelError | None:
        """Ask the upstream, and return why it did not tell."""
        try:
            self._cards = self._chosen(await self._fetch())
        except ModelError as error:
            if self._cards:
                self._asked_at = self._clock()  # one that is down is not asked for every request
            return error
        self._asked_at = self._clock()
        return None

    def _chosen(self, cards: tuple[ModelCard, ...]) -> tuple[ModelCard, ...]:
        chosen = tuple(card for card in cards if self._only in {None, card.id})
        if not chosen:
            raise ModelUnavailable("the model server does not offer the model that is configured")
        return chosen
