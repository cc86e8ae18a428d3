"""The development set: which of its questions may be learned from, and which only measured on.

A question's place follows from a hash of its id, so that nobody chooses it and everybody gets the
same: one third is held out, from which nothing is written, fitted or tuned but what a benchmark
says it tunes. Questions are named by their ids alone, since HealthBench's authors ask that items
not be shown in public.

    python -m benchmarks.devset DEV_FILE > retrieval/data/held_out.sha256

prints the hashes by which an import keeps the held-out conversations out of the bank.
"""

import argparse
import hashlib
from dataclasses import dataclass
from pathlib import Path

from retrieval.importing import conversation_hash
from retrieval.rubric_lines import RubricLine, axis_of, read_rubrics, theme_of

SALT = "clinalign-split:"
PARTS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """A physician's criterion: `id` is the question's and the criterion's number in it."""

    id: str
    text: str
    points: float
    axis: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A conversation of (role, text) turns and what physicians demand of its answer."""

    id: str
    turns: tuple[tuple[str, str], ...]
    theme: str
    demands: tuple[Demand, ...]

    @property
    def held_out(self) -> bool:
        """Whether nothing may be learned from it."""
        return is_held_out(self.id)


def is_held_out(question_id: str) -> bool:
    """Say whether a question belongs to the third that is only measured on."""
    digest = hashlib.sha256(f"{SALT}{question_id}".encode()).hexdigest()
    return int(digest, 16) % PARTS == 0


def read_questions(path: Path) -> tuple[Question, ...]:
    """Read a file of rubric lines, HealthBench's form or this project's.

    Raises:
        LibraryInvalid: with the line and the field at fault.

    """
    return tuple(_question(line) for line in read_rubrics(path).lines)


def _question(line: RubricLine) -> Question:
    return Question(
        id=line.id,
        turns=tuple((turn.role, turn.content) for turn in line.messages),
        theme=theme_of(line) or "none",
        demands=tuple(
            Demand(
                id=f"{line.id}:{number}",
                text=demand.criterion,
                points=demand.points,
                axis=axis_of(demand) or "none",
            )
            for number, demand in enumerate(line.rubric)
        ),
    )


def main() -> None:
    """Print the hashes of the held-out conversations."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dev_file", type=Path)
    questions = read_questions(parser.parse_args().dev_file)
    for digest in sorted(conversation_hash(one.turns) for one in questions if one.held_out):
        print(digest)


if __name__ == "__main__":
    main()
