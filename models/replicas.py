"""Which of several replicas of one model serves a call.

All calls of one conversation prefer one replica, since its prefix cache holds the conversation:
rendezvous hashing gives that without shared state and spreads conversations evenly. A replica
that just failed is passed over for a while; when all failed, the preferred one is tried anyway.
"""

import hashlib
import time
from collections.abc import Callable, Sequence

COOLDOWN_S = 5.0


class Replicas:
    """The replicas' base URLs and when each last failed."""

    def __init__(self, urls: Sequence[str], *, clock: Callable[[], float] = time.monotonic) -> None:
        if not urls:
            raise ValueError("a model needs at least one upstream URL")
        self.urls = tuple(url.rstrip("/") for url in urls)
        self._clock = clock
        self._failed_at: dict[str, float] = {}

    def choose(self, affinity: str, *, tried: Sequence[str] = ()) -> str:
        """Return the best replica for the conversation `affinity` that was not tried yet."""
        ranked = sorted(self.urls, key=lambda url: _rank(affinity, url))
        now = self._clock()
        return min(ranked, key=lambda url: (url in tried, self._is_cooling(url, now)))

    def failed(self, url: str) -> None:
        """Note that the replica did not answer."""
        self._failed_at[url] = self._clock()

    def answered(self, url: str) -> None:
        """Note that the replica is well."""
        self._failed_at.pop(url, None)

    def _is_cooling(self, url: str, now: float) -> bool:
        failed_at = self._failed_at.get(url)
        return failed_at is not None and now - failed_at < COOLDOWN_S


def _rank(affinity: str, url: str) -> bytes:
    return hashlib.blake2b(f"{affinity}\0{url}".encode(), digest_size=8).digest()
