"""How much of what physicians demand some principle covers.

    python -m benchmarks.coverage DEV_FILE

Readers have said for every criterion of the development set which principles cover it (see
`benchmarks/labels.py`); this adds up the points, by theme and by axis. The library was written with
two thirds of the questions at hand, so only the held-out third says how it does on others.

Positive points are demands, negative ones faults that an answer must not have; "same" are those
that a principle's own criterion asks for word by sense, "led to" includes those that a rubric
writer would be led to.
"""

import argparse
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from benchmarks.devset import Demand, Question, read_questions
from benchmarks.labels import Covered, read_coverage

Pairs = list[tuple[Question, Demand]]


def shares(pairs: Iterable[tuple[Question, Demand]], labels: Mapping[str, Covered]) -> str:
    """Return the cells of one row: points and their covered shares, wanted and unwanted apart."""
    cells = []
    chosen = list(pairs)
    for sign in (1, -1):
        of = [demand for _, demand in chosen if demand.points * sign > 0]
        total = sum(abs(demand.points) for demand in of)
        same, led = (
            sum(abs(one.points) for one in of if labels[one.id].code >= code) for code in (2, 1)
        )
        share = f"{led / total:.2f} ({same / total:.2f})" if total else ""
        cells.append(f"{total:.0f} | {share}")
    return " | ".join(cells)


def table(name: str, pairs: Pairs, labels: Mapping[str, Covered], by: Callable[..., str]) -> None:
    """Print a table, a row a group, the largest first."""
    groups: dict[str, Pairs] = defaultdict(list)
    for question, demand in pairs:
        groups[by(question, demand)].append((question, demand))
    print(f"\n| {name} | points wanted | led to (same) | points unwanted | led to (same) |")
    print("|---|--:|--:|--:|--:|")
    for group, members in sorted(groups.items(), key=lambda item: -len(item[1])):
        print(f"| {group} | {shares(members, labels)} |")
    print(f"| all | {shares(pairs, labels)} |")


def gaps(pairs: Pairs, labels: Mapping[str, Covered]) -> None:
    """Print how many questions have more than half of their wanted points uncovered."""
    wanted: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    for question, demand in pairs:
        if demand.points > 0:
            wanted[question.id][labels[demand.id].code > 0] += demand.points
    poor = sum(missed > met for missed, met in wanted.values())
    print(f"\nquestions with more than half of their wanted points uncovered: {poor}", end="")
    print(f" of {len(wanted)}")


def main() -> None:
    """Print the tables of both parts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dev_file", type=Path)
    arguments = parser.parse_args()
    labels = read_coverage()
    everything = [
        (question, demand)
        for question in read_questions(arguments.dev_file)
        for demand in question.demands
    ]
    for held_out, title in ((True, "held out"), (False, "written with these at hand")):
        pairs = [pair for pair in everything if pair[0].held_out is held_out]
        questions = len({question.id for question, _ in pairs})
        print(f"\n## {title}: {questions} questions, {len(pairs)} criteria")
        table("theme", pairs, labels, lambda question, _: question.theme)
        table("axis", pairs, labels, lambda _, demand: demand.axis)
        gaps(pairs, labels)


if __name__ == "__main__":
    main()
