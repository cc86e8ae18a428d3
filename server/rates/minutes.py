"""The minutes in which a key's use is counted.

They begin at another second for each key, so that clients of many keys which were turned away do
not all come back together. They are minutes of the clock, so gateways that share counters agree on
them as well as their clocks do.
"""

import time
import zlib
from dataclasses import dataclass

MINUTE_S = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Minute:
    """One minute of a key's: its number, and the seconds until it ends."""

    number: int
    left_s: float


def minute_of(key_id: str, now: float | None = None) -> Minute:
    """Return the key's minute at that time, in Unix seconds."""
    shift = zlib.crc32(key_id.encode()) % MINUTE_S
    number, passed = divmod((time.time() if now is None else now) + shift, MINUTE_S)
    return Minute(number=int(number), left_s=MINUTE_S - passed)


def told(seconds: float) -> str:
    """Return a time to wait as OpenAI writes it: `7s`, `2m0s`."""
    whole = max(1, -int(-seconds // 1))
    return f"{whole // 60}m{whole % 60}s" if whole >= MINUTE_S else f"{whole}s"
