"""Keys in PostgreSQL, for several gateways that share them.

The table is made by the first command that adds a key: it is one, it never held anything else, and
a gateway's own account needs no right but to read it. An entry is kept whole, in the form of the
file, so that both stores can never differ in what a key is.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime

import sqlalchemy as sa
from pydantic import ValidationError
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.exc import ArgumentError, ProgrammingError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from server.keys.entry import Entry, entry_of
from server.keys.key import Key
from server.keys.store import KeyStoreError, NoSuchKey

CONNECT_S = 5
UNDEFINED_TABLE = "42P01"

TABLE = sa.Table(
    "clinalign_api_keys",
    sa.MetaData(),
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("entry", JSONB, nullable=False),
)


class PostgresKeys:
    """Keys in a table; implements `server.keys.store.KeyStore`."""

    def __init__(self, url: str) -> None:
        try:
            place = sa.make_url(url).set(drivername="postgresql+psycopg")
        except ArgumentError:
            raise KeyStoreError(
                "the keys' database has no URL such as postgresql://host/name"
            ) from None
        self._engine = create_async_engine(
            place,
            hide_parameters=True,
            pool_size=1,
            pool_pre_ping=True,
            # No prepared statements, which poolers in between do not carry over.
            connect_args={"connect_timeout": CONNECT_S, "prepare_threshold": None},
        )

    async def read(self) -> tuple[Key, ...]:
        """Return all keys; no table is no keys."""
        try:
            async with self._begun() as connection:
                rows = (await connection.execute(sa.select(TABLE.c.entry))).scalars().all()
        except _NoTable:
            return ()
        keys = [_read(row) for row in rows]
        return tuple(sorted(keys, key=lambda key: (key.created, key.id)))

    async def add(self, key: Key) -> None:
        """Keep a new key."""
        async with self._begun() as connection:
            await connection.run_sync(TABLE.create, checkfirst=True)
            written = entry_of(key).model_dump(mode="json")
            await connection.execute(sa.insert(TABLE).values(id=key.id, entry=written))

    async def revoke(self, key_id: str, now: datetime) -> Key:
        """Mark a key as revoked."""
        mine = TABLE.c.id == key_id
        try:
            async with self._begun() as connection:
                chosen = sa.select(TABLE.c.entry).where(mine).with_for_update()
                row = (await connection.execute(chosen)).scalar_one_or_none()
                if row is None:
                    raise NoSuchKey(key_id)
                key = _read(row)
                key = replace(key, revoked=key.revoked or now)
                written = entry_of(key).model_dump(mode="json")
                await connection.execute(sa.update(TABLE).where(mine).values(entry=written))
        except _NoTable:
            raise NoSuchKey(key_id) from None
        return key

    async def close(self) -> None:
        """Close the connections."""
        await self._engine.dispose()

    @asynccontextmanager
    async def _begun(self) -> AsyncIterator[AsyncConnection]:
        try:
            async with self._engine.begin() as connection:
                yield connection
        except ProgrammingError as error:
            if getattr(error.orig, "sqlstate", None) == UNDEFINED_TABLE:
                raise _NoTable from None
            raise _fault(error) from None
        except (SQLAlchemyError, OSError) as error:
            raise _fault(error) from None


class _NoTable(KeyStoreError):  # noqa: N818  # named after the state
    """No key was ever added."""


def _read(row: object) -> Key:
    try:
        return Entry.model_validate(row).to_key()
    except ValidationError:
        raise KeyStoreError("the keys' database has an entry of another version") from None


def _fault(error: Exception) -> KeyStoreError:
    """Return the error without the driver's words, which name hosts and users."""
    kind = type(getattr(error, "orig", None) or error).__name__
    return KeyStoreError(f"the keys' database cannot be used ({kind})")
