"""Who may call the model server now, who waits, and who is turned away.

What is scarce is calls upstream, not requests: one reviewed answer makes dozens. So slots are
counted in calls. A request needs one to begin; once it has begun, its further calls come before
anything new, oldest request first, so that what was begun is finished and work is not wasted on
many answers that all come too late. New requests wait in a bounded queue, one tenant after the
other, for a bounded time.
"""

import asyncio
import heapq
import math
import random
from collections import OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

from models.errors import ModelUnavailable
from models.fuse import Fuse
from server.errors import Overloaded, ShareUsedUp, Stopping
from server.ladder import Rung, rung_for

Outcome = Literal["granted", "full", "share", "too_late"]
Granted = asyncio.Future[None]

CALLS_AT_ONCE = 128
QUEUE_LENGTH = 128
QUEUE_S = 10.0
SHORTEST_RETRY_S = 1.0
SMOOTHING = 0.2


class Admission:
    """The slots and the queue.

    Args:
        calls_at_once: calls upstream at most at one time.
        queue_length: new requests that may wait.
        queue_s: how long one waits at most.

    """

    def __init__(
        self,
        *,
        calls_at_once: int = CALLS_AT_ONCE,
        queue_length: int = QUEUE_LENGTH,
        queue_s: float = QUEUE_S,
    ) -> None:
        self.running = 0
        self.fuse = Fuse()
        self.outcomes: dict[Outcome, int] = {"granted": 0, "full": 0, "share": 0, "too_late": 0}
        self._calls_at_once = calls_at_once
        self._queue_length = queue_length
        self._queue_s = queue_s
        self._later: list[tuple[int, int, Granted]] = []
        self._new: OrderedDict[str, deque[Granted]] = OrderedDict()
        self._numbers = 0
        self._closed = False
        self._granted_at: float | None = None
        self._interval_s = 0.0

    @property
    def waiting(self) -> int:
        """How many new requests wait."""
        return sum(len(line) for line in self._new.values())

    @property
    def closed(self) -> bool:
        """Whether nothing new may begin any more."""
        return self._closed

    @property
    def pressure(self) -> float:
        """How full the queue is, from 0 to 1."""
        return self.waiting / self._queue_length if self._queue_length else 0.0

    async def enter(self, tenant: str, *, within_s: float = math.inf) -> "Ticket":
        """Wait until a new request of the tenant may begin; the ticket holds its first slot.

        `within_s` is the time that the request has in all.

        Raises:
            ShareUsedUp: the queue is full, and the tenant has its share of it.
            Overloaded: the queue is full, or too slow.
            Stopping: nothing new begins any more.

        """
        if self._closed:
            raise Stopping
        began = asyncio.get_running_loop().time()
        if self.running < self._calls_at_once and not self._later and not self._new:
            self.running += 1
        else:
            await self._queue(tenant, min(within_s, self._queue_s))
        self.outcomes["granted"] += 1
        self._numbers += 1
        waited_s = asyncio.get_running_loop().time() - began
        rung = rung_for(self.pressure)
        return Ticket(self, number=self._numbers, rung=rung, waited_s=waited_s, tenant=tenant)

    async def again(self, number: int) -> None:
        """Wait until request `number`, which has begun, may make another call."""
        if self.running < self._calls_at_once and not self._later:
            self.running += 1
            return
        place: Granted = asyncio.get_running_loop().create_future()
        self._numbers += 1
        heapq.heappush(self._later, (number, self._numbers, place))
        await self._granted(place)

    def release(self) -> None:
        """Give a slot back, and to whoever is next."""
        self.running -= 1
        self._hand_out()

    def close(self) -> None:
        """Let nothing new begin; what waits is turned away."""
        self._closed = True
        for line in self._new.values():
            for place in line:
                if not place.done():
                    place.set_exception(Stopping())
        self._new.clear()

    def hand_back(self) -> None:
        """End every call: requests that have an answer give it, the others an error."""
        self.close()
        self.fuse.blow(ModelUnavailable("the gateway is being restarted; ask again"))

    async def _queue(self, tenant: str, within_s: float) -> None:
        self._make_room(tenant, within_s)
        place: Granted = asyncio.get_running_loop().create_future()
        self._new.setdefault(tenant, deque()).append(place)
        try:
            async with asyncio.timeout(within_s):
                await self._granted(place)
        except TimeoutError:
            raise self._refusal("too_late") from None
        finally:
            self._leave(tenant, place)

    async def _granted(self, place: Granted) -> None:
        """Wait for the slot; one that came together with a cancellation is given back."""
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled() and place.exception() is None:
                self.release()
            raise

    def _make_room(self, tenant: str, within_s: float) -> None:
        """Turn somebody away where the queue is full: the newest of who has most, or this one."""
        waiting = self.waiting
        if waiting and waiting * self._interval_s > within_s:
            raise self._refusal("too_late")
        if waiting < self._queue_length:
            return
        mine = len(self._new.get(tenant, ()))
        greedy = max(self._new, key=lambda name: len(self._new[name]), default=tenant)
        if self._new and len(self._new[greedy]) > mine + 1:
            place = self._new[greedy][-1]
            self._leave(greedy, place)
            place.set_exception(self._refusal("share"))
            return
        others = len(self._new.keys() - {tenant})
        raise self._refusal("share" if others and mine * (others + 1) >= waiting else "full")

    def _refusal(self, outcome: Outcome) -> Overloaded | ShareUsedUp:
        self.outcomes[outcome] += 1
        wait = max(SHORTEST_RETRY_S, min(self._queue_s, self.waiting * self._interval_s))
        # Those who are turned away together must not come back together.
        after = wait * random.uniform(1, 2)  # noqa: S311  # no secret
        return ShareUsedUp(after) if outcome == "share" else Overloaded(after)

    def _leave(self, tenant: str, place: Granted) -> None:
        line = self._new.get(tenant)
        if line is not None and place in line:
            line.remove(place)
            if not line:
                del self._new[tenant]

    def _hand_out(self) -> None:
        while self.running < self._calls_at_once and (place := self._next()) is not None:
            self.running += 1
            place.set_result(None)

    def _next(self) -> Granted | None:
        while self._later:
            *_, place = heapq.heappop(self._later)
            if not place.done():
                return place
        while self._new:
            tenant, line = next(iter(self._new.items()))
            place = line.popleft()
            self._new.move_to_end(tenant)
            if not line:
                del self._new[tenant]
            if not place.done():
                self._time_grant()
                return place
        return None

    def _time_grant(self) -> None:
        """Learn how fast the queue moves; time in which nobody waited does not count."""
        now = asyncio.get_running_loop().time()
        if self._granted_at is not None and self._new:
            passed = now - self._granted_at
            self._interval_s += SMOOTHING * (passed - self._interval_s)
        self._granted_at = now if self._new else None


class Ticket:
    """A request that has begun; `close` it at the end.

    `rung` says how much its review is cut, `waited_s` how long it was queued, `tenant` whose it is,
    `spent` how many tokens its calls have cost so far.
    """

    def __init__(
        self,
        admission: Admission,
        *,
        number: int,
        rung: Rung | None,
        waited_s: float,
        tenant: str = "",
    ) -> None:
        self.rung = rung
        self.waited_s = waited_s
        self.tenant = tenant
        self.fuse = admission.fuse
        self.spent = 0
        self._admission = admission
        self._number = number
        self._holds_first = True

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Hold a slot for one call upstream."""
        if self._holds_first:
            self._holds_first = False
        else:
            await self._admission.again(self._number)
        try:
            yield
        finally:
            self._admission.release()

    def close(self) -> None:
        """Give the first slot back if no call has used it; once more does no harm."""
        if self._holds_first:
            self._holds_first = False
            self._admission.release()
