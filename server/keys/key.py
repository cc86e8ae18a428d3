"""What an API key is, and how one is made and recognised.

A key is `clinalign_<id>_<secret>`. The id is no secret: it names the key in lists, logs and limits.
The secret is 256 random bits, of which only a SHA-256 hash is kept. A slow hash would protect a
password that somebody chose; nobody guesses 256 bits, and a slow hash on every request would make
the gateway easy to flood.
"""

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal, TypeAlias, get_args

from revision.policy import Mode

Scope: TypeAlias = Literal["chat", "critique", "review", "records", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
State = Literal["active", "expired", "revoked"]

PREFIX = "clinalign"
SECRET_BYTES = 32
FORM = re.compile(rf"{PREFIX}_([a-z2-7]{{12}})_([0-9a-f]{{{2 * SECRET_BYTES}}})")
ID = re.compile(r"[a-z2-7]{12}")

_ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyLimits:
    """What a key may use; None is no limit, and no `modes` are all."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    at_once: int | None = None
    modes: frozenset[Mode] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A key as it is kept: `digest` is its secret's hash in hexadecimal."""

    id: str
    digest: str
    scopes: frozenset[Scope]
    created: datetime
    expires: datetime | None = None
    revoked: datetime | None = None
    note: str = ""
    limits: KeyLimits = field(default_factory=KeyLimits)

    def state(self, now: datetime) -> State:
        """Say whether the key is good at that time."""
        if self.revoked is not None:
            return "revoked"
        return "expired" if self.expires is not None and self.expires <= now else "active"

    def opens(self, scopes: frozenset[Scope]) -> bool:
        """Say whether the key has one of the scopes; `admin` stands for each of them."""
        return "admin" in self.scopes or bool(self.scopes & scopes)

    def has(self, secret: str) -> bool:
        """Say whether that is the key's secret, in the same time whatever it is."""
        return hmac.compare_digest(digest_of(secret), self.digest)


NOBODY = Key(id="", digest="0" * 64, scopes=frozenset(), created=datetime.min.replace(tzinfo=UTC))
"""What an unknown id's secret is compared with, so that it takes as long as a known one's."""


def digest_of(secret: str) -> str:
    """Return what is kept of a secret."""
    return hashlib.sha256(secret.encode(errors="replace")).hexdigest()


def new_key(
    scopes: frozenset[Scope],
    *,
    expires: datetime | None = None,
    note: str = "",
    limits: KeyLimits | None = None,
) -> tuple[Key, str]:
    """Return a new key, and the text that its user sends, which is kept nowhere."""
    key_id = "".join(secrets.choice(_ALPHABET) for _ in range(12))
    secret = secrets.token_hex(SECRET_BYTES)
    key = Key(
        id=key_id,
        digest=digest_of(secret),
        scopes=scopes,
        created=datetime.now(UTC).replace(microsecond=0),
        expires=expires,
        note=note,
        limits=limits or KeyLimits(),
    )
    return key, f"{PREFIX}_{key_id}_{secret}"
