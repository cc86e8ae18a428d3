"""One replica of a model server: what is open on it, and whether it is in or out.

What counts is progress. A replica that is busy may be slow to say that it is well and still finish
call after call; one that hangs may say so at once and finish none. So nothing is held against a
replica while bytes come from it. It goes out when a connection is refused, after failures in a row,
or when calls are open, not a byte of any has come for a while, and not even a probe gets one. It
comes in again by a probe of our own: no client's call is spent on finding out.
"""

from collections.abc import Callable

from models.fuse import Fuse

FAILURES = 3
"""Failures in a row, without a byte in between, after which a replica is out."""
COOLDOWN_S = 5.0
"""After one failure other replicas are preferred for as long."""
FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 30.0
"""Between probes of a replica that is out; the pause doubles in between."""


class Replica:
    """The health of one replica. `calls` are open on it; `models` is what it says it offers."""

    def __init__(self, url: str, *, clock: Callable[[], float], silence_s: float) -> None:
        self.url = url
        self.is_out = False
        self.is_probed = False
        self.calls: set[Fuse] = set()
        self.models: frozenset[str] | None = None
        self._clock = clock
        self._silence_s = silence_s
        self._failures = 0
        self._failed_at: float | None = None
        self._heard_at = clock()
        self._probed_at = 0.0
        self._rests_until = 0.0
        self._pause_s = FIRST_PAUSE_S

    def began(self, call: Fuse) -> None:
        """Note that a call is open; silence is counted from here if nothing was open before."""
        if not self.calls:
            self._heard_at = self._clock()
        self.calls.add(call)

    def ended(self, call: Fuse) -> None:
        """Note that the call is over, however it ended."""
        self.calls.discard(call)

    def heard(self) -> None:
        """Note that a byte has come, of whatever call."""
        self._heard_at = self._clock()
        if not self.is_out:
            self._failures = 0
            self._failed_at = None

    def failed(self, *, refused: bool = False) -> None:
        """Note that a call broke; `refused` that there was no connection at all."""
        self._failures += 1
        self._failed_at = self._clock()
        if (refused or self._failures >= FAILURES) and not self.is_out:
            self._eject()

    def asked_for_rest(self, seconds: float) -> None:
        """Note that the replica wants no call for a while."""
        self._rests_until = max(self._rests_until, self._clock() + seconds)

    def rest(self) -> float:
        """Return the seconds for which it wants no call."""
        return max(0.0, self._rests_until - self._clock())

    def cools(self) -> bool:
        """Say whether it failed lately."""
        return self._failed_at is not None and self._clock() - self._failed_at < COOLDOWN_S

    def lacks(self, model: str | None) -> bool:
        """Say whether it is known not to offer the model."""
        return model is not None and self.models is not None and model not in self.models

    def wants_probe(self) -> bool:
        """Say whether a probe is due: it has been out for a pause, or has long been silent."""
        if self.is_probed:
            return False
        now = self._clock()
        if self.is_out:
            return now - self._probed_at >= self._pause_s
        quiet_since = max(self._heard_at, self._probed_at)
        return bool(self.calls) and now - quiet_since >= self._silence_s

    def probe_began(self) -> None:
        """Note that a probe is under way; there is one at a time."""
        self.is_probed = True
        self._probed_at = self._clock()

    def probe_ended(self, *, well: bool) -> None:
        """Take the probe's outcome; for a replica that is in, a byte of any call outweighs it."""
        self.is_probed = False
        if well:
            self.is_out = False
            self._pause_s = FIRST_PAUSE_S
            self.heard()
        elif self.is_out:
            self._pause_s = min(LONGEST_PAUSE_S, 2 * self._pause_s)
            self._probed_at = self._clock()
        elif self._heard_at <= self._probed_at:
            self._eject()

    def _eject(self) -> None:
        self.is_out = True
        self._probed_at = self._clock()
