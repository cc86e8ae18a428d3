"""A patient's words stay in the answer: they are in no log, metric, error, file or title.

Each word below is planted somewhere a client or a model server can put words: values, keys, query
strings, headers, tool calls, replies and refusals. Then every place that outlives the request is
searched for all of them.
"""

import asyncio
import io
import json
import logging
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from models import sse
from server import log as server_log
from server.log import configure, quiet_loop
from tests.fakes.vllm import (
    DEFAULTS,
    MODEL,
    REVISED,
    Answer,
    Cut,
    ErrorInStream,
    FakeVLLM,
    Raw,
    Reply,
    Status,
    Unfinished,
    lacks,
)
from tests.server.conftest import Opener
from tests.server.gateway import CHAT, Gateway

MARK = "zebrafever"
"""Every planted word holds it."""

CONTENT_MAY_BE: tuple[str, ...] = ()
"""Files of the data folder, as patterns, that keep content on purpose: the store of records."""

CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": f'{{"{MARK}": 1}}'}}
TURNS = [
    {"role": "system", "content": f"{MARK} system", "name": MARK},
    {"role": "user", "content": [{"type": "text", "text": f"{MARK} part", f"{MARK}_part": 1}]},
    {"role": "assistant", "content": f"{MARK} said", "tool_calls": [CALL], f"{MARK}_turn": 1},
    {"role": "tool", "tool_call_id": "c1", "content": f"{MARK} result"},
    {"role": "assistant", "content": None, "refusal": f"{MARK} refused"},
    {"role": "user", "content": f"I have had {MARK} since this morning, what helps?"},
]
SCHEMA = {
    "type": "object",
    "properties": {MARK: {"type": "string", "enum": [MARK], "description": MARK}},
    "additionalProperties": False,
}
FORMAT = {"type": "json_schema", "json_schema": {"name": MARK, "schema": SCHEMA}}
TOOL = {"type": "function", "function": {"name": MARK, "description": MARK, "parameters": SCHEMA}}
PERSON = {
    "user": MARK,
    "safety_identifier": MARK,
    "prompt_cache_key": MARK,
    "metadata": {MARK: MARK},
    "stop": [MARK],
    f"{MARK}_field": MARK,
}
CHATS: list[dict[str, Any]] = [
    {},
    {"tools": [TOOL]},
    {"response_format": FORMAT},
    {"stream": True, "revision": {"expose": "reasoning", "include": ["trace", "status"]}},
]
OTHERS: list[tuple[str, dict[str, Any]]] = [
    ("/v1/responses", {"input": MARK, "instructions": MARK, **PERSON}),
    ("/v1/responses", {"input": MARK, "stream": True}),
    ("/v1/completions", {"prompt": MARK, "suffix": MARK, **PERSON}),
    ("/v1/completions", {"prompt": MARK, "stream": True}),
    ("/v1/embeddings", {"input": [MARK], "user": MARK, f"{MARK}_field": MARK}),
    ("/v1/critiques", {"messages": TURNS, "answer": MARK}),
    ("/v1/revisions", {"messages": TURNS, "answer": MARK, **PERSON}),
    ("/v1/principles/search", {"query": MARK, "k": 3}),
]
BAD: list[dict[str, Any]] = [
    {"messages": MARK},
    {"messages": [{"role": MARK, "content": MARK}]},
    {"messages": [{"role": "user", "content": {MARK: MARK}}]},
    {"messages": [{"role": "user", "content": [{"type": MARK, MARK: MARK}]}]},
    {"temperature": MARK},
    {"response_format": {"type": MARK}},
    {"response_format": {**FORMAT, MARK: 1}},
    {"revision": {MARK: MARK}},
    {"tools": [{"type": MARK}]},
    {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": f"{MARK}2"}}},
    {f"{MARK}_object": {MARK: MARK}},
    {"chat_template": MARK},
    {"model": MARK},
    {"logit_bias": {MARK: 1}},
    {"metadata": {MARK: {MARK: MARK}}},
]
HEADERS = {
    "authorization": f"Bearer {MARK}",
    "idempotency-key": MARK,
    "x-request-id": f"{MARK} with a space",
    "user-agent": MARK,
    "cookie": f"{MARK}={MARK}",
    f"x-{MARK}": MARK,
    "x-stainless-timeout": MARK,
}
FAULTS: list[Reply] = [
    Answer(text=f"{MARK} drinks water.", tool_calls=(CALL,)),
    Answer(text="", refusal=f"{MARK} is refused"),
    Answer(text=f"{MARK} thinks", reasoning=MARK, finish_reason=MARK),
    Answer(text=""),
    *(Status(status=status) for status in (400, 401, 404, 409, 422, 429, 500, 503)),
    Status(status=302, headers={"location": f"http://127.0.0.1:9/{MARK}", f"x-{MARK}": MARK}),
    Cut(headers=False),
    Cut(text=MARK),
    Unfinished(text=MARK),
    ErrorInStream(text=MARK),
    Raw(writes=(MARK.encode(),)),
    Raw(writes=(json.dumps({MARK: MARK, "choices": [{MARK: MARK}]}).encode(),)),
    Raw(writes=(json.dumps({"error": {"message": MARK, "code": MARK}}).encode(),)),
    Raw(writes=(f"data: {MARK}\n\n".encode(),), content_type="text/event-stream"),
    Raw(writes=(b"\xff\xfe" + MARK.encode(),)),
]
SETTINGS: dict[str, Mapping[str, Any]] = {
    "as they are": {},
    "all said": {"log_level": "debug", "on_degraded": "notice", "failed_judge": "unreviewed"},
    "no answer without review": {"on_degraded": "error", "minimum_mode": "fast"},
    "nothing special": {"side_requests": "off", "cache_salt": "off", "max_body_bytes": 1_000_000},
}


@pytest.fixture
def logs() -> Iterator[io.StringIO]:
    """Return where all logs go: those of every library, at every level, in the server's form."""
    root = logging.getLogger()
    before = (list(root.handlers), root.level, sys.excepthook, threading.excepthook)
    configure("debug")
    said = io.StringIO()
    (handler,) = root.handlers
    handler.setStream(said)
    for name in ("", *logging.root.manager.loggerDict):
        logging.getLogger(name).setLevel(logging.DEBUG)
    yield said
    root.handlers[:], root.level, sys.excepthook, threading.excepthook = before
    for name in logging.root.manager.loggerDict:
        logging.getLogger(name).setLevel(logging.NOTSET)


def errors_in(body: bytes) -> Iterator[bytes]:
    """Yield what an answer says went wrong, be it whole or an event of a stream."""
    for piece in (body, *(sse.data_of(frame + b"\n\n") or b"" for frame in body.split(b"\n\n"))):
        try:
            value = json.loads(piece)
        except ValueError:
            continue
        failed = value.get("response", value) if isinstance(value, dict) else {}
        if failed.get("error"):
            yield json.dumps(failed["error"]).encode()


async def send(gateway: Gateway, path: str, fields: Mapping[str, Any], **more: str) -> int:
    """Send a request with words everywhere; check that no error has any of them."""
    body = {"model": MODEL, **fields}
    url = f"{gateway.url}{path}?{MARK}={MARK}"
    try:
        async with gateway.session.post(url, json=body, headers={**HEADERS, **more}) as response:
            answer = await response.read()
            assert MARK not in str(response.headers).lower()
            for error in errors_in(answer):
                assert MARK.encode() not in error.lower()
            return response.status
    except (ConnectionError, asyncio.IncompleteReadError):
        return 0


async def everything(gateway: Gateway, vllm: FakeVLLM) -> set[int]:
    """Send every kind of request, and have the model server answer in every way."""
    statuses = set()
    well = {**DEFAULTS, "restate": MARK, "judge": lacks("", unless=REVISED)}
    vllm.script = dict(well)
    for fields in CHATS:
        for mode in ("draft", "fast", "standard", "thorough"):
            wishes = {"revision": {**fields.get("revision", {}), "mode": mode}}
            body = {"messages": TURNS, **PERSON, **fields, **wishes}
            statuses.add(await send(gateway, CHAT, body))
    for path, fields in OTHERS:
        statuses.add(await send(gateway, path, fields))
    statuses.add(await send(gateway, CHAT, {"messages": TURNS}, **{"x-openwebui-task": MARK}))
    for fields in BAD:
        statuses.add(await send(gateway, CHAT, {"messages": TURNS, **fields}))
    for fault in FAULTS:
        for step in ("draft", "rubric", "judge", "completions", "embeddings", "revise"):
            vllm.script = {**well, step: fault}
            paths = {"completions": OTHERS[2:4], "embeddings": OTHERS[4:5]}
            stream = {"messages": TURNS, "stream": True}
            chat = [(CHAT, {"messages": TURNS}), (CHAT, stream)]
            if step in paths and isinstance(fault, Answer):
                continue  # a chat's
            for path, fields in paths.get(step, chat):
                statuses.add(await send(gateway, path, fields))
    for path in (f"/{MARK}", f"/v1/models/{MARK}", f"/v1/principles/{MARK}", f"/docs/{MARK}"):
        async with gateway.session.get(gateway.url + path, headers=HEADERS) as response:
            assert MARK.encode() not in await response.read()
            statuses.add(response.status)
    async with gateway.session.post(gateway.url + CHAT, data=MARK, headers=HEADERS) as response:
        assert MARK.encode() not in await response.read()
    return statuses


def kept(folder: Path) -> list[str]:
    """Return the files of a folder that hold a planted word, in their name or inside."""
    allowed = {path for pattern in CONTENT_MAY_BE for path in folder.glob(pattern)}
    return [
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path not in allowed
        and (MARK in path.name.lower() or (path.is_file() and MARK.encode() in path.read_bytes()))
    ]


@pytest.mark.parametrize("wishes", SETTINGS.values(), ids=SETTINGS)
async def test_no_word_outlives_its_request(  # noqa: PLR0913, PLR0917  # each a place
    open_gateway: Opener,
    vllm: FakeVLLM,
    tmp_path: Path,
    logs: io.StringIO,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    wishes: Mapping[str, Any],
):
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    gateway = await open_gateway(call_timeout_s=5, **wishes)
    statuses = await everything(gateway, vllm)
    assert statuses >= {200, 400, 404, 502, 503}
    if not wishes:  # then every step is reached
        steps = {one.step for one in vllm.requests}
        assert steps >= {"draft", "rubric", "judge", "revise", "completions", "embeddings"}
    metrics = (await gateway.get("/metrics")).body.decode().lower()
    ready = (await gateway.get("/readyz")).body.decode().lower()
    said = (logs.getvalue() + "".join(capfd.readouterr())).lower()
    assert "request method=post" in said
    for told in (metrics, ready, said):
        assert MARK not in told
    assert kept(tmp_path) == []
    assert MARK not in titles()


def titles() -> str:
    """Return what others on the machine can see of this process."""
    shown = (Path("/proc/self", name).read_bytes() for name in ("cmdline", "comm", "environ"))
    return b"".join(shown).decode(errors="replace").lower()


def fall(*_args: object, **_options: object) -> None:
    raise RuntimeError(f"{MARK} broke it") from ValueError(MARK)


@pytest.mark.parametrize(
    ("place", "fields"),
    [
        ("server.routes.chat.plan_chat", {}),
        ("server.routes.chat.completion_body", {"revision": {"mode": "fast"}}),
        ("server.streaming.pieces", {"revision": {"mode": "fast"}, "stream": True}),
        ("server.draft_call.read", {"revision": {"mode": "draft"}, "stream": True}),
        ("server.draft_call.read", {"revision": {"mode": "draft"}}),
    ],
)
async def test_a_crash_tells_its_place_and_not_its_words(
    open_gateway: Opener,
    vllm: FakeVLLM,
    monkeypatch: pytest.MonkeyPatch,
    logs: io.StringIO,
    place: str,
    fields: Mapping[str, Any],
):
    gateway = await open_gateway()
    monkeypatch.setattr(place, fall)
    vllm.script["restate"] = MARK
    await send(gateway, CHAT, {"messages": TURNS[-1:], **fields})
    said = logs.getvalue()
    assert "error=RuntimeError at=test_privacy.py:" in said
    assert MARK not in said.lower()


def test_a_library_that_logs_an_error_tells_its_place_and_not_its_words(logs: io.StringIO):
    try:
        fall()
    except RuntimeError:
        logging.getLogger("some.library").exception("it failed")
    said = logs.getvalue()
    assert "some.library it failed" in said
    assert "error=RuntimeError at=test_privacy.py:" in said
    assert MARK not in said


async def test_an_error_that_nobody_awaits_is_told_without_its_words(logs: io.StringIO):
    loop = asyncio.get_running_loop()
    error = RuntimeError(MARK)
    task = {"message": MARK, "exception": error, "future": MARK}
    quiet_loop(loop, task)
    quiet_loop(loop, {"message": MARK})
    said = logs.getvalue()
    assert "event loop: error=RuntimeError" in said
    assert MARK not in said


@pytest.mark.parametrize("where", ["main", "thread"])
def test_a_process_that_crashes_leaves_a_trace_without_words(where: str):
    crash = f"def fall(): raise RuntimeError('{MARK}'.upper())\n"
    start = {
        "main": "fall()",
        "thread": "import threading; t = threading.Thread(target=fall); t.start(); t.join()",
    }
    code = f"from server.log import configure\nconfigure('debug')\n{crash}{start[where]}"
    root = Path(server_log.__file__).parent.parent
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False
    )
    assert "RuntimeError at <string>:3" in done.stderr
    assert MARK.upper() not in done.stderr
