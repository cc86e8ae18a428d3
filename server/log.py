"""Logging: one line an event, `key=value`, and never a word of a conversation.

Tracebacks and exception texts are left out on purpose: both repeat what was being worked on. An
error's class and place in the code are what an engineer needs, and all that is safe to keep.
"""

import asyncio
import logging
import logging.config
import sys
import threading
import traceback
from collections.abc import Mapping
from contextvars import ContextVar
from pathlib import Path
from types import TracebackType
from typing import Any

REQUEST_ID: ContextVar[str] = ContextVar("request_id", default="none")
"""The request being served, for lines that are written far from where its id is known."""

log = logging.getLogger("clinalign")


def configure(level: str) -> None:
    """Send all logs to standard error in one form."""
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {
                "line": {
                    "()": Line,
                    "format": "%(asctime)s %(levelname)s %(name)s %(message)s",
                },
            },
            "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
            "root": {"handlers": ["stderr"], "level": "ERROR" if level == "error" else "WARNING"},
            "loggers": {
                "clinalign": {"level": level.upper()},
                "uvicorn": {"level": "WARNING"},
                "uvicorn.error": {"level": "WARNING"},
                "uvicorn.access": {"level": "CRITICAL", "propagate": False},  # it shows queries
            },
        }
    )
    sys.excepthook = _crashed
    threading.excepthook = lambda crash: _crashed(
        crash.exc_type, crash.exc_value or crash.exc_type(), crash.exc_traceback
    )


class Line(logging.Formatter):
    """Writes a record; of an error that comes with it, its class and its place alone.

    Libraries log what they could not handle with its whole traceback, at any level.
    """

    def formatException(  # noqa: N802  # logging's own name
        self,
        ei: tuple[type[BaseException], BaseException, TracebackType | None]
        | tuple[None, None, None],
    ) -> str:
        """Return what is told of an error."""
        return f"error={type(ei[1]).__name__} at={place_of(ei[1])}" if ei[1] else ""


def quiet_loop(_: asyncio.AbstractEventLoop, context: Mapping[str, Any]) -> None:
    """Log what an event loop could not give to anybody.

    Its own way shows the task, and in it the error with its words.
    """
    error = context.get("exception")
    kind = type(error).__name__ if error else "none"
    place = place_of(error) if error else "an unknown place"
    log.error("event loop: error=%s at=%s", kind, place)


def _crashed(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Write where a crash came from, frame by frame, without its words."""
    frames = "".join(traceback.format_tb(trace))
    sys.stderr.write(f"{frames}{kind.__name__} at {place_of(error)}\n")


def place_of(error: BaseException) -> str:
    """Return the file and line where the error arose."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "an unknown place"


def unhandled(error: BaseException) -> None:
    """Log an error that nothing has handled; without a traceback, which repeats the work's text."""
    log.error(
        "unhandled error=%s at=%s request_id=%s",
        type(error).__name__,
        place_of(error),
        REQUEST_ID.get(),
    )
