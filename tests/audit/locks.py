"""Lock files: every package of a set-up with its version and the hashes of its files.

    python -m tests.audit.locks          # checks them against constraints.txt; asks nobody
    python -m tests.audit.locks --write  # makes them anew, with uv

torch is left out of all but the one for GPUs. The set-ups without a GPU use its CPU build, which
does not come from PyPI but from an index of torch's own or from a folder of wheels, under the same
version and with other hashes; the Makefile installs it first, and `--no-deps` leaves it alone:

    pip install torch==VERSION
    pip install --require-hashes --no-deps -r requirements/cpu.lock
"""

import argparse
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.audit.environment import TOOLS, tool

ROOT = Path(__file__).parent.parent.parent
FOLDER = ROOT / "requirements"
SET_UPS: Mapping[str, tuple[str, ...]] = {
    "cpu": ("cpu",),
    "demo": ("cpu", "demo"),
    "dev": ("cpu", "demo", "dev"),
    "gpu": ("gpu",),
}
"""A lock file → the extras it is of."""

ELSEWHERE = frozenset({"torch", "triton"})
"""Not from PyPI in a set-up without a GPU, nor what only torch's GPU build needs."""
ELSEWHERE_TOO = ("nvidia-", "cuda-")

OTHER_PLATFORMS = frozenset({"colorama", "httpx2-jsfetch", "setuptools", "tzdata"})
"""Packages that no set-up of ours on Linux installs; uv locks for every platform."""

_PIN = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^\s;\\]+)")


def name_of(text: str) -> str:
    """Return a package's name as the registry compares it."""
    return re.sub(r"[-_.]+", "-", text).lower()


def pins(text: str) -> dict[str, str]:
    """Return name → version of a requirements file."""
    found = (_PIN.match(line) for line in text.splitlines())
    return {name_of(one["name"]): one["version"] for one in found if one}


def faults() -> Iterator[str]:
    """Yield what is wrong with the lock files."""
    known = pins((ROOT / "constraints.txt").read_text(encoding="utf-8"))
    for set_up in SET_UPS:
        path = FOLDER / f"{set_up}.lock"
        if not path.is_file():
            yield f"{path.name} is missing"
            continue
        text = path.read_text(encoding="utf-8")
        blocks = re.split(r"\n(?=[A-Za-z0-9])", text.strip())
        for block in blocks:
            if "--hash=sha256:" not in block:
                yield f"{path.name}: {block.split()[0]} has no hash"
        locked = pins(text)
        for name, version in locked.items():
            if name in known and known[name] != version:
                yield f"{path.name}: {name} is {version}, and {known[name]} in constraints.txt"
            if name not in known and set_up != "gpu" and name not in OTHER_PLATFORMS:
                yield f"{path.name}: {name} is not in constraints.txt"
    yield from _missing(known)


def _missing(known: Mapping[str, str]) -> Iterator[str]:
    """Yield what a plain installation has and no lock file knows."""
    locked = {name for set_up in SET_UPS for name in _locked(set_up)}
    wanted = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    for name in re.findall(r'^    "([a-z0-9-]+)(?:\[\w+\])?[><=]', wanted, re.MULTILINE):
        if name_of(name) not in locked:
            yield f"{name} of pyproject.toml is in no lock file"
        if name_of(name) not in known:
            yield f"{name} of pyproject.toml is not in constraints.txt"


def _locked(set_up: str) -> dict[str, str]:
    path = FOLDER / f"{set_up}.lock"
    return pins(path.read_text(encoding="utf-8")) if path.is_file() else {}


def write() -> None:
    """Make the lock files anew."""
    FOLDER.mkdir(exist_ok=True)
    for set_up, extras in SET_UPS.items():
        chosen = [part for extra in extras for part in ("--extra", extra)]
        text = _compiled("pyproject.toml", *chosen, "-c", "constraints.txt")
        if set_up != "gpu":
            blocks = re.split(r"\n(?=[A-Za-z0-9])", text.strip())
            text = "\n".join(block for block in blocks if not _is_elsewhere(block)) + "\n"
        (FOLDER / f"{set_up}.lock").write_text(text, encoding="utf-8")
    (FOLDER / "audit.lock").write_text(_compiled(str(TOOLS.relative_to(ROOT))), encoding="utf-8")


def _is_elsewhere(block: str) -> bool:
    name = name_of(block.partition("==")[0])
    return name in ELSEWHERE or name.startswith(ELSEWHERE_TOO)


def _compiled(*what: str) -> str:
    command = [
        *(str(tool("uv")), "pip", "compile", "--quiet", *what),
        *("--generate-hashes", "--universal", "--python-version", "3.11"),
        *("--no-header", "--no-annotate"),
    ]
    return subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout


def main() -> None:
    """Check the lock files, or write them."""
    parser = argparse.ArgumentParser(prog="tests.audit.locks")
    parser.add_argument("--write", action="store_true")
    if parser.parse_args().write:
        write()
    found = list(faults())
    print("\n".join(found) or "the lock files agree with constraints.txt")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
