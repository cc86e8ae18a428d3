"""The scenario of a conversation: which clinical dimension values hold, and how surely."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from retrieval.dimensions import DIMENSIONS, HEADS

# Chosen out of fold on 48 labelled items, 15 of them emergent: 0.27 is the highest threshold that
# finds nine in ten, rounded down because so few items bear no finer choice. At 0.25: recall
# 0.92, precision 0.53 (`python -m benchmarks.scenario`).
EMERGENT_THRESHOLD = 0.25

_EVEN_ODDS = 0.5
_ROUNDING = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """Dimension -> value -> probability.

    Each head's values sum to one, with one exception: the two "data-task-" values sum to the
    probability of "documents", so that they weigh nothing where there is no data to work on.
    """

    values: Mapping[str, Mapping[str, float]]

    @classmethod
    def unknown(cls) -> "Scenario":
        """Even shares: the scenario of which nothing is known."""
        return scenario_of(even_shares())

    def probability(self, dimension: str, value: str) -> float:
        """Return a value's probability; KeyError for what `DIMENSIONS` does not name."""
        return self.values[dimension][value]

    def lift(self, dimension: str, value: str) -> float:
        """Return how much likelier than even a value is; below 0, how much less likely."""
        return self.values[dimension][value] - _EVEN.values[dimension][value]

    def top(self, dimension: str) -> str:
        """Return the likeliest value; across several heads, the one furthest above its share."""
        even = _EVEN.values[dimension]
        shares = self.values[dimension]
        return max(shares, key=lambda value: shares[value] / even[value])

    @property
    def emergent(self) -> bool:
        """Whether to treat the conversation as a possible emergency.

        False for even shares, which say that nothing is known: else every conversation would
        become an emergency whenever the classifier is out of order.
        """
        urgency = self.values["urgency"]
        return urgency != _EVEN.values["urgency"] and urgency["emergent"] >= EMERGENT_THRESHOLD

    def as_labels(self) -> dict[str, list[str]]:
        """Return the values above their head's even share, for records; none for "unknown".

        A head that applies with less than even odds itself ("data-info" without data) names none.
        """
        labels: dict[str, list[str]] = {dimension: [] for dimension in DIMENSIONS}
        for name, (dimension, values) in HEADS.items():
            shares = {value: self.values[dimension].get(value, 0.0) for value in values}
            total = self.probability("task", "documents") if name == "data-info" else 1.0
            if total > _EVEN_ODDS:
                above = total / len(values) + _ROUNDING
                labels[dimension] += [value for value in values if shares[value] > above]
        return labels


def even_shares() -> dict[str, NDArray[np.float64]]:
    """Return each head's probabilities when nothing is known."""
    return {name: np.full(len(labels), 1 / len(labels)) for name, (_, labels) in HEADS.items()}


def scenario_of(probabilities: Mapping[str, NDArray[np.float64]]) -> Scenario:
    """Return the scenario that the heads' probabilities make."""
    values: dict[str, dict[str, float]] = {dimension: {} for dimension in DIMENSIONS}
    for name, (dimension, labels) in HEADS.items():
        scale = float(probabilities["data-task"][0]) if name == "data-info" else 1.0
        for label, probability in zip(labels, probabilities[name], strict=True):
            if label in DIMENSIONS[dimension]:
                values[dimension][label] = scale * float(probability)
    return Scenario(values={key: MappingProxyType(value) for key, value in values.items()})


_EVEN = Scenario.unknown()
