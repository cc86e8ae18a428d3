"""Where keys are kept: the interface, and what can go wrong.

KeyStoreError   keys cannot be read or changed
└── NoSuchKey   there is none of that id
"""

from datetime import datetime
from typing import Protocol

from server.keys.key import Key


class KeyStoreError(Exception):
    """Keys cannot be read or changed; the message says what mends it."""


class NoSuchKey(KeyStoreError):  # noqa: N818  # named after the state
    """There is no key of that id."""

    def __init__(self, key_id: str) -> None:
        super().__init__(f"there is no key {key_id!r}; `clinalign-serve keys list` shows all")


class KeyStore(Protocol):
    """Keeps keys, for several processes at once. Every method may raise KeyStoreError."""

    async def read(self) -> tuple[Key, ...]:
        """Return all keys as they are now, oldest first; cheap where nothing has changed."""
        ...

    async def add(self, key: Key) -> None:
        """Keep a new key."""
        ...

    async def revoke(self, key_id: str, now: datetime) -> Key:
        """Mark a key as revoked, and return it; one that was revoked before stays as it was.

        Raises:
            NoSuchKey: there is none of that id.

        """
        ...

    async def close(self) -> None:
        """Let go of what is held open."""
        ...
