"""What each key has used, held against what it may.

A minute's requests are counted as they come. A minute's tokens are charged with all that a request
has cost, hidden calls included, which is known only at its end; so a request that begins sets aside
what this key's requests have cost lately, and the difference is settled at the end: what was set
aside too much is given back while its minute lasts, what was too little is charged. A request is
never cut off for it. What it used beyond the limit is owed, and taken from the minutes that follow,
so that over time a key uses what it may and no more. Loops at once are counted by each gateway for
itself: a shared count would go on counting loops of a gateway that died.
"""

from collections import Counter

from server.errors import RateLimited
from server.keys.key import Key
from server.rates.counts import Counts
from server.rates.minutes import MINUTE_S, Minute, minute_of, told

LONGEST_DEBT = 60
"""Minutes; what is owed beyond is forgiven."""

SMOOTHING = 0.3
AT_ONCE_RETRY_S = 2.0


class Rates:
    """The use of all keys."""

    def __init__(self, counts: Counts | None = None) -> None:
        self.counts = counts or Counts()
        self._running: Counter[str] = Counter()
        self._usual: dict[str, float] = {}

    async def count(self, key: Key) -> dict[str, str]:
        """Count a request, and return the headers that tell how many are left.

        Raises:
            RateLimited: there are none.

        """
        limit = key.limits.requests_per_minute
        if limit is None:
            return {}
        minute = minute_of(key.id)
        name = f"{key.id}:requests:{minute.number}"
        used = await self.counts.add(name, 1, lasts_s=2 * MINUTE_S)
        headers = _headers("requests", limit, used, minute.left_s)
        if used > limit:
            raise RateLimited("requests", limit, minute.left_s, headers)
        return headers

    async def begin(self, key: Key, *, least: int) -> "Spending":
        """Let a request of the key begin, which costs at least so many tokens.

        Raises:
            RateLimited: not now.

        """
        most = key.limits.at_once
        if most is not None and self._running[key.id] >= most:
            raise RateLimited("loops", most, AT_ONCE_RETRY_S, {})
        self._running[key.id] += 1
        spending = Spending(self, key)
        try:
            await spending.set_aside(max(least, round(self._usual.get(key.id, 0))))
        except BaseException:
            self.ended(key)
            raise
        return spending

    def ended(self, key: Key) -> None:
        """Note that a request of the key has ended."""
        self._running[key.id] -= 1
        if not self._running[key.id]:
            del self._running[key.id]

    def learn(self, key: Key, spent: int) -> None:
        """Note what a request of the key has cost."""
        usual = self._usual.get(key.id, float(spent))
        self._usual[key.id] = usual + SMOOTHING * (spent - usual)

    async def take(self, key: Key, minute: Minute, amount: int, limit: int) -> None:
        """Charge tokens to a minute, and what does not fit into it to the next."""
        for ahead in range(LONGEST_DEBT):
            name = _tokens(key, minute.number + ahead)
            used = await self.counts.add(name, amount, lasts_s=(ahead + 2) * MINUTE_S)
            amount = min(amount, used - limit)
            if amount <= 0:
                break

    async def wait_s(self, key: Key, minute: Minute, limit: int) -> float:
        """Return how long it takes until the key has tokens again."""
        ahead = 0
        while ahead < LONGEST_DEBT:
            ahead += 1
            if await self.counts.read(_tokens(key, minute.number + ahead)) < limit:
                break
        return minute.left_s + (ahead - 1) * MINUTE_S


class Spending:
    """What one request takes of its key's limits; `end` it. `headers` tell what is left."""

    def __init__(self, rates: Rates, key: Key) -> None:
        self.headers: dict[str, str] = {}
        self._rates = rates
        self._key = key
        self._minute = minute_of(key.id)
        self._aside = 0
        self._charged = 0
        self._was_local = False
        self._has_ended = False

    async def set_aside(self, expected: int) -> None:
        """Charge what the request will cost, as far as can be told.

        Raises:
            RateLimited: nothing is left of the minute's tokens.

        """
        limit = self._key.limits.tokens_per_minute
        if limit is None:
            return
        amount = max(1, min(expected, limit))
        name = _tokens(self._key, self._minute.number)
        counts = self._rates.counts
        used = await counts.add(name, amount, lasts_s=2 * MINUTE_S)
        if used - amount >= limit:
            await counts.take_back(name, amount, lasts_s=2 * MINUTE_S)
            after = await self._rates.wait_s(self._key, self._minute, limit)
            headers = _headers("tokens", limit, used - amount, after)
            raise RateLimited("tokens", limit, after, headers)
        self._was_local = counts.is_local
        self._aside = amount
        self._charged = min(amount, limit - (used - amount))  # the rest is beyond the minute
        self.headers = _headers("tokens", limit, used, self._minute.left_s)

    async def settle(self, spent: int) -> None:
        """Charge what the request has cost so far; may come again with more."""
        limit = self._key.limits.tokens_per_minute
        if limit is None:
            return
        now, counts = minute_of(self._key.id), self._rates.counts
        if self._aside and now.number == self._minute.number and counts.is_local == self._was_local:
            name = _tokens(self._key, now.number)
            await counts.take_back(name, self._aside, lasts_s=2 * MINUTE_S)
            self._charged = 0
        owed = spent - self._charged
        self._aside, self._charged = 0, max(spent, self._charged)
        if owed > 0:
            await self._rates.take(self._key, now, owed, limit)

    async def end(self, spent: int) -> None:
        """Settle, and make room for another request of the key."""
        if not self._has_ended:
            self._has_ended = True
            self._rates.ended(self._key)
            self._rates.learn(self._key, spent)
        await self.settle(spent)


def _tokens(key: Key, minute: int) -> str:
    return f"{key.id}:tokens:{minute}"


def _headers(of: str, limit: int, used: int, reset_s: float) -> dict[str, str]:
    return {
        f"x-ratelimit-limit-{of}": str(limit),
        f"x-ratelimit-remaining-{of}": str(max(0, limit - used)),
        f"x-ratelimit-reset-{of}": told(reset_s),
    }
