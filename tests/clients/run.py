"""Run real, unmodified clients, each in an environment of its own, against a running gateway.

    python -m tests.clients.run [NAME]... [--quick]

The gateway and a fake model server run in this process on ephemeral loopback ports. A client's
environment is made under `.clients/` from its pinned requirements and kept until they change. A
driver is a program of its own that gets the gateway's base URL in `GATEWAY_BASE_URL`.
"""

import argparse
import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from tests.clients.upstream import TaggedVLLM
from tests.fakes.embedder import HashingEmbedder
from tests.fakes.library import open_library
from tests.server.gateway import serving

HERE = Path(__file__).parent
CACHE = HERE.parent.parent / ".clients"
LIMIT_S = 600.0
"""Longest a driver may take; one that hangs has failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """A client under test. `environment` names its requirements file and its folder."""

    name: str
    environment: str
    driver: str
    ran: str
    quick: bool = True

    @property
    def is_node(self) -> bool:
        return self.driver.endswith(".mjs")

    @property
    def pins(self) -> Path:
        """The requirements, with the exact versions that were seen to work."""
        name = f"{self.environment}.json" if self.is_node else f"{self.environment}.txt"
        return HERE / "requirements" / name


CLIENTS = (
    Client(
        name="openai-python",
        environment="openai_python",
        driver="openai_python.py",
        ran="chat: sync, async, stream, raw, parse, tools, errors, retries, timeouts, cancel",
    ),
    Client(
        name="openai-python-endpoints",
        environment="openai_python",
        driver="openai_python_endpoints.py",
        ran="responses, legacy completions, embeddings",
    ),
    Client(
        name="openai-node",
        environment="node",
        driver="node_openai.mjs",
        ran="chat: stream, helper, parse, tools, errors, retries, timeouts, cancel",
    ),
    Client(
        name="openai-node-endpoints",
        environment="node",
        driver="node_openai_endpoints.mjs",
        ran="responses, legacy completions, embeddings",
    ),
    Client(
        name="litellm",
        environment="litellm",
        driver="litellm_client.py",
        ran="completion, acompletion, stream, tools, JSON, errors, retries, timeouts",
    ),
    Client(
        name="litellm-endpoints",
        environment="litellm",
        driver="litellm_endpoints.py",
        ran="responses, text_completion, embedding",
    ),
    Client(
        name="langchain-openai",
        environment="langchain",
        driver="langchain_client.py",
        ran="ChatOpenAI: invoke, stream, batch, tools, structured output, errors, retries",
    ),
    Client(
        name="langchain-openai-endpoints",
        environment="langchain",
        driver="langchain_endpoints.py",
        ran="ChatOpenAI over responses, OpenAI over completions, OpenAIEmbeddings",
    ),
    Client(
        name="llm",
        environment="llm",
        driver="llm_cli.py",
        ran="prompt, stream, conversation, chat, schema, tools, log, endpoint, Python API",
    ),
    Client(
        name="llm-endpoints",
        environment="llm",
        driver="llm_endpoints.py",
        ran="responses, legacy completions",
    ),
    Client(
        name="inspect-ai",
        environment="inspect",
        driver="inspect_client.py",
        ran="evaluations over its provider openai-api: stream, tools, JSON, retries, errors",
    ),
    Client(
        name="inspect-ai-endpoints",
        environment="inspect",
        driver="inspect_endpoints.py",
        ran="responses",
    ),
    Client(
        name="guidellm",
        environment="guidellm",
        driver="guidellm_client.py",
        ran="runs over chat completions: streamed, whole, concurrent, refused",
        quick=False,
    ),
    Client(
        name="guidellm-endpoints",
        environment="guidellm",
        driver="guidellm_endpoints.py",
        ran="its own check of health, responses, legacy completions",
        quick=False,
    ),
    Client(
        name="open-webui",
        environment="open_webui",
        driver="open_webui_client.py",
        ran="sign-up, models, chats of the page, title, tags, tools, reasoning, stop, errors",
        quick=False,
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a driver reported, and all that it said."""

    version: str = "-"
    passed: int = 0
    failed: int = 0
    output: str = ""


class CommandFailed(Exception):  # noqa: N818  # named after the state
    """A command of the set-up ended badly; the message is what it said."""


def prepare(client: Client) -> None:
    """Make the client's environment, unless it is newer than its pinned requirements.

    Raises:
        CommandFailed: the environment cannot be made.

    """
    folder = CACHE / client.environment
    pins = client.pins
    stamp = folder / ".installed"
    if stamp.exists() and stamp.stat().st_mtime >= pins.stat().st_mtime:
        return
    print(f"{client.name}: making its environment", flush=True)
    if client.is_node:
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(pins, folder / "package.json")
        command("npm", "install", "--no-package-lock", "--no-audit", "--no-fund", within=folder)
    else:
        command(sys.executable, "-m", "venv", "--clear", str(folder))
        pip = (str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet")
        command(*pip, "--disable-pip-version-check", "-r", str(pins))
    stamp.touch()


def command(*words: str, within: Path | None = None) -> None:
    """Run a command of the set-up.

    Raises:
        CommandFailed: it ended badly, or is not there.

    """
    try:
        ended = subprocess.run(words, cwd=within, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise CommandFailed(f"{words[0]} is not installed") from error
    if ended.returncode:
        raise CommandFailed(f"{' '.join(words)}\n{ended.stdout}{ended.stderr}")


async def drive(client: Client, gateway: str, upstream: str, home: Path) -> Outcome:
    """Run the driver to its end and return what it reported."""
    folder = CACHE / client.environment
    driver = HERE / client.driver
    if client.is_node:
        # Node looks for packages from the file's own place, so the drivers move in with them.
        for script in HERE.glob("*.mjs"):
            shutil.copy(script, folder)
        words = ("node", str(folder / client.driver))
    else:
        words = (str(folder / "bin" / "python"), str(driver))
    environment = {
        "GATEWAY_BASE_URL": f"{gateway}/v1",
        "UPSTREAM_URL": upstream,
        "HOME": str(home),
        "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "LANG": "C.UTF-8",
        "NO_PROXY": "127.0.0.1",
    }
    process = await asyncio.create_subprocess_exec(
        *words,
        cwd=home,
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(LIMIT_S):
            said, _ = await process.communicate()
    except TimeoutError:
        return Outcome(failed=1, output=f"it was still running after {LIMIT_S:.0f} s")
    finally:
        # The driver's own session, so that nothing it started is left behind.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    return outcome_of(said.decode(errors="replace"), process.returncode or 0)


def outcome_of(said: str, status: int) -> Outcome:
    """Read the driver's last line; without one it has failed, however it ended."""
    lines = said.splitlines()
    try:
        report = json.loads(lines[-1])
        outcome = Outcome(
            version=report["version"], passed=report["passed"], failed=report["failed"], output=said
        )
    except (IndexError, ValueError, KeyError, TypeError):
        return Outcome(failed=1, output=said or "it said nothing")
    if outcome.failed or (status == 0 and outcome.passed):
        return outcome
    return replace(outcome, failed=1)


async def run(clients: Iterable[Client], *, verbose: bool) -> int:
    """Run the clients one after the other, print a line each, and return how many failed."""
    passed = failed = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "library").mkdir()
        library = open_library(folder / "library", HashingEmbedder())
        async with TaggedVLLM() as vllm, serving(vllm, library, folder / "data") as gateway:
            for client in clients:
                began = time.monotonic()
                home = folder / client.name
                home.mkdir()
                try:
                    await asyncio.to_thread(prepare, client)
                    began = time.monotonic()
                    outcome = await drive(client, gateway.url, vllm.url.removesuffix("/v1"), home)
                except CommandFailed as error:
                    outcome = Outcome(failed=1, output=f"no environment: {error}")
                passed += not outcome.failed
                failed += bool(outcome.failed)
                if outcome.failed or verbose:
                    print(outcome.output)
                print(line(client, outcome, time.monotonic() - began), flush=True)
    print(f"{passed} passed, {failed} failed")
    return failed


def line(client: Client, outcome: Outcome, seconds: float) -> str:
    """Return a client's line: name, version, what was run, how it went, seconds."""
    verdict = "failed" if outcome.failed else "passed"
    counts = f"{outcome.passed} of {outcome.passed + outcome.failed} checks"
    return (
        f"{client.name:<27} {outcome.version:<9} {verdict}  {counts:<16} {seconds:6.1f} s"
        f"  {client.ran}"
    )


def main() -> None:
    """Run the clients that the command line names. Exit 1 if any failed, 2 if there is none."""
    names = {client.name: client for client in CLIENTS}
    parser = argparse.ArgumentParser(prog="tests.clients.run", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of: {', '.join(names)}")
    parser.add_argument("--quick", action="store_true", help="without those that take minutes")
    parser.add_argument("--verbose", action="store_true", help="each check, also of what passes")
    given = parser.parse_args()
    if unknown := [name for name in given.names if name not in names]:
        parser.error(f"no such client: {', '.join(unknown)}; there are {', '.join(names)}")
    chosen = [names[name] for name in given.names] or list(CLIENTS)
    if given.quick:
        chosen = [client for client in chosen if client.quick]
    sys.exit(1 if asyncio.run(run(chosen, verbose=given.verbose)) else 0)


if __name__ == "__main__":
    main()
