"""Which of several replicas of one model serves a call.

All calls of one request go to one replica, since its prefix cache holds the request's beginning:
the first call goes where the fewest are open (equals are told apart by rendezvous hashing, which
needs no shared state), and the later ones follow it while that replica is in. When all are out, the
best of them is tried anyway.
"""

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence

from models.replica import Replica

SILENCE_S = 20.0
REMEMBERED = 10_000
"""Requests whose replica is remembered; far more than run at once."""


class Replicas:
    """The replicas of one model server.

    Args:
        urls: their base URLs.
        silence_s: a replica with open calls is probed when no byte of any came for so long.
        clock: the time in seconds.

    """

    def __init__(
        self,
        urls: Sequence[str],
        *,
        silence_s: float = SILENCE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if not urls:
            raise ValueError("a model needs at least one upstream URL")
        bare = dict.fromkeys(url.rstrip("/") for url in urls)
        self.all = tuple(Replica(url, clock=clock, silence_s=silence_s) for url in bare)
        self._homes: OrderedDict[str, str] = OrderedDict()

    def choose(
        self, affinity: str, *, tried: Sequence[str] = (), model: str | None = None
    ) -> Replica:
        """Return the best replica for a call of the request `affinity`, untried where possible."""
        home = self._homes.get(affinity)
        chosen = min(
            self.all,
            key=lambda one: (
                one.lacks(model),
                one.url in tried,
                one.is_out,
                one.rest() > 0,
                one.cools(),
                one.url != home,
                len(one.calls),
                _rank(affinity, one.url),
            ),
        )
        if affinity:
            self._homes[affinity] = chosen.url
            self._homes.move_to_end(affinity)
            if len(self._homes) > REMEMBERED:
                self._homes.popitem(last=False)
        return chosen

    def spare(self, tried: Sequence[str], model: str | None) -> bool:
        """Say whether a replica that is in and untried could take the call."""
        return any(
            not (one.is_out or one.lacks(model) or one.url in tried or one.rest() > 0)
            for one in self.all
        )

    def problems(self) -> tuple[str, ...]:
        """Return what is wrong with which replica, by its number in the settings."""
        offered = frozenset[str]().union(*(one.models or () for one in self.all))
        found = []
        for number, one in enumerate(self.all, start=1):
            if one.is_out:
                found.append(f"replica {number} is out")
            if one.models is not None and one.models != offered:
                found.append(f"replica {number} does not offer every model that the others do")
        return tuple(found)

    def due(self) -> tuple[Replica, ...]:
        """Return the replicas to probe now; a single one has nobody to stand in for it."""
        if len(self.all) == 1:
            return ()
        return tuple(one for one in self.all if one.wants_probe())


def _rank(affinity: str, url: str) -> bytes:
    return hashlib.blake2b(f"{affinity}\0{url}".encode(), digest_size=8).digest()
