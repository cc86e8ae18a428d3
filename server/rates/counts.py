"""Counters with an end, in this process or shared by several gateways through Redis or Valkey.

While the shared ones cannot be reached, this gateway counts by itself: patients get no answer from
a gateway that waits for its counters, and a limit that is somewhat wide for a while harms nobody.
The log and a metric say so. Counters that came back are asked again after a few seconds.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from limits.aio.storage import MemoryStorage, RedisStorage
from limits.errors import StorageError
from redis.asyncio import BlockingConnectionPool

ANSWER_S = 0.5
"""Longest wait for the shared counters."""

CONNECTIONS = 32

RETRY_S = 5.0
"""How long this gateway counts by itself before it asks them again."""

PREFIX = "clinalign"

log = logging.getLogger("clinalign")


class Counts:
    """The counters. Without `shared` they are this process's own."""

    def __init__(self, shared: RedisStorage | None = None) -> None:
        self._shared = shared
        self._own = MemoryStorage()
        self._away_until: float | None = None

    @property
    def is_local(self) -> bool:
        """Whether this gateway counts by itself although it should not."""
        return self._away_until is not None

    async def add(self, name: str, amount: int, *, lasts_s: int) -> int:
        """Add to a counter, a new one lasting so long, and return what it stands at."""
        if (shared := self._reachable()) is not None:
            try:
                async with asyncio.timeout(ANSWER_S):
                    count = await shared.incr(name, lasts_s, amount)
            except (StorageError, TimeoutError) as error:
                self._lost(error)
            else:
                self._found()
                return count
        return await self._own.incr(name, lasts_s, amount)

    async def take_back(self, name: str, amount: int, *, lasts_s: int) -> None:
        """Take from a counter what was added to it; never below nothing, which would be a credit.

        A counter falls below where what was added went to counters that are out of reach now.
        """
        count = await self.add(name, -amount, lasts_s=lasts_s)
        if count < 0:
            await self.add(name, -count, lasts_s=lasts_s)

    async def read(self, name: str) -> int:
        """Return what a counter stands at."""
        if (shared := self._reachable()) is not None:
            try:
                async with asyncio.timeout(ANSWER_S):
                    return await shared.get(name)
            except (StorageError, TimeoutError) as error:
                self._lost(error)
        return await self._own.get(name)

    def _reachable(self) -> RedisStorage | None:
        now = asyncio.get_running_loop().time()
        if self._away_until is not None and now < self._away_until:
            return None
        return self._shared

    def _lost(self, error: Exception) -> None:
        if self._away_until is None:
            cause = type(error.__cause__ or error).__name__
            log.warning("limits: the shared counters do not answer (%s); counting alone", cause)
        self._away_until = asyncio.get_running_loop().time() + RETRY_S

    def _found(self) -> None:
        if self._away_until is not None:
            log.warning("limits: the shared counters answer again")
        self._away_until = None


@asynccontextmanager
async def open_counts(url: str | None) -> AsyncIterator[Counts]:
    """Open the counters at that URL, or this process's own. Redis's client speaks Valkey too."""
    if url is None:
        yield Counts()
        return
    place = f"redis{url.removeprefix('redis').removeprefix('valkey')}"
    pool = BlockingConnectionPool.from_url(
        place,
        timeout=ANSWER_S,
        socket_timeout=ANSWER_S,
        socket_connect_timeout=ANSWER_S,
        max_connections=CONNECTIONS,
    )
    shared = RedisStorage(
        f"async+{place}",
        wrap_exceptions=True,
        implementation="redispy",
        key_prefix=PREFIX,
        connection_pool=pool,  # type: ignore[arg-type]  # taken as documented; typed as a scalar
    )
    try:
        yield Counts(shared)
    finally:
        await pool.aclose()
