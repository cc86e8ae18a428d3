"""The program as it is served: with keys, over TLS, behind a proxy; over real sockets."""

import contextlib
import http.client
import json
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.cli.program import NOWHERE, PROGRAM, environment, run
from tests.server.services import certificate, free_port

READY_S = 90


@dataclass(slots=True, kw_only=True)
class Served:
    """A gateway that runs, and what it has logged once it has ended."""

    port: int
    log: Path
    cafile: Path | None = None

    def ask(self, path: str, **headers: str) -> tuple[int, dict[str, object]]:
        if self.cafile is None:
            client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        else:
            context = ssl.create_default_context(cafile=str(self.cafile))
            client = http.client.HTTPSConnection(
                "127.0.0.1", self.port, timeout=20, context=context
            )
        with contextlib.closing(client):
            client.request("GET", path, headers=headers)
            reply = client.getresponse()
            body = reply.read()
            return reply.status, json.loads(body) if body.startswith(b"{") else {}


@contextmanager
def served(data: Path, *options: str, cafile: Path | None = None) -> Iterator[Served]:
    port = free_port()
    log = data.parent / f"{port}.log"
    command = [PROGRAM, "serve", "--upstream", NOWHERE, "--port", str(port), *options]
    with log.open("wb") as out:
        child = subprocess.Popen(command, env=environment(data), stdout=out, stderr=out)
        try:
            end = time.monotonic() + READY_S
            while "serving http" not in log.read_text():
                assert child.poll() is None, log.read_text()
                assert time.monotonic() < end, log.read_text()
                time.sleep(0.1)
            yield Served(port=port, log=log, cafile=cafile)
        finally:
            child.send_signal(signal.SIGTERM)
            try:
                child.wait(30)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait(10)
    assert child.returncode == 0, log.read_text()


@pytest.fixture
def key(empty: Path) -> str:
    return run("keys", "add", data=empty).out.strip()


def test_tls_is_served_to_those_with_a_key_and_to_nobody_in_plain_text(
    empty: Path, tmp_path: Path, key: str
):
    cert, private = certificate(tmp_path)
    options = ("--tls-cert", str(cert), "--tls-key", str(private))
    with served(empty, *options, cafile=cert) as gateway:
        assert gateway.ask("/healthz") == (200, {})
        status, body = gateway.ask("/v1/principles")
        assert (status, body["error"]["code"]) == (401, "missing_api_key")
        assert gateway.ask("/v1/principles", authorization=f"Bearer {key}")[0] in {200, 503}
        assert gateway.ask(f"/v1/principles?api_key={key}")[0] == 401
        claims = {"x-forwarded-for": "203.0.113.7", "forwarded": "for=203.0.113.8"}
        assert gateway.ask("/v1/principles", **claims)[0] == 401
        with socket.create_connection(("127.0.0.1", gateway.port), timeout=20) as plain:
            plain.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
            with contextlib.suppress(ConnectionResetError):
                assert b"200" not in plain.recv(1000)
    told = gateway.log.read_text()
    assert "serving https://127.0.0.1:" in told
    assert "refused reason=missing client=127.0.0.1" in told
    assert "203.0.113" not in told  # nobody was said to be a proxy
    assert key.split("_")[2] not in told
    assert f"key={key.split('_')[1]}" in told


def test_a_proxy_is_believed_only_where_it_was_named(empty: Path, key: str):
    with served(empty, "--trusted-proxy", "127.0.0.1") as gateway:
        for claims in (
            {"x-forwarded-for": "203.0.113.7"},
            {"x-forwarded-for": "198.51.100.1, 203.0.113.9"},
            {"x-forwarded-for": "key=zebra reason=none"},
            {"forwarded": "for=203.0.113.8"},
        ):
            assert gateway.ask("/v1/principles", **claims)[0] == 401
    told = gateway.log.read_text()
    assert "refused reason=missing client=203.0.113.7" in told
    assert "refused reason=missing client=203.0.113.9" in told  # the nearest that is no proxy
    assert "198.51.100.1" not in told  # what a client itself has written there
    assert "203.0.113.8" not in told  # `Forwarded` is never read
    assert "refused reason=missing client=unknown" in told
    assert "zebra" not in told


def test_beyond_loopback_the_program_does_not_start_without_keys_or_a_word(empty: Path):
    outcome = run("serve", "--host", "::", "--upstream", NOWHERE, data=empty)
    assert outcome.status == 2
    assert "no API keys" in outcome.error
    assert "--unprotected" in outcome.error
