"""The scenario classifier: linear heads over the query's embedding, and a lexicon of red flags.

The weights are JSON, written by `benchmarks/scenario.py`: data that can be read and checked, no
pickle and no scikit-learn at run time. The decision worth defending: red flags may raise the
probability of "emergent" and nothing may lower it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retrieval.dimensions import HEADS
from retrieval.errors import ScenarioFileInvalid
from retrieval.red_flags import red_flag
from retrieval.scenario import Scenario, even_shares, scenario_of

EMBEDDER = "all-MiniLM-L6-v2"
DIMENSION = 384
EMERGENT_FLOOR = 0.5  # a red flag means at least even odds, so it always passes the threshold


def raise_emergent(urgency: NDArray[np.float64]) -> NDArray[np.float64]:
    """Lift the first of the urgency probabilities to `EMERGENT_FLOOR`; the rest shrink in ratio."""
    if urgency[0] >= EMERGENT_FLOOR:
        return urgency
    raised: NDArray[np.float64] = urgency * (1 - EMERGENT_FLOOR) / (1 - urgency[0])
    raised[0] = EMERGENT_FLOOR
    return raised


@dataclass(frozen=True, slots=True)
class _Head:
    weights: NDArray[np.float64]  # (labels, DIMENSION)
    bias: NDArray[np.float64]  # (labels,)

    def probabilities(self, embedding: NDArray[np.float64]) -> NDArray[np.float64]:
        logits = self.weights @ embedding + self.bias
        powers = np.exp(logits - logits.max())
        shares: NDArray[np.float64] = powers / powers.sum()
        return shares


class ScenarioClassifier:
    """The fitted heads: multinomial logistic regressions over a unit embedding."""

    def __init__(self, heads: Mapping[str, _Head]) -> None:
        self._heads = heads

    @classmethod
    def without_weights(cls) -> "ScenarioClassifier":
        """Return one for another embedder than the weights': even shares, raised by red flags."""
        return cls({})

    @classmethod
    def load(cls, path: Path) -> "ScenarioClassifier":
        """Read the weights; raises `ScenarioFileInvalid` for any file that cannot be trusted."""
        try:
            content: object = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise ScenarioFileInvalid(f"{path.name}: cannot be read: {error.strerror}") from error
        except (ValueError, RecursionError) as error:
            raise ScenarioFileInvalid(f"{path.name}: is not JSON in UTF-8") from error
        try:
            return cls(_heads(content))
        except ScenarioFileInvalid as error:
            raise ScenarioFileInvalid(f"{path.name}: {error}") from None

    def classify(self, embedding: NDArray[np.float32], text: str) -> Scenario:
        """Return the scenario of a query.

        `embedding` is that of `query_text`, unit length, shape (384,); ValueError if it is not of
        that shape or not finite. `text` is searched for red flags: `query_text` or, better, the
        user's turns in full, since it skips the middle of a very long one.
        """
        fits = embedding.shape == (DIMENSION,) or not self._heads
        if not fits or not np.isfinite(embedding).all():
            raise ValueError(f"expected {DIMENSION} finite numbers, got shape {embedding.shape}")
        query = embedding.astype(np.float64)
        probabilities = even_shares()
        probabilities.update(
            (name, head.probabilities(query)) for name, head in self._heads.items()
        )
        if red_flag(text) is not None:
            probabilities["urgency"] = raise_emergent(probabilities["urgency"])
        return scenario_of(probabilities)


def _heads(content: object) -> dict[str, _Head]:
    if not isinstance(content, dict):
        raise ScenarioFileInvalid("the top level is not an object")
    for key, wanted in (("format", 1), ("embedder", EMBEDDER), ("dimension", DIMENSION)):
        if content.get(key) != wanted:
            raise ScenarioFileInvalid(f"{key} is {content.get(key)!r:.60}, expected {wanted!r}")
    entries = content.get("heads")
    if not isinstance(entries, list):
        raise ScenarioFileInvalid("heads is not a list")
    heads: dict[str, _Head] = {}
    for entry in entries:
        name = entry.get("name") if isinstance(entry, dict) else None
        if not isinstance(name, str) or name not in HEADS or name in heads:
            raise ScenarioFileInvalid(f"head {name!r:.60} is unknown or given twice")
        heads[name] = _head(name, entry)
    if missing := sorted(HEADS.keys() - heads.keys()):
        raise ScenarioFileInvalid(f"missing heads: {', '.join(missing)}")
    return heads


def _head(name: str, entry: Mapping[str, object]) -> _Head:
    dimension, labels = HEADS[name]
    if entry.get("dimension") != dimension or entry.get("labels") != list(labels):
        raise ScenarioFileInvalid(f"head {name!r} has another dimension or other labels")
    return _Head(
        weights=_numbers(name, "weights", entry.get("weights"), (len(labels), DIMENSION)),
        bias=_numbers(name, "bias", entry.get("bias"), (len(labels),)),
    )


def _numbers(name: str, field: str, value: object, shape: tuple[int, ...]) -> NDArray[np.float64]:
    try:
        array = np.array(value)
    except (ValueError, OverflowError):  # ragged rows, an integer beyond 64 bits
        array = np.array(None)
    # Checked before any conversion: numpy would read "1" and true as numbers.
    if array.dtype.kind not in "if" or array.shape != shape or not np.isfinite(array).all():
        raise ScenarioFileInvalid(f"head {name!r}: {field} is not finite numbers of shape {shape}")
    return array.astype(np.float64)
