"""Fit and measure what physicians demand of which question: `python -m benchmarks.demand DEV_FILE`.

Learned from the two thirds of the development set that may be learned from, and measured on them in
five folds: how many of the points that physicians give do the first eight principles cover? That is
how penalty and weights were chosen; the held-out third is left to `benchmarks/retrieval.py`.
`--write` writes the weights.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import KFold

from benchmarks.devset import Question, read_questions
from benchmarks.labels import Covered, read_coverage
from benchmarks.retrieval import K, bundled
from benchmarks.systems import found_by
from retrieval.demand import DEFAULT_FILE, DemandModel, dump_demand, fit_demand, load_demand
from retrieval.query import query_text
from retrieval.ranking import (
    DEMAND_WEIGHT,
    SCENARIO_WEIGHT,
    demand_trust,
    scenario_fit,
)
from retrieval.retriever import Retriever

FOLDS = 5
SEED = 3
PENALTIES = (1.0, 2.0, 4.0, 8.0)
DEMAND_WEIGHTS = (0.0, 0.3, 0.6, 0.8, 1.0, 1.5)
SCENARIO_WEIGHTS = (0.0, 0.1, 0.2)
PENALTY = 2.0
"""What is shipped."""

Floats = NDArray[np.float64]


def points_by_principle(
    question: Question, labels: Mapping[str, Covered], ids: list[str]
) -> Floats:
    """Return for each wanted criterion its points where a principle covers it, else 0."""
    wanted = [demand for demand in question.demands if demand.points > 0]
    table = np.zeros((len(wanted), len(ids)))
    for row, demand in enumerate(wanted):
        for principle in labels[demand.id].principles:
            if principle in ids:
                table[row, ids.index(principle)] = demand.points
    return table


def demanded(question: Question, labels: Mapping[str, Covered], ids: list[str]) -> Floats:
    """Return 1 for each principle that covers some criterion of the question, wanted or not."""
    named = {one for demand in question.demands for one in labels[demand.id].principles}
    return np.array([float(one in named) for one in ids])


def searched(retriever: Retriever, vectors: NDArray[np.float32], ids: list[str]) -> Floats:
    """Return each question's cosine with each principle, shape (questions, principles)."""
    cosines = np.zeros((len(vectors), len(ids)))
    place = {one: number for number, one in enumerate(ids)}
    for row, vector in enumerate(vectors):
        for hit in retriever.principle_index.search(vector, limit=len(retriever.library)):
            column = place.get(retriever.library.principles[hit.item].id)
            if column is not None:
                cosines[row, column] = hit.similarity
    return cosines


def fits(retriever: Retriever, questions: list[Question], vectors: NDArray[np.float32]) -> Floats:
    """Return each question's scenario fit with each principle."""
    known = found_by(retriever.library)
    rows = []
    for question, vector in zip(questions, vectors, strict=True):
        said = "\n".join(text for role, text in question.turns if role == "user")
        scenario = retriever.classifier.classify(vector, said)
        rows.append([scenario_fit(principle, scenario) for principle in known])
    return np.array(rows)


def covered(scores: Floats, tables: list[Floats]) -> float:
    """Return the mean share of the points that any principle covers which the first eight cover."""
    shares = []
    for row, table in zip(scores, tables, strict=True):
        first = np.argsort(-row, kind="stable")[:K]
        points = table.max(axis=1, initial=0.0)
        if points.sum() > 0:
            shares.append(table[:, first].max(axis=1).sum() / points.sum())
    return float(np.mean(shares))


def main() -> None:
    """Print the grid; write the weights if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("dev_file", type=Path)
    parser.add_argument("--write", action="store_true", help=f"write {DEFAULT_FILE}")
    arguments = parser.parse_args()
    labels = read_coverage()
    questions = [one for one in read_questions(arguments.dev_file) if not one.held_out]
    retriever = bundled()
    ids = [one.id for one in found_by(retriever.library)]
    vectors = retriever.embedder.embed([query_text(one.turns) for one in questions])
    wanted = np.array([demanded(one, labels, ids) for one in questions])
    tables = [points_by_principle(one, labels, ids) for one in questions]
    cosines, fit = searched(retriever, vectors, ids), fits(retriever, questions, vectors)
    print(
        f"{len(questions)} questions, {wanted.sum(axis=1).mean():.1f} principles demanded of each"
    )
    for penalty in PENALTIES:
        shares, trust = np.zeros_like(cosines), np.zeros_like(cosines)
        for learn, test in KFold(FOLDS, shuffle=True, random_state=SEED).split(vectors):
            model = _fit(vectors[learn], wanted[learn], ids, retriever, penalty)
            shares[test] = [list(model.shares(vector).values()) for vector in vectors[test]]
            trust[test] = np.vectorize(demand_trust)(cosines[test], model.bias)
        believed = cosines + SCENARIO_WEIGHT * fit + DEMAND_WEIGHT * shares
        print(
            f"penalty {penalty}, heads of one topic believed whole: {covered(believed, tables):.3f}"
        )
        shares *= trust
        for weight in DEMAND_WEIGHTS:
            cells = [
                covered(cosines + scenario * fit + weight * shares, tables)
                for scenario in SCENARIO_WEIGHTS
            ]
            told = ", ".join(
                f"scenario {scenario}: {cell:.3f}"
                for scenario, cell in zip(SCENARIO_WEIGHTS, cells, strict=True)
            )
            print(f"penalty {penalty}, weight {weight}: {told}")
    if arguments.write:
        model = _fit(vectors, wanted, ids, retriever, PENALTY)
        DEFAULT_FILE.write_text(dump_demand(model), encoding="utf-8")
        load_demand(DEFAULT_FILE)


def _fit(
    vectors: NDArray[np.float32],
    wanted: Floats,
    ids: list[str],
    retriever: Retriever,
    penalty: float,
) -> DemandModel:
    return fit_demand(vectors, wanted, ids, embedder=retriever.embedder.id, penalty=penalty)


if __name__ == "__main__":
    main()
