"""`docs/reliability.md` is true: each fault, invariant and rule has its row, each test is there."""

import ast
import re
from functools import cache
from pathlib import Path
from typing import get_args

import pytest

from revision.events import Objection

HERE = Path(__file__).parent
PAGE = (HERE.parent / "docs" / "reliability.md").read_text(encoding="utf-8")
ROWS = [line.split(" | ") for line in PAGE.splitlines() if line.startswith("| ")]
TESTS = sorted(set(re.findall(r"`([\w/]+\.py)::(\w+)`", PAGE)))
FAULTS = [f"F{number}" for number in range(1, 36)]
INVARIANTS = [f"I{number}" for number in range(1, 11)]


def words(of: object) -> set[str]:
    """Return the words of a union of literals."""
    parts = get_args(of)
    return {word for one in parts for word in (words(one) if get_args(one) else {one})}


@cache
def defined(path: str) -> frozenset[str]:
    """Return the tests of a file: functions, and state machines under the name pytest sees."""
    found = set()
    for node in ast.parse((HERE / path).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Assign) and ast.unparse(node.value).endswith(".TestCase"):
            found |= {ast.unparse(one) for one in node.targets}
    return frozenset(name for name in found if name.lower().startswith("test"))


@pytest.mark.parametrize(
    "name", [*FAULTS, *INVARIANTS, *(f"`{word}`" for word in sorted(words(Objection)))]
)
def test_each_fault_invariant_and_rule_has_one_row_that_says_what_happens_and_names_tests(name):
    (row,) = [row for row in ROWS if row[0] == f"| {name}"]
    *told, shown = row[1:]
    assert told
    assert all(len(one) > 5 for one in told)
    assert re.search(r"`[\w/]+\.py::\w+`", shown)


@pytest.mark.parametrize(("path", "name"), TESTS)
def test_each_test_that_is_named_is_there(path, name):
    assert name in defined(path)


def test_every_row_of_the_page_names_tests():
    bare = [row for row in ROWS if "::" not in row[-1] and "shown by" not in row[-1]]
    assert bare == []
