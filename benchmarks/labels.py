"""What readers have judged. Questions and physicians' criteria are named by ids; none is quoted.

The readers were a capable language model with written instructions, one pass over each pair; no
clinician was among them.

`relevance.jsonl`: whether a principle is relevant to a question, with a general reason.
`coverage.jsonl`: which principles cover a physician's criterion.
`questions.json`: which held-out questions are for tuning, for testing and for other languages.
"""

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent / "data"
RELEVANCE = FOLDER / "relevance.jsonl"
COVERAGE = FOLDER / "coverage.jsonl"
QUESTIONS = FOLDER / "questions.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Covered:
    """How far principles cover a criterion.

    `code` 2: a principle's criterion demands the same. 1: a rubric writer who sees the principle
    and the question would be led to it. 0: no principle leads there. `principles` are those that
    do, the best one first.
    """

    code: int
    principles: tuple[str, ...]


def read_relevance(path: Path = RELEVANCE) -> dict[str, dict[str, int]]:
    """Return question -> principle -> grade: 0 not relevant, 1 relevant, 2 essential."""
    grades: dict[str, dict[str, int]] = defaultdict(dict)
    for line in path.read_text(encoding="utf-8").splitlines():
        one = json.loads(line)
        grades[one["question"]][one["principle"]] = one["grade"]
    return dict(grades)


def read_coverage(path: Path = COVERAGE) -> dict[str, Covered]:
    """Return how far each criterion is covered, by its id."""
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return {
        one["demand"]: Covered(code=one["code"], principles=tuple(one["principles"]))
        for one in lines
    }


def read_parts(path: Path = QUESTIONS) -> Mapping[str, tuple[str, ...]]:
    """Return the ids of the questions for each part: tuning, test, languages."""
    parts = json.loads(path.read_text(encoding="utf-8"))
    return {name: tuple(ids) for name, ids in parts.items()}
