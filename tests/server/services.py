"""Redis and PostgreSQL as child processes, where their programs are installed."""

import asyncio
import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

READY_S = 30
NOBODY = "nobody"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


async def listens(port: int) -> None:
    """Wait until something listens on that port of this machine."""
    async with asyncio.timeout(READY_S):
        while True:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                return
            await asyncio.sleep(0.02)


@dataclass(slots=True, kw_only=True)
class Redis:
    """A Redis server that can be killed and started again."""

    program: str
    port: int
    child: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    async def start(self) -> None:
        place = ["--port", str(self.port), "--bind", "127.0.0.1"]
        command = [self.program, *place, "--save", "", "--appendonly", "no"]
        self.child = child(command)
        await listens(self.port)

    def stop(self) -> None:
        if self.child is not None:
            self.child.kill()
            self.child.wait(10)
            self.child = None


@asynccontextmanager
async def running_redis() -> AsyncIterator[Redis]:
    program = shutil.which("redis-server") or shutil.which("valkey-server")
    if program is None:
        pytest.skip("needs redis-server or valkey-server: apt-get install redis-server")
    redis = Redis(program=program, port=free_port())
    await redis.start()
    try:
        yield redis
    finally:
        redis.stop()


@asynccontextmanager
async def running_postgres(folder: Path) -> AsyncIterator[str]:
    """Run PostgreSQL in that folder, and yield its URL."""
    programs = postgres_programs()
    data, port = folder / "postgres", free_port()
    data.mkdir(mode=0o700)
    user = _owner(data)
    options = ["-D", str(data), "-U", "clinalign", "-A", "trust", "--no-sync"]
    made = child([str(programs / "initdb"), *options], user=user)
    if await asyncio.to_thread(made.wait, 60):
        raise AssertionError("initdb failed")
    options = ["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="]
    place = ["-D", str(data), "-p", str(port), "-c", "fsync=off"]
    server = child([str(programs / "postgres"), *place, *options], user=user)
    try:
        await listens(port)
        asking = [str(programs / "pg_isready"), "-h", "127.0.0.1", "-p", str(port)]
        await asyncio.to_thread(succeeds, asking)
        yield f"postgresql://clinalign@127.0.0.1:{port}/postgres"
    finally:
        server.send_signal(signal.SIGINT)  # its fast end, which waits for no client
        server.wait(20)


def succeeds(command: list[str]) -> None:
    """Run a command until it succeeds."""
    end = time.monotonic() + READY_S
    while child(command).wait(READY_S):
        if time.monotonic() > end:
            raise AssertionError(f"{command[0]} does not succeed")
        time.sleep(0.05)


def postgres_programs() -> Path:
    """Return the folder of PostgreSQL's programs, or skip the test."""
    places = [*Path("/usr/lib/postgresql").glob("*/bin/initdb"), shutil.which("initdb")]
    found = [Path(place) for place in places if place]
    if not found:
        pytest.skip("needs PostgreSQL's initdb: apt-get install postgresql")
    return found[0].parent


def child(command: list[str], *, user: str | None = None) -> subprocess.Popen[bytes]:
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen(command, user=user, cwd="/", **quiet)


def _owner(data: Path) -> str | None:
    """Give the folder to somebody who is not root, whom PostgreSQL refuses."""
    if os.geteuid() != 0:
        return None
    account = pwd.getpwnam(NOBODY)
    os.chown(data, account.pw_uid, account.pw_gid)
    for parent in data.parents:
        if parent.stat().st_uid == 0 and not parent.stat().st_mode & 0o001:
            parent.chmod(parent.stat().st_mode | 0o011)
    return NOBODY


def certificate(folder: Path) -> tuple[Path, Path]:
    """Make a certificate for 127.0.0.1, signed by itself; return it and its key."""
    if shutil.which("openssl") is None:
        pytest.skip("needs the program openssl: apt-get install openssl")
    folder.mkdir(exist_ok=True)
    cert, key = folder / "cert.pem", folder / "key.pem"
    what = ["-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]
    names = ["-addext", "subjectAltName=IP:127.0.0.1"]
    command = ["openssl", "req", *what, *names, "-keyout", str(key), "-out", str(cert)]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    return cert, key
