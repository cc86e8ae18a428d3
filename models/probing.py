"""Finding out about replicas that are out or have long been silent.

A probe is a question for the list of models and then one token, since a server whose engine hangs
still lists its models. What a replica lists must hold a model that is in use.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from models.errors import ModelError, ModelRejected, ModelUnavailable
from models.replica import Replica
from models.replicas import Replicas
from models.wire import ModelCard

log = logging.getLogger("clinalign")

PROBE_S = 5.0
TICK_S = 0.1


class Prober:
    """Probes replicas when they are due. `cards` and `probe` raise `ModelError`.

    Args:
        replicas: whom to watch; a single one is left alone.
        cards: asks a replica for its models.
        probe: has a replica say one token of a model, by a deadline of the loop's clock.

    """

    def __init__(
        self,
        replicas: Replicas,
        *,
        cards: Callable[[Replica], Awaitable[tuple[ModelCard, ...]]],
        probe: Callable[[Replica, str, float], Awaitable[None]],
    ) -> None:
        self._replicas = replicas
        self._cards = cards
        self._probe = probe
        self._watch: asyncio.Task[None] | None = None
        self._probes: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Begin to watch."""
        if len(self._replicas.all) > 1:
            self._watch = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Stop, and wait until it has."""
        tasks = [*self._probes, *([self._watch] if self._watch else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            for replica in self._replicas.due():
                replica.probe_began()
                task = asyncio.create_task(self._settle(replica))
                self._probes.add(task)
                task.add_done_callback(self._probes.discard)

    async def _settle(self, replica: Replica) -> None:
        """Probe one replica; on its way out it gives up what is open on it."""
        was_out = replica.is_out
        try:
            async with asyncio.timeout(PROBE_S):
                await self._ask(replica)
        except (ModelError, TimeoutError):
            replica.probe_ended(well=False)
        else:
            replica.probe_ended(well=True)
        if replica.is_out and not was_out:
            log.warning("replica %s is out: it answers nothing", self._name(replica))
            gone = ModelUnavailable("the model server has stopped answering")
            for call in tuple(replica.calls):
                call.blow(gone)
        elif was_out and not replica.is_out:
            log.warning("replica %s is in again", self._name(replica))

    async def _ask(self, replica: Replica) -> None:
        """Ask for the models, then for a token.

        Raises:
            ModelError: the replica is not well, or offers nothing that the others do.

        """
        offered = [card.id for card in await self._cards(replica)]
        known = [one.models for one in self._replicas.all if one is not replica and one.models]
        fitting = [name for name in offered if not known or any(name in more for more in known)]
        if not fitting:
            raise ModelUnavailable("the replica offers another model than the others")
        try:
            await self._probe(replica, fitting[0], asyncio.get_running_loop().time() + PROBE_S)
        except ModelRejected:
            return  # it answers; a server of embeddings has no chat

    def _name(self, replica: Replica) -> int:
        """Return the replica's number in the settings; its URL may hold a secret."""
        return self._replicas.all.index(replica) + 1
