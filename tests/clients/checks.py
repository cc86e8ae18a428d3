"""What every driver in Python is made of: named checks, run in order, and a last line of totals.

Drivers run in the environments of the clients they drive, so this needs nothing but Python.
"""

import asyncio
import importlib.metadata
import inspect
import json
import os
import secrets
import sys
import time
import traceback
import urllib.request
from collections.abc import Callable
from typing import Any

BASE_URL = os.environ["GATEWAY_BASE_URL"]
ROOT_URL = BASE_URL.removesuffix("/v1")
UPSTREAM_URL = os.environ["UPSTREAM_URL"]

QUESTION = "I have had a headache since this morning, what helps?"
DRAFT = "Rest in a dark room, drink water, and take paracetamol if the headache bothers you."
REVISED = f"{DRAFT} See a doctor at once for warning signs such as a stiff neck."
TOOL = {
    "type": "function",
    "function": {
        "name": "dose",
        "description": "Looks up a dose",
        "parameters": {
            "type": "object",
            "properties": {"substance": {"type": "string"}},
            "required": ["substance"],
        },
    },
}
ADVICE = {
    "type": "object",
    "properties": {"advice": {"type": "string"}, "urgent": {"type": "boolean"}},
    "required": ["advice", "urgent"],
    "additionalProperties": False,
}
ARGUMENTS = {"substance": "x"}
STATUSES = {"clean", "revised", "kept_draft", "unreviewed", "off"}

_checks: list[Callable[[], Any]] = []


def check(function: Callable[[], Any]) -> Callable[[], Any]:
    """Register a check; its name is its claim."""
    _checks.append(function)
    return function


def key() -> str:
    """Return a fresh key for a tag."""
    return secrets.token_hex(4)


def asking(what: str = "plain", of: str | None = None) -> str:
    """Return the question with a tag that the model server heeds."""
    return f"{QUESTION} [{what} k={of or key()}]"


def seen(of: str) -> dict[str, Any]:
    """Return what the model server saw of a key: calls, callers that left, the last body."""
    return get(f"{UPSTREAM_URL}/seen/{of}")


def arrived(of: str) -> None:
    """Wait until the model server has been asked for a draft of that key."""
    _until(lambda: seen(of)["calls"] == 1, "the model server was never asked")


def left(of: str) -> None:
    """Wait until the one who asked for that key's draft has left."""
    _until(lambda: seen(of)["left"] == 1, "the model server was left to work")


def _until(holds: Callable[[], bool], complaint: str) -> None:
    ends = time.monotonic() + 5
    while not holds():
        if time.monotonic() > ends:
            raise AssertionError(complaint)
        time.sleep(0.02)


def get(url: str) -> Any:
    """Return the JSON at an address on this machine."""
    with urllib.request.urlopen(url, timeout=10) as response:  # noqa: S310  # 127.0.0.1
        return json.load(response)


def model() -> str:
    """Return the gateway's first model, as a user would look it up."""
    return get(f"{BASE_URL}/models")["data"][0]["id"]


def raises(kind: type[BaseException], call: Callable[[], Any]) -> Any:
    """Return the error of that kind which the call must raise."""
    try:
        got = call()
    except kind as error:
        return error
    raise AssertionError(f"{kind.__name__} was not raised; got {got!r}")


def main(package: str) -> None:
    """Run the checks; the last line is for the runner. Exit 1 if any failed."""
    failed = 0
    for function in _checks:
        began = time.monotonic()
        name = function.__name__.replace("_", " ")
        try:
            result = function()
            if inspect.iscoroutine(result):
                asyncio.run(result)
        except Exception:  # noqa: BLE001  # whatever it is, the check has failed
            failed += 1
            print(f"FAILED {name}\n{traceback.format_exc()}")
        else:
            print(f"ok     {name} ({time.monotonic() - began:.1f} s)")
    version = importlib.metadata.version(package)
    print(json.dumps({"version": version, "passed": len(_checks) - failed, "failed": failed}))
    sys.exit(1 if failed else 0)
