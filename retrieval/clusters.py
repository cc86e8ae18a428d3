"""Grouping physicians' criteria by what they demand: the first half of distillation.

k-means over the criteria's embeddings, weighed by their points, so that a cluster stands for what
physicians demanded again and again rather than for whatever was worded most often.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.protocols import Embedder
from retrieval.rubric_lines import Demand, RubricLine

RESTARTS = 3
BATCH = 256

SHOWN = 24
"""Criteria of a cluster that stand for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """Criteria that demand one thing.

    `members` are their numbers, nearest to the centre first; `share` is their part of all points,
    0 to 1, negative points counting as much as positive ones.
    """

    number: int
    members: tuple[int, ...]
    share: float


def cluster(
    vectors: NDArray[np.float32], points: Sequence[float], *, count: int, seed: int
) -> tuple[Cluster, ...]:
    """Return up to `count` clusters of unit vectors, shape (criteria, dimension), weightiest first.

    The same input and seed give the same clusters. Raises ValueError for a count below 1.
    """
    if count < 1:
        raise ValueError("at least one cluster is needed")
    # Takes a second to import; commands that cluster nothing should not wait for it.
    from sklearn.cluster import KMeans  # noqa: PLC0415

    weights = np.abs(np.asarray(points, dtype=np.float64)) + 1e-9
    distinct = len(np.unique(vectors, axis=0))
    model = KMeans(n_clusters=min(count, distinct), n_init=RESTARTS, random_state=seed)
    labels = model.fit_predict(vectors, sample_weight=weights)
    total = weights.sum()
    groups = []
    for label, centre in enumerate(model.cluster_centers_):
        members = np.flatnonzero(labels == label)
        nearest = members[np.argsort(-(vectors[members] @ centre), kind="stable")]
        groups.append((float(weights[members].sum() / total), tuple(int(n) for n in nearest)))
    groups.sort(key=lambda group: (-group[0], group[1]))
    return tuple(
        Cluster(number=number, members=members, share=share)
        for number, (share, members) in enumerate(groups)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A cluster and the criteria that stand for it, nearest to its centre first."""

    cluster: Cluster
    support: tuple[Demand, ...]


def groups_of(
    lines: Sequence[RubricLine],
    embedder: Embedder,
    *,
    count: int,
    seed: int,
    progress: Callable[[int, int], None] = lambda _done, _of: None,
) -> tuple[Group, ...]:
    """Embed and cluster the criteria of rubric lines; the same text counts once. Blocks."""
    known: dict[str, Demand] = {}
    for line in lines:
        for demand in line.rubric:
            known.setdefault(demand.criterion.casefold(), demand)
    demands = tuple(known.values())
    vectors = np.empty((len(demands), embedder.dimension), dtype=np.float32)
    for start in range(0, len(demands), BATCH):
        batch = demands[start : start + BATCH]
        vectors[start : start + len(batch)] = embedder.embed([one.criterion for one in batch])
        progress(start + len(batch), len(demands))
    clusters = cluster(vectors, [demand.points for demand in demands], count=count, seed=seed)
    return tuple(
        Group(cluster=one, support=tuple(demands[n] for n in one.members[:SHOWN]))
        for one in clusters
    )
