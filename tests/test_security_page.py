"""`SECURITY.md` names for each threat its defence and tests, and those tests are there."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from tests.attack.run import ATTACKS

ROOT = Path(__file__).parent.parent
ROW = re.compile(r"^\| (S\d+) \| (.+?) \| (.+?) \| (.+?) \|$", re.MULTILINE)
ROWS = {row[0]: row[1:] for row in ROW.findall((ROOT / "SECURITY.md").read_text(encoding="utf-8"))}
TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


@cache
def functions_of(path: Path) -> frozenset[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    kinds = ast.FunctionDef | ast.AsyncFunctionDef
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, kinds))


def test_every_threat_has_its_row_and_its_attack():
    every = [f"S{number}" for number in range(1, 23)]
    assert list(ROWS) == every
    assert list(ATTACKS) == every


@pytest.mark.parametrize("name", ROWS)
def test_a_threat_has_a_defence_and_tests_that_are_there(name: str):
    threat, defence, named = ROWS[name]
    assert threat
    assert len(defence) > 20
    found = TEST.findall(named)
    assert found
    for file, test in found:
        assert test in functions_of(ROOT / file), f"{file} has no {test}"
