"""The keys that the gateway knows, read anew every second, and which one a request has shown.

Once there are keys they stay asked for: neither a revoked last key nor a deleted file opens a
gateway that runs. Where the store cannot be read, the keys last read go on being good for a while,
since a database that restarts must not lock everybody out; then nothing is good, since a key that
was revoked meanwhile must not live for ever.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Literal

from server.keys.key import FORM, NOBODY, Key
from server.keys.store import KeyStore, KeyStoreError

REFRESH_S = 1.0
"""After at most so long, and the time of one reading, a change is in force."""

READING_S = 10.0
"""Longest wait for the store."""

STALE_S = 300.0
"""How long keys that cannot be read again go on being good."""

Fault = Literal["unknown", "expired", "revoked", "unreadable"]

log = logging.getLogger("clinalign")


class KeyRefused(Exception):  # noqa: N818  # named after the state
    """A key is not good."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault)
        self.fault = fault


class Ring:
    """The known keys.

    Args:
        store: where they are kept; without one no keys are asked for.
        required: keys are asked for even while there are none.

    """

    def __init__(self, store: KeyStore | None = None, *, required: bool = False) -> None:
        self.is_on = required
        self._store = store
        self._keys: Mapping[str, Key] = {}
        self._fault: str | None = None
        self._read_at = 0.0

    @property
    def keys(self) -> tuple[Key, ...]:
        """The keys as last read."""
        return tuple(self._keys.values())

    @property
    def problem(self) -> str | None:
        """Why keys cannot be read now, if they cannot."""
        return self._fault

    def find(self, credential: str) -> Key:
        """Return the key that was shown.

        Raises:
            KeyRefused: it is not good.

        """
        shown = FORM.fullmatch(credential)
        key_id, secret = shown.groups() if shown else ("", credential)
        key = self._keys.get(key_id, NOBODY)
        if not key.has(secret):
            raise KeyRefused("unknown")
        # Whatever keeps them from being read, if only a watch that died.
        if self._store and asyncio.get_running_loop().time() - self._read_at > STALE_S:
            raise KeyRefused("unreadable")
        if (state := key.state(datetime.now(UTC))) != "active":
            raise KeyRefused(state)
        return key

    async def refresh(self) -> None:
        """Read the keys.

        Raises:
            KeyStoreError: they cannot be read; those known stay.

        """
        if self._store is None:
            return
        keys = await self._store.read()
        self._keys = {key.id: key for key in keys}
        self.is_on = self.is_on or bool(keys)
        self._read_at = asyncio.get_running_loop().time()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(REFRESH_S)
            try:
                async with asyncio.timeout(READING_S):
                    await self.refresh()
            except (KeyStoreError, TimeoutError) as error:
                fault = str(error) or "the store of keys does not answer"
                if fault != self._fault:
                    self._fault = fault
                    log.warning("%s; the keys read before are used for %.0f s", fault, STALE_S)
            else:
                if self._fault is not None:
                    log.warning("the keys can be read again")
                self._fault = None


@asynccontextmanager
async def watched(store: KeyStore, *, required: bool) -> AsyncIterator[Ring]:
    """Read the keys, and keep them as they are in the store for as long as the block runs.

    Raises:
        KeyStoreError: they cannot be read now.

    """
    ring = Ring(store, required=required)
    await ring.refresh()
    task = asyncio.create_task(ring._watch())  # noqa: SLF001  # its own module's
    try:
        yield ring
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await store.close()
