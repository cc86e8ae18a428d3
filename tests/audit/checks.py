"""What is looked at, each by a tool of its own. A check yields a line for each finding."""

import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from tests.audit import locks
from tests.audit.environment import ROOT, tool

PRODUCT = ("models", "retrieval", "revision", "server")
SBOM = ROOT / "build" / "sbom.cdx.json"
NO_SECRETS = re.compile(r"\.lock$|^(retrieval|revision|benchmarks|tests/revision)/data/")
"""Data of ours: hashes of packages, of questions and of texts."""

SURE_S = 300.0


class NotFetched(Exception):  # noqa: N818  # named after the state
    """Advisories could not be had, so nothing is known about them."""


def _run(*command: str, statuses: tuple[int, ...] = (0, 1)) -> str:
    done = subprocess.run(
        command, cwd=ROOT, check=False, capture_output=True, text=True, timeout=SURE_S
    )
    if done.returncode not in statuses:
        raise RuntimeError(f"{Path(command[0]).name} failed: {done.stderr[-2000:]}")
    return done.stdout


def code() -> Iterator[str]:
    """Look for dangerous calls in the product's sources."""
    told = json.loads(_run(str(tool("bandit")), "-q", "-r", *PRODUCT, "-f", "json"))
    counts = Counter(
        (one["test_id"], one["test_name"], one["filename"].removeprefix("./"))
        for one in told["results"]
    )
    yield from (f"{test} {name} {file}" for test, name, file in counts)
    yield from (f"{one['filename']} could not be read" for one in told["errors"])


def secrets() -> Iterator[str]:
    """Look for keys and passwords in every file of the repository."""
    files = _run("git", "ls-files").splitlines()
    looked_at = [name for name in files if not NO_SECRETS.search(name)]
    told = json.loads(_run(str(tool("detect-secrets")), "scan", "--no-verify", *looked_at))
    for file, found in told["results"].items():
        yield from sorted({f"{one['type']} in {file}" for one in found})


ALLOWED = re.compile(
    r"MIT|BSD|0BSD|ISC|Apache|PSF|Python Software Foundation|CNRI-Python|Zlib|CC0|BSL-1\.0"
    r"|MPL|Mozilla Public License 2\.0|LLVM-exception|DFSG approved|Unlicense|HPND|LGPL",
)
"""Licences that let the product be used, changed and handed on; none asks for the product's own.

MPL and LGPL bind changes to the library itself, and none is changed here.
"""


def licences() -> Iterator[str]:
    """Look for a licence that is not on the list."""
    options = ("--format=json", "--with-system", f"--python={sys.executable}")
    for one in json.loads(_run(str(tool("pip-licenses")), *options)):
        if one["Name"] == "clinalign-serve":
            continue
        every = re.split(r";| AND | OR |WITH |\(|\)", one["License"])
        strange = [part for part in every if part.strip() and not ALLOWED.search(part)]
        if strange:
            yield f"{one['Name']} is under {one['License']}"


def bill() -> Iterator[str]:
    """Write the software bill of materials, of what is installed now."""
    SBOM.parent.mkdir(exist_ok=True)
    options = ("--pyproject", "pyproject.toml", "--output-reproducible", "--of", "JSON")
    program = str(tool("cyclonedx-py"))
    _run(program, "environment", *options, "-o", str(SBOM), sys.executable)
    told = json.loads(SBOM.read_text(encoding="utf-8"))
    listed = {locks.name_of(one["name"]) for one in told["components"] if one.get("version")}
    yield from (f"{name} is not in the bill" for name in _installed() - listed)


def _installed() -> set[str]:
    told = json.loads(_run(sys.executable, "-m", "pip", "list", "--format=json"))
    return {locks.name_of(one["name"]) for one in told} - {"clinalign-serve"}


def advisories() -> Iterator[str]:
    """Ask for known vulnerabilities of what is locked.

    Raises:
        NotFetched: nobody could be asked.

    """
    asked: dict[str, Mapping[str, object]] = {}
    for set_up in ("dev", "gpu"):
        options = ("--disable-pip", "--require-hashes", "--format=json", "--progress-spinner=off")
        path = str(locks.FOLDER / f"{set_up}.lock")
        try:
            said = _run(str(tool("pip-audit")), *options, "-r", path)
            found = json.loads(said)["dependencies"]
        except (RuntimeError, ValueError, subprocess.TimeoutExpired) as error:
            raise NotFetched(type(error).__name__) from None
        asked.update({one["name"]: one for one in found})
    unknown = [name for name, one in asked.items() if "skip_reason" in one]
    # Without a source of advisories the tool skips every package and reports success.
    if len(unknown) == len(asked):
        raise NotFetched(f"{len(unknown)} of {len(asked)} packages are unknown to the source")
    yield from (f"{name} is unknown to the source of advisories" for name in unknown)
    for name, one in asked.items():
        holes = one.get("vulns", ())
        if isinstance(holes, list):
            yield from (f"{name} {one['version']}: {hole['id']}" for hole in holes)


CHECKS: Mapping[str, Callable[[], Iterator[str]]] = {
    "locks": locks.faults,
    "code": code,
    "secrets": secrets,
    "licences": licences,
    "bill": bill,
    "advisories": advisories,
}
