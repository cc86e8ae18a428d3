"""A key as it is written down: in the file, in the database, and by `keys list --json`."""

from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from models.messages import Json
from revision.policy import Mode
from server.keys.key import ID, Key, KeyLimits, Scope

Limit = Annotated[int, Field(ge=1, le=10**12)]


class Entry(BaseModel):
    """One key. What is not known here is a fault: a limit that is misspelt limits nothing."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Annotated[str, Field(pattern=f"^{ID.pattern}$")]
    digest: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    scopes: tuple[Scope, ...]
    created: AwareDatetime
    expires: AwareDatetime | None = None
    revoked: AwareDatetime | None = None
    note: Annotated[str, Field(max_length=200)] = ""
    requests_per_minute: Limit | None = None
    tokens_per_minute: Limit | None = None
    at_once: Limit | None = None
    modes: tuple[Mode, ...] = ()

    def to_key(self) -> Key:
        """Return the key."""
        return Key(
            id=self.id,
            digest=self.digest,
            scopes=frozenset(self.scopes),
            created=self.created,
            expires=self.expires,
            revoked=self.revoked,
            note=self.note,
            limits=KeyLimits(
                requests_per_minute=self.requests_per_minute,
                tokens_per_minute=self.tokens_per_minute,
                at_once=self.at_once,
                modes=frozenset(self.modes),
            ),
        )


def entry_of(key: Key) -> Entry:
    """Return what is written down of a key."""
    limits = key.limits
    return Entry(
        id=key.id,
        digest=key.digest,
        scopes=tuple(sorted(key.scopes)),
        created=key.created,
        expires=key.expires,
        revoked=key.revoked,
        note=key.note,
        requests_per_minute=limits.requests_per_minute,
        tokens_per_minute=limits.tokens_per_minute,
        at_once=limits.at_once,
        modes=tuple(sorted(limits.modes)),
    )


def shown(key: Key) -> dict[str, Json]:
    """Return what may be shown of a key: all but its hash."""
    told: dict[str, Json] = entry_of(key).model_dump(mode="json", exclude={"digest"})
    return told
