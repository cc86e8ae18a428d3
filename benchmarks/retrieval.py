"""Whether the right principles are found: `python -m benchmarks.retrieval DEV_FILE`.

Held-out questions of the development set; for each, the first 15 of every system were pooled,
shuffled and judged by readers who did not know which system had found what (`--pool` writes the
pools, with the questions, to a private folder). Questions were split once, before anything was
tuned, into tuning and test; what is printed is the test part unless `--part` says otherwise.

Principles that always apply are left out of every ranking: nobody has to find them.
"""

import argparse
import json
import random
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks.devset import Question, read_questions
from benchmarks.labels import Covered, read_coverage, read_parts, read_relevance
from benchmarks.measures import interval, ndcg, recall
from benchmarks.systems import Ranking, System, systems
from models.embedder import SentenceEmbedder
from retrieval.open import Places, build_indexes, open_retriever
from retrieval.retriever import Retriever

K = 8
POOLED = 15
RIVALS = ("random", "most frequent", "BM25", "plain embedding")
"""What the shipped retriever must beat; the other systems are shown beside them."""


def bundled() -> Retriever:
    """Return the retriever of the bundled library, built afresh."""
    with tempfile.TemporaryDirectory() as folder:
        places = Places(indexes=Path(folder))
        embedder = SentenceEmbedder()
        build_indexes(places, embedder)
        return open_retriever(places, embedder)


def chosen(questions: Sequence[Question], ids: Sequence[str]) -> list[Question]:
    """Return the questions of those ids, in their order; KeyError if one is missing."""
    known = {question.id: question for question in questions}
    return [known[one] for one in ids]


def report(questions: Sequence[Question], ranked: dict[str, list[Ranking]]) -> None:
    """Print the table and the paired differences."""
    grades = read_relevance()
    coverage = read_coverage()
    scores: dict[str, dict[str, list[float]]] = {}
    for name, rankings in ranked.items():
        pairs = list(zip(questions, rankings, strict=True))
        scores[name] = {
            "recall": [recall(ranking, grades[one.id], K) for one, ranking in pairs],
            "nDCG": [ndcg(ranking, grades[one.id], K) for one, ranking in pairs],
            "points": [
                points_covered(one, frozenset(ranking[:K]), coverage) for one, ranking in pairs
            ],
        }
    print(f"\n| system | recall@{K} | nDCG@{K} | rubric points covered | unjudged |")
    print("|---|--:|--:|--:|--:|")
    for name, measured in scores.items():
        cells = " | ".join(f"{np.mean(values):.3f}" for values in measured.values())
        unjudged = np.mean(
            [
                np.mean([one not in grades[question.id] for one in ranking[:K]])
                for question, ranking in zip(questions, ranked[name], strict=True)
            ]
        )
        print(f"| {name} | {cells} | {unjudged:.0%} |")
    print("\nshipped minus …, mean of paired differences (95% bootstrap interval)\n")
    print(f"| | recall@{K} | nDCG@{K} | rubric points covered |\n|---|--:|--:|--:|")
    ours = scores["shipped"]
    for name in scores:
        if name != "shipped":
            cells = [
                _cell([a - b for a, b in zip(ours[measure], scores[name][measure], strict=True)])
                for measure in ours
            ]
            mark = " (must be beaten)" if name in RIVALS else ""
            print(f"| {name}{mark} | {' | '.join(cells)} |")


def _cell(differences: Sequence[float]) -> str:
    mean, low, high = interval(differences)
    return f"{mean:+.3f} ({low:+.3f} to {high:+.3f})"


def points_covered(
    question: Question, found: frozenset[str], coverage: Mapping[str, Covered]
) -> float:
    """Return the share of the points that physicians give which some found principle covers."""
    wanted = [demand for demand in question.demands if demand.points > 0]
    met = sum(
        demand.points for demand in wanted if found.intersection(coverage[demand.id].principles)
    )
    return met / sum(demand.points for demand in wanted)


def pool(questions: Sequence[Question], known: dict[str, System], folder: Path) -> None:
    """Write for each question what some system has among its first, shuffled, for readers."""
    folder.mkdir(parents=True, exist_ok=True)
    for question in questions:
        found = {one for system in known.values() for one in system(question)[:POOLED]}
        order = sorted(found)
        random.Random(f"pool {question.id}").shuffle(order)  # noqa: S311  # no secret
        body = {"question": question.id, "turns": question.turns, "principles": order}
        path = folder / f"{question.id}.json"
        path.write_text(json.dumps(body, ensure_ascii=False, indent=1), encoding="utf-8")


def main() -> None:
    """Run one of the two."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dev_file", type=Path)
    parser.add_argument("--part", choices=["tuning", "test"], default="test")
    parser.add_argument("--pool", type=Path, metavar="FOLDER", help="write the pools and stop")
    arguments = parser.parse_args()
    questions, parts = read_questions(arguments.dev_file), read_parts()
    known = systems(bundled(), questions, read_coverage())
    if arguments.pool:
        everything = chosen(questions, [one for ids in parts.values() for one in ids])
        pool(everything, known, arguments.pool)
        return
    part = chosen(questions, parts[arguments.part])
    report(part, {name: [rank(one) for one in part] for name, rank in known.items()})


if __name__ == "__main__":
    main()
