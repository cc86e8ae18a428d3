"""Whether a rubric's criterion foresees a physician's: an embedding, held against hand labels.

Two criteria match if an answer that satisfies the rubric's would most likely satisfy the
physician's. The matcher says so where the cosine of their texts reaches a threshold and both
demand, or both forbid. It is cheap and blunt: `matches.jsonl` holds pairs that were labelled by
reading, on which the threshold was set and its accuracy is told.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.devset import Demand
from benchmarks.labels import FOLDER
from models.protocols import Embedder
from revision.rubric import Criterion

MATCHES = FOLDER / "matches.jsonl"
THRESHOLD = 0.56
"""Set on one half of the labelled pairs; see `accuracy`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A physician's criterion and the rubric's that is nearest to it, both by id."""

    demand: str
    criterion: str
    cosine: float


class Matcher:
    """Embeds each text once."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._known: dict[str, NDArray[np.float32]] = {}

    def cosines(
        self, demands: Sequence[Demand], criteria: Sequence[Criterion]
    ) -> NDArray[np.float32]:
        """Return cosines, shape (demands, criteria); -1 where one demands and the other forbids."""
        if not demands or not criteria:
            return np.full((len(demands), len(criteria)), -1.0, dtype=np.float32)
        found = (
            self._vectors([one.text for one in demands])
            @ self._vectors([one.text for one in criteria]).T
        )
        wanted = np.array([one.points > 0 for one in demands])
        required = np.array([one.kind == "require" for one in criteria])
        return np.where(wanted[:, None] == required[None, :], found, -1.0).astype(np.float32)

    def _vectors(self, texts: Sequence[str]) -> NDArray[np.float32]:
        if new := list(dict.fromkeys(text for text in texts if text not in self._known)):
            self._known.update(zip(new, self._embedder.embed(new), strict=True))
        return np.stack([self._known[text] for text in texts])


def read_matches(path: Path = MATCHES) -> Mapping[tuple[str, str], bool]:
    """Return what readers said of pairs, by the ids of demand and criterion."""
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return {(one["demand"], one["criterion"]): bool(one["match"]) for one in lines}


def accuracy(cosines: Sequence[float], truth: Sequence[bool], threshold: float) -> dict[str, float]:
    """Return the matcher's accuracy, precision and recall on labelled pairs."""
    called = np.asarray(cosines) >= threshold
    right = np.asarray(truth)
    return {
        "accuracy": float(np.mean(called == right)),
        "precision": float(np.mean(right[called])) if called.any() else 0.0,
        "recall": float(np.mean(called[right])) if right.any() else 0.0,
    }


def best_threshold(cosines: Sequence[float], truth: Sequence[bool]) -> float:
    """Return the threshold, in hundredths, at which the matcher calls as many as there are.

    Not the most accurate one: a measure of shares should be right on average, so that misses and
    false matches cancel out.
    """
    wanted = float(np.mean(truth))
    grid = np.arange(20, 90) / 100
    shares = [float(np.mean(np.asarray(cosines) >= one)) for one in grid]
    return float(grid[int(np.argmin([abs(share - wanted) for share in shares]))])
