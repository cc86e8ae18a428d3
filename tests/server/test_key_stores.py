"""Keys are kept in a file or in PostgreSQL, alike: private, whole, and changed by many at once."""

import asyncio
import os
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from server.keys.file import FileKeys
from server.keys.key import Key, KeyLimits, new_key
from server.keys.open import open_store
from server.keys.postgres import PostgresKeys
from server.keys.store import KeyStore, KeyStoreError, NoSuchKey
from server.settings import Settings
from tests.server.conftest import Opener
from tests.server.keyed import bearing, issue
from tests.server.services import free_port, running_postgres

NOW = datetime.now(UTC).replace(microsecond=0)


def full_key() -> Key:
    limits = KeyLimits(
        requests_per_minute=60, tokens_per_minute=10**6, at_once=2, modes=frozenset({"draft"})
    )
    return new_key(
        frozenset({"chat", "review"}),
        expires=NOW + timedelta(days=1),
        note="ward 5, “night”",
        limits=limits,
    )[0]


@pytest.fixture(params=["file", "postgres"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[KeyStore]:
    if request.param == "file":
        yield FileKeys(tmp_path / "a" / "keys.json")
        return
    async with running_postgres(tmp_path) as url:
        keys = PostgresKeys(url)
        yield keys
        await keys.close()


async def test_what_is_kept_comes_back_whole_and_revoking_is_once(store: KeyStore):
    assert await store.read() == ()
    with pytest.raises(NoSuchKey, match="keys list"):
        await store.revoke("a" * 12, NOW)
    key = full_key()
    other = replace(full_key(), created=key.created + timedelta(seconds=5))
    await store.add(key)
    await store.add(other)
    assert await store.read() == (key, other)
    assert await store.revoke(key.id, NOW) == replace(key, revoked=NOW)
    again = await store.revoke(key.id, NOW + timedelta(days=1))
    assert again.revoked == NOW
    assert await store.read() == (again, other)
    with pytest.raises(NoSuchKey):
        await store.revoke("a" * 12, NOW)


async def test_none_is_lost_where_many_add_at_once(store: KeyStore):
    await store.add(full_key())
    keys = [full_key() for _ in range(20)]
    await asyncio.gather(*(store.add(key) for key in keys))
    assert {key.id for key in keys} <= {key.id for key in await store.read()}
    assert len(await store.read()) == 21


async def test_a_gateway_reads_its_keys_from_postgres(open_gateway: Opener, tmp_path: Path):
    async with running_postgres(tmp_path) as url:
        keys = PostgresKeys(url)
        key, text = new_key(frozenset({"chat"}))
        await keys.add(key)
        gateway = await open_gateway(keys_database=url)
        assert (await gateway.get("/v1/models")).status == 401
        assert (await gateway.request("GET", "/v1/models", headers=bearing(text))).status == 200
        await keys.revoke(key.id, NOW)
        async with asyncio.timeout(10):
            while True:
                reply = await gateway.request("GET", "/v1/models", headers=bearing(text))
                if reply.status == 401:
                    break
                await asyncio.sleep(0.05)
        await keys.close()


async def test_a_database_that_is_away_is_told_without_its_address():
    url = f"postgresql://secret-user:secret-word@127.0.0.1:{free_port()}/x"
    keys = PostgresKeys(url)
    for work in (keys.read(), keys.add(full_key()), keys.revoke("a" * 12, NOW)):
        with pytest.raises(KeyStoreError) as told:
            await work
        assert "secret" not in str(told.value)
        assert "cannot be used (OperationalError)" in str(told.value)
    await keys.close()


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def test_the_file_is_its_owners_alone_whatever_the_umask(tmp_path: Path):
    path = tmp_path / "data" / "keys.json"
    before = os.umask(0)
    try:
        await FileKeys(path).add(full_key())
    finally:
        os.umask(before)
    assert (mode(path), mode(path.parent)) == (0o600, 0o700)
    assert mode(path.with_name("keys.json.lock")) == 0o600
    assert sorted(one.name for one in path.parent.iterdir()) == ["keys.json", "keys.json.lock"]


def owners_in(folder: Path) -> dict[str, tuple[int, int]]:
    return {one.name: (one.stat().st_uid, one.stat().st_gid) for one in folder.iterdir()}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes files for somebody else")
async def test_what_root_writes_belongs_to_whom_the_folder_does(tmp_path: Path):
    os.chown(tmp_path, 12345, 12345)
    await FileKeys(tmp_path / "keys.json").add(full_key())
    owners = owners_in(tmp_path)
    assert owners == dict.fromkeys(("keys.json", "keys.json.lock"), (12345, 12345))


@pytest.mark.parametrize("bits", [0o620, 0o602, 0o666])
async def test_a_file_that_others_may_change_is_not_believed(tmp_path: Path, bits: int):
    path = tmp_path / "keys.json"
    await FileKeys(path).add(full_key())
    path.chmod(bits)
    for work in (FileKeys(path).read(), FileKeys(path).add(full_key())):
        with pytest.raises(KeyStoreError, match="chmod 600"):
            await work


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{", "the whole"),
        ("", "the whole"),
        ("[]", "the whole"),
        ('{"version": 2, "keys": []}', "version"),
        ('{"keys": [{"id": "zebra"}]}', "keys.0.id"),
        ('{"keys": [], "more": 1}', "more"),
    ],
)
async def test_a_file_that_is_none_of_keys_is_told_by_its_place(
    tmp_path: Path, content: str, told: str
):
    path = tmp_path / "keys.json"
    path.write_text(content)
    path.chmod(0o600)
    with pytest.raises(KeyStoreError, match=f"keys.json: {told}") as error:
        await FileKeys(path).read()
    assert "zebra" not in str(error.value)
    with pytest.raises(KeyStoreError):
        await FileKeys(path).add(full_key())
    assert path.read_text() == content


async def test_a_limit_that_is_misspelt_is_a_fault(tmp_path: Path):
    path = tmp_path / "keys.json"
    await FileKeys(path).add(full_key())
    path.write_text(path.read_text().replace("tokens_per_minute", "token_per_minute"))
    with pytest.raises(KeyStoreError, match="token_per_minute"):
        await FileKeys(path).read()


ADDING = """
import asyncio, sys
from pathlib import Path
from server.keys.file import FileKeys
from server.keys.key import new_key
async def add():
    for _ in range(5):
        await FileKeys(Path(sys.argv[1])).add(new_key(frozenset({"chat"}))[0])
asyncio.run(add())
"""


def adder(path: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", ADDING, str(path)])


async def test_processes_that_add_at_once_lose_none_and_a_reader_finds_the_file_whole(
    tmp_path: Path,
):
    path = tmp_path / "keys.json"
    children = [adder(path) for _ in range(3)]
    reader = FileKeys(path)
    while any(child.poll() is None for child in children):
        await reader.read()
        await asyncio.sleep(0.005)
    assert [child.wait(60) for child in children] == [0, 0, 0]
    assert len(await reader.read()) == 15


def test_the_settings_name_one_store(tmp_path: Path):
    assert isinstance(open_store(Settings(data_dir=tmp_path)), FileKeys)
    assert isinstance(open_store(Settings(keys_database="postgres://h/n")), PostgresKeys)


async def test_a_file_elsewhere_is_used_where_the_settings_say(
    open_gateway: Opener, tmp_path: Path
):
    text = await issue(tmp_path, "chat")
    (tmp_path / "elsewhere.json").write_bytes((tmp_path / "keys.json").read_bytes())
    (tmp_path / "elsewhere.json").chmod(0o600)
    (tmp_path / "keys.json").unlink()
    gateway = await open_gateway(keys_file=tmp_path / "elsewhere.json")
    assert (await gateway.get("/v1/models")).status == 401
    assert (await gateway.request("GET", "/v1/models", headers=bearing(text))).status == 200
