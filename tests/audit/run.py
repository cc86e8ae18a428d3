"""Audit the sources and what is installed.

    python -m tests.audit.run [--strict]

Ends with status 1 on any finding that `exceptions.yaml` does not explain, and on an explanation
that explains nothing. Advisories need a source that not every network reaches; where none answers
that is told in capitals, and with `--strict` it is a failure.
"""

import argparse
import sys
from fnmatch import fnmatchcase
from pathlib import Path

import yaml

from tests.audit.checks import CHECKS, SBOM, NotFetched

EXCEPTIONS = Path(__file__).with_name("exceptions.yaml")


def known() -> dict[str, str]:
    """Return the findings that are explained, as patterns, with the reasons."""
    told = yaml.safe_load(EXCEPTIONS.read_text(encoding="utf-8"))
    return {one["finding"]: one["reason"] for one in told}


def findings(*, strict: bool) -> tuple[list[str], int]:
    """Return what is unexplained, and how many checks were made."""
    explained, used, found, made = known(), set(), [], 0
    for name, check in CHECKS.items():
        try:
            lines = [f"{name}: {one}" for one in check()]
        except NotFetched as why:
            print(f"ADVISORIES COULD NOT BE FETCHED, so none were checked ({why})")
            found += ["advisories: could not be fetched"] if strict else []
            continue
        made += 1
        for line in lines:
            matching = [pattern for pattern in explained if fnmatchcase(line, pattern)]
            used.update(matching)
            found += [] if matching else [line]
        print(f"{name}: {len(lines)} found", flush=True)
    found += [f"exceptions: nothing is found for {one!r}" for one in explained.keys() - used]
    return found, made


def main() -> None:
    """Audit, and say what was found."""
    parser = argparse.ArgumentParser(prog="tests.audit.run", description=__doc__)
    parser.add_argument("--strict", action="store_true")
    found, made = findings(strict=parser.parse_args().strict)
    print("\n".join(found))
    print(f"software bill of materials: {SBOM.name} in {SBOM.parent.name}/")
    print(f"{made} checks made, {len(found)} findings unexplained")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
