"""Runs the installed program as its users do: another process, its own data folder."""

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

PROGRAM = Path(sys.executable).with_name("clinalign-serve")
NOWHERE = "http://127.0.0.1:9/v1"
"""Port 9 is `discard`; nothing listens there, so a connection is refused at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a command ended."""

    status: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The one line of standard error that a failed command owes its user."""
        assert "Traceback" not in self.err, self.err
        lines = self.err.splitlines()
        assert len(lines) == 1, self.err
        assert lines[0].startswith("clinalign-serve: ")
        return lines[0]


def environment(data: Path, settings: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return an environment without any setting but these, and few threads."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CLINALIGN_")}
    given = {f"CLINALIGN_{name}": value for name, value in (settings or {}).items()}
    return {**kept, "OMP_NUM_THREADS": "2", "CLINALIGN_DATA_DIR": str(data), **given}


def run(
    *arguments: str,
    data: Path,
    settings: Mapping[str, str] | None = None,
    stdin: bytes = b"",
    cwd: Path | None = None,
    seconds: float = 100,
) -> Outcome:
    """Run a command to its end."""
    done = subprocess.run(
        [str(PROGRAM), *arguments],
        input=stdin,
        capture_output=True,
        env=environment(data, settings),
        cwd=cwd or data.parent,
        timeout=seconds,
        check=False,
    )
    out, err = done.stdout.decode(), done.stderr.decode()
    assert "Traceback" not in err, err
    return Outcome(status=done.returncode, out=out, err=err)
