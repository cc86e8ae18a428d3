"""Whether a call that failed is made again, and after what pause.

Retries are what turns a slow minute into an outage, so they have a budget: a tenth of the calls
and a small floor. A call that moves to another replica which is in is not charged: the replica it
leaves goes out after three failures, which bounds these by itself, and when a replica dies every
call on it must be able to move at once.
"""

import random
import time
from collections.abc import Callable

from models.errors import ModelError, ModelOverloaded, ModelUnavailable

SHARE = 0.1
FLOOR = 10.0
REFILL_S = 1.0
"""Seconds in which the floor gives one retry more."""
MOST = 50.0
LONGEST_WAIT_S = 5.0
"""A server that asks for a longer pause than this is not waited for."""
SHORT_PAUSE_S = 0.1


class RetryBudget:
    """Counts calls and what they leave for retries."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._left = FLOOR
        self._filled_at = clock()

    def called(self) -> None:
        """Note a first attempt."""
        self._left = min(MOST, self._left + SHARE)

    def take(self) -> bool:
        """Take one retry out of the budget, if there is one."""
        now = self._clock()
        if self._left < FLOOR:
            self._left = min(FLOOR, self._left + (now - self._filled_at) / REFILL_S)
        self._filled_at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


def pause_after(error: ModelError, *, moves: bool) -> float | None:
    """Return the seconds to wait before another attempt, None if there is to be none.

    `moves` says that another replica stands ready: then nothing is waited for.
    """
    if isinstance(error, ModelOverloaded):
        if moves:
            return 0.0
        wait = error.retry_after
        if wait is None:
            return SHORT_PAUSE_S + random.uniform(0, SHORT_PAUSE_S)  # noqa: S311  # no secret
        return wait if wait <= LONGEST_WAIT_S else None
    if isinstance(error, ModelUnavailable):
        return 0.0 if moves else SHORT_PAUSE_S + random.uniform(0, SHORT_PAUSE_S)  # noqa: S311
    return None
