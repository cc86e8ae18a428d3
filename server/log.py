"""Logging: one line an event, `key=value`, and never a word of a conversation.

Tracebacks and exception texts are left out on purpose: both repeat what was being worked on. An
error's class and place in the code are what an engineer needs, and all that is safe to keep.
"""

import logging
import logging.config
import traceback
from contextvars import ContextVar
from pathlib import Path

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
                "line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"},
            },
            "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
            "root": {"handlers": ["stderr"], "level": "ERROR" if level == "error" else "WARNING"},
            "loggers": {
                "clinalign": {"level": level.upper()},
                "uvicorn": {"level": "WARNING"},
                "uvicorn.error": {"level": "WARNING"},
            },
        }
    )


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
