"""Keys in a file that only its owner can read, which several processes may change.

A writer holds a lock, writes a new file beside the old one and puts it in its place, so a reader
finds either the old keys or the new ones. Somebody who may write the file may make keys; so one
that others may change is not believed.
"""

import asyncio
import fcntl
import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from server.keys.entry import Entry, entry_of
from server.keys.key import Key
from server.keys.store import KeyStoreError, NoSuchKey

OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH

Signature = tuple[int, int, int] | None
Keys = tuple[Key, ...]


class Content(BaseModel):
    """The file."""

    model_config = ConfigDict(extra="forbid")

    version: Literal[1] = 1
    keys: Annotated[tuple[Entry, ...], Field(default=())]


class FileKeys:
    """Keys in a JSON file; implements `server.keys.store.KeyStore`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: Keys = ()
        self._signature: Signature = None

    async def read(self) -> Keys:
        """Return all keys; no file is no keys."""
        signature = self._look()
        if signature != self._signature:
            self._known = await asyncio.to_thread(self._load)
            self._signature = signature
        return self._known

    async def add(self, key: Key) -> None:
        """Keep a new key."""
        await asyncio.to_thread(self._change, lambda keys: (*keys, key))

    async def revoke(self, key_id: str, now: datetime) -> Key:
        """Mark a key as revoked."""

        def mark(keys: Keys) -> Keys:
            if all(key.id != key_id for key in keys):
                raise NoSuchKey(key_id)
            return tuple(
                replace(key, revoked=key.revoked or now) if key.id == key_id else key
                for key in keys
            )

        keys = await asyncio.to_thread(self._change, mark)
        return next(key for key in keys if key.id == key_id)

    async def close(self) -> None:
        """Hold nothing open."""

    def _look(self) -> Signature:
        """Return what a change of the file changes, a copy put in its place included."""
        try:
            seen = self._path.stat()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._fault(error.strerror or "cannot be read") from None
        if seen.st_mode & OTHERS_MAY_WRITE:
            raise self._fault("others than its owner may change it: chmod 600 it")
        return (seen.st_mtime_ns, seen.st_size, seen.st_ino)

    def _load(self) -> Keys:
        try:
            content = Content.model_validate_json(self._path.read_bytes())
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise self._fault(error.strerror or "cannot be read") from None
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            place = ".".join(map(str, first["loc"])) or "the whole"
            raise self._fault(f"{place}: {first['msg']}") from None
        return tuple(entry.to_key() for entry in content.keys)

    def _change(self, change: Callable[[Keys], Keys]) -> Keys:
        try:
            with self._alone():
                self._look()
                keys = change(self._load())
                self._replace(Content(keys=tuple(entry_of(key) for key in keys)))
        except OSError as error:
            raise self._fault(error.strerror or "cannot be written") from None
        return keys

    @contextmanager
    def _alone(self) -> Iterator[None]:
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = os.open(
            self._path.with_name(self._path.name + ".lock"), os.O_CREAT | os.O_RDWR, 0o600
        )
        try:
            self._give_to_owner(lock)
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def _replace(self, content: Content) -> None:
        folder = self._path.parent
        handle, name = tempfile.mkstemp(prefix=self._path.name, dir=folder)  # readable to us alone
        try:
            self._give_to_owner(handle)
            with os.fdopen(handle, "wb") as file:
                file.write(content.model_dump_json(indent=1).encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(self._path)
        except OSError:
            Path(name).unlink(missing_ok=True)
            raise
        folder_handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(folder_handle)  # or a power cut could bring a revoked key back
        finally:
            os.close(folder_handle)

    def _give_to_owner(self, handle: int) -> None:
        """Let root make keys for a gateway that is not root's: what it writes is the folder's."""
        if os.geteuid() == 0:
            folder = self._path.parent.stat()
            os.fchown(handle, folder.st_uid, folder.st_gid)

    def _fault(self, what: str) -> KeyStoreError:
        return KeyStoreError(f"the keys in {self._path}: {what}")
