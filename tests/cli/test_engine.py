"""From the command line to the answer and back to nothing, with the real embedded engine."""

import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import openai
import pytest

from models.embedded import MODEL_NAME
from retrieval.principles import load_library
from tests.cli.program import PROGRAM, environment, run

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]

KNOWN = {known.id for known in load_library()}
STATUSES = {"clean", "revised", "kept_draft", "unreviewed"}
STOP_REASONS = {
    "all_met",
    "no_gain",
    "max_rounds",
    "deadline",
    "model_error",
    "unparsable",
    "overload",
    "bypass",
}
VERDICTS = {"met", "unmet", "unclear"}
QUESTION = "I have a mild headache since this morning. What can I do?"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    """A running `clinalign-serve serve`, and where it told what."""

    process: subprocess.Popen[bytes]
    url: str
    log: Path

    def children(self) -> list[int]:
        """Return the processes that it has started and that live."""
        return [pid for pid, parent in _parents().items() if parent == self.process.pid]


def _parents() -> dict[int, int]:
    """Return the parent of every process that is no zombie."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if fields[0] != "Z":
            parents[int(path.parent.name)] = int(fields[1])
    return parents


def _alive(pid: int) -> bool:
    return pid in _parents()


def _becomes(claim: Callable[[], bool], *, within: float) -> bool:
    end = time.monotonic() + within
    while time.monotonic() < end:
        if claim():
            return True
        time.sleep(0.1)
    return claim()


def _ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=30) as response:  # noqa: S310
            return bool(response.status == 200)
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start(data: Path, log: Path) -> Gateway:
    port = _free_port()
    with log.open("wb") as told:
        process = subprocess.Popen(
            [PROGRAM, "serve", "--port", str(port)],
            env=environment(data),
            cwd=data.parent,
            stdout=told,
            stderr=told,
        )
    gateway = Gateway(process=process, url=f"http://127.0.0.1:{port}", log=log)
    try:
        up = _becomes(lambda: process.poll() is not None or _ready(gateway.url), within=120)
        assert up, log.read_text()
        assert process.poll() is None, log.read_text()
    except BaseException:
        process.kill()
        raise
    return gateway


@pytest.fixture(scope="module")
def gateway(shipped: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    running = start(shipped, tmp_path_factory.mktemp("gateway") / "log")
    yield running
    if running.process.poll() is None:
        running.process.kill()
        running.process.wait(10)


@pytest.fixture(scope="module")
def client(gateway: Gateway) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(
        base_url=f"{gateway.url}/v1", api_key="none", max_retries=0, timeout=200
    ) as opened:
        yield opened


def check_reviewed(revision: dict, mode: str) -> None:
    assert revision["mode"] == mode
    assert revision["status"] in STATUSES
    assert revision["stop_reason"] in STOP_REASONS
    assert revision["changed"] is (revision["status"] == "revised")
    assert 0 <= revision["rounds"] <= 1
    assert revision["principles"]
    assert {one["id"] for one in revision["principles"]} <= KNOWN
    assert revision["criteria"]
    for one in revision["criteria"]:
        assert {one["draft"], one["final"]} <= VERDICTS
        assert 1 <= one["points"] <= 10
        assert one["principle"] is None or one["principle"] in KNOWN
    if revision["status"] != "unreviewed":  # unclear is a verdict too, and earns nothing
        assert 0 <= revision["score"]["draft"] <= revision["score"]["final"] <= 1
    assert revision["usage"]["draft"]["completion_tokens"] > 0


def test_one_question_is_answered_and_reviewed_fast(client):
    answer = client.chat.completions.create(
        model=f"{MODEL_NAME}-fast",
        messages=[{"role": "user", "content": QUESTION}],
        max_tokens=60,
    )
    assert answer.choices[0].message.content
    assert answer.choices[0].finish_reason in {"stop", "length"}
    assert answer.system_fingerprint.startswith("fp_demo_")
    assert answer.usage.prompt_tokens > 0
    assert answer.usage.completion_tokens > 0
    assert answer.usage.total_tokens == (
        answer.usage.prompt_tokens + answer.usage.completion_tokens
    )
    check_reviewed(answer.model_extra["revision"], "fast")


def test_one_question_is_answered_and_reviewed_by_the_whole_method(client):
    answer = client.chat.completions.create(
        model=MODEL_NAME,
        messages=[{"role": "user", "content": QUESTION}],
        max_tokens=60,
    )
    assert answer.choices[0].message.content
    assert answer.system_fingerprint.startswith("fp_demo_")
    assert answer.usage.completion_tokens > 0
    check_reviewed(answer.model_extra["revision"], "standard")


def test_a_stream_ends_in_the_same_form(client):
    chunks = list(
        client.chat.completions.create(
            model=f"{MODEL_NAME}-fast",
            messages=[{"role": "user", "content": QUESTION}],
            max_tokens=60,
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    pieces = [chunk for chunk in chunks if chunk.choices]
    assert pieces[0].choices[0].delta.role == "assistant"
    assert "".join(piece.choices[0].delta.content or "" for piece in pieces)
    (last,) = [piece for piece in pieces if piece.choices[0].finish_reason]
    assert last is pieces[-1]
    assert all(chunk.system_fingerprint.startswith("fp_demo_") for chunk in chunks)
    check_reviewed(last.model_extra["revision"], "fast")
    assert chunks[-1].usage.completion_tokens > 0


def test_no_answer_and_no_question_is_in_the_log(gateway):
    assert QUESTION not in gateway.log.read_text()
    assert "Traceback" not in gateway.log.read_text()


def test_the_engine_listens_on_loopback_behind_a_key(gateway):
    (child,) = gateway.children()
    command = Path(f"/proc/{child}/cmdline").read_bytes()
    assert b"models.embedded_server" in command
    assert b"api_key" not in command
    assert command.count(b"\0") == 3  # python -m models.embedded_server, and no secret beside it


# The last test of the module's gateway: it ends it.
def test_a_terminated_gateway_ends_well_and_leaves_no_child(gateway):
    children = gateway.children()
    assert children
    gateway.process.send_signal(signal.SIGTERM)
    assert gateway.process.wait(20) == 0
    assert _becomes(lambda: not any(map(_alive, children)), within=1)
    assert "Traceback" not in gateway.log.read_text()


def test_a_killed_gateway_takes_its_engine_along(shipped, tmp_path):
    gateway = start(shipped, tmp_path / "log")
    children = gateway.children()
    try:
        assert children
    finally:
        gateway.process.kill()
        gateway.process.wait(10)
    gone = _becomes(lambda: not any(map(_alive, children)), within=10)
    if not gone:
        for pid in children:
            os.kill(pid, signal.SIGKILL)
    assert gone


def test_a_question_on_the_command_line_needs_no_server(built):
    outcome = run("ask", "--mode", "fast", "--json", QUESTION, data=built, seconds=250)
    assert outcome.status == 0, outcome.err
    assert "demo model" in outcome.err
    body = json.loads(outcome.out)
    assert body["system_fingerprint"].startswith("fp_demo_")
    assert body["usage"]["completion_tokens"] > 0
    check_reviewed(body["revision"], "fast")
    assert body["revision"]["trace"]["draft"]
    assert [pid for pid in _parents() if str(built).encode() in _environment(pid)] == []


def _environment(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return b""
