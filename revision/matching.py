"""Whether an answer matches a schema that a client wrote, asked of a process made for the question.

A schema is a program from outside: `anyOf` over references doubles its work at every level, and
deep ones have overflowed validators' stacks, which ends the process. No validator can be stopped
in a thread, and while one runs nothing else here does. A process can be stopped, and ends alone.
"""

import asyncio
import json
import sys
from asyncio.subprocess import DEVNULL, PIPE
from pathlib import Path

from models.messages import Json

LIMIT_S = 2.0
"""Starting the process takes some 0.05 s, an honest schema under 0.001 s; the rest is for a machine
under load."""

FITS, BREAKS = 10, 11
"""Exit statuses. Any other one, a crash above all, says nothing about the answer."""

_PROGRAM = Path(__file__).with_name("matching_process.py")


async def matches(schema: Json, text: str, *, seconds: float = LIMIT_S) -> bool | None:
    """Say whether the text, which is JSON, matches the schema; None where that cannot be known."""
    try:
        question = json.dumps({"schema": schema, "text": text}).encode()
    except (TypeError, ValueError, RecursionError):
        return None
    try:
        async with asyncio.timeout(min(seconds, LIMIT_S)):
            status = await _exit_status(question)
    except (OSError, TimeoutError):
        return None
    return {FITS: True, BREAKS: False}.get(status)


async def _exit_status(question: bytes) -> int:
    """Put the question to a new process, which never outlives this call.

    It goes in by a pipe, and nothing comes out: arguments and tracebacks would show health text.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-I", str(_PROGRAM), stdin=PIPE, stdout=DEVNULL, stderr=DEVNULL
    )
    try:
        await process.communicate(question)
    finally:
        if process.returncode is None:
            process.kill()
        status = await process.wait()
    return status
