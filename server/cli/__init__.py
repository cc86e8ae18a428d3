"""The command line. Errors are one clear line on standard error; status 1 failed, 2 wrong usage."""

import io
import sys
from typing import NoReturn

import typer

from models.errors import EmbedderError, ModelError
from retrieval.errors import RetrievalError
from revision.errors import RevisionError
from server.cli import ask, doctor, keys, principles, rubrics, serve
from server.errors import ApiError
from server.keys.store import KeyStoreError
from server.settings import SettingsInvalid

KNOWN = (
    ModelError,
    RevisionError,
    RetrievalError,
    EmbedderError,
    ApiError,
    KeyStoreError,
    OSError,
)
"""What may go wrong, and says itself what to do."""

FAILED, WRONG_USAGE, INTERRUPTED = 1, 2, 130

app = typer.Typer(
    name="clinalign-serve",
    help="Answers to health questions: drafted, critiqued, revised and re-checked.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("serve")(serve.serve)
app.command("ask")(ask.ask)
app.command("doctor")(doctor.doctor)
app.add_typer(principles.app, name="principles")
app.add_typer(rubrics.app, name="rubrics")
app.add_typer(keys.app, name="keys")


def main() -> None:
    """Run a command and leave with its status."""
    _write_utf8()
    try:
        status: object = app(standalone_mode=False)
    except typer.TyperException as error:
        _fail(error.format_message(), error.exit_code)
    except SettingsInvalid as error:
        _fail(str(error), WRONG_USAGE)
    except KNOWN as error:
        _fail(str(error), FAILED)
    except (KeyboardInterrupt, typer.Abort):
        sys.exit(INTERRUPTED)
    sys.exit(status if isinstance(status, int) else 0)


def _write_utf8() -> None:
    """Write UTF-8 whatever the locale says: the output is text and JSON for other programs."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")


def _fail(message: str, status: int) -> NoReturn:
    # Without a command, the message is the help; that is told as it is.
    line = message if message.startswith("Usage:") else " ".join(message.split())
    prefix = "" if line is message else "clinalign-serve: "
    print(f"{prefix}{line}", file=sys.stderr)  # noqa: T201  # a command's one error line
    sys.exit(status)
