"""Measures of a ranking, and paired intervals: small, exact, and of no library's opinion."""

from collections.abc import Mapping, Sequence
from math import log2, sqrt

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 10_000
SEED = 20260210


def recall(ranking: Sequence[str], grades: Mapping[str, int], k: int) -> float:
    """Return the share of the relevant ids (grade above 0) among the first k.

    At most k can be found, so it is measured against the smaller of k and their number.
    """
    relevant = {one for one, grade in grades.items() if grade > 0}
    return len(relevant.intersection(ranking[:k])) / min(k, len(relevant))


def ndcg(ranking: Sequence[str], grades: Mapping[str, int], k: int) -> float:
    """Return the normalised discounted cumulative gain at k, the gain being the grade."""
    gain = sum(grades.get(one, 0) / log2(place + 2) for place, one in enumerate(ranking[:k]))
    best = sorted(grades.values(), reverse=True)[:k]
    return gain / sum(grade / log2(place + 2) for place, grade in enumerate(best))


def interval(differences: Sequence[float]) -> tuple[float, float, float]:
    """Return the mean of paired differences and its 95% bootstrap interval (percentiles)."""
    values: NDArray[np.float64] = np.asarray(differences, dtype=np.float64)
    random = np.random.default_rng(SEED)
    means = values[random.integers(len(values), size=(RESAMPLES, len(values)))].mean(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(values.mean()), float(low), float(high)


def wilson(count: int, of: int) -> tuple[float, float]:
    """Return the 95% interval of a proportion after Wilson, which holds for few and for none."""
    z, share = 1.959964, count / of
    middle = share + z * z / (2 * of)
    half = z * sqrt(share * (1 - share) / of + z * z / (4 * of * of))
    scale = 1 + z * z / of
    return max(0.0, (middle - half) / scale), min(1.0, (middle + half) / scale)
