"""The store that the settings name, and the ring of its keys."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from server.keys.file import FileKeys
from server.keys.ring import Ring, watched
from server.keys.store import KeyStore
from server.settings import Settings


def open_store(settings: Settings) -> KeyStore:
    """Return where the keys are kept.

    Raises:
        KeyStoreError: the database's URL is none.

    """
    if settings.keys_database is None:
        return FileKeys(settings.keys_file or settings.data_dir / "keys.json")
    # Imported only where it is used: the library takes half a second to load.
    from server.keys.postgres import PostgresKeys  # noqa: PLC0415

    return PostgresKeys(settings.keys_database.get_secret_value())


@asynccontextmanager
async def open_ring(settings: Settings) -> AsyncIterator[Ring]:
    """Read the keys and keep watching them; beyond loopback they are asked for even before any.

    Raises:
        KeyStoreError: they cannot be read.

    """
    required = settings.is_reachable and not settings.unprotected
    async with watched(open_store(settings), required=required) as ring:
        yield ring
