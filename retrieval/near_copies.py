"""Near-copies in a library: principles, or criteria of different principles, that say the same."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from models.protocols import Embedder
from retrieval.principles import Library

PRINCIPLES_ABOVE = 0.85
CRITERIA_ABOVE = 0.90
"""Cosines of all-MiniLM-L6-v2 above which two texts say the same, found by reading pairs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NearCopy:
    """Two texts of different principles and their cosine; `one` and `other` are ids."""

    kind: Literal["principle", "criterion"]
    one: str
    other: str
    texts: tuple[str, str]
    similarity: float


def near_copies(
    library: Library,
    embedder: Embedder,
    *,
    principles_above: float = PRINCIPLES_ABOVE,
    criteria_above: float = CRITERIA_ABOVE,
) -> tuple[NearCopy, ...]:
    """Return all pairs above the thresholds, nearest first. Compares every pair: O(n²)."""
    texts = [(one.id, f"{one.title}. {one.text}") for one in library]
    checks = [(one.id, check.criterion) for one in library for check in one.criteria]
    found = [
        *_pairs("principle", texts, embedder, principles_above),
        *_pairs("criterion", checks, embedder, criteria_above),
    ]
    return tuple(sorted(found, key=lambda pair: -pair.similarity))


def _pairs(
    kind: Literal["principle", "criterion"],
    texts: Sequence[tuple[str, str]],
    embedder: Embedder,
    above: float,
) -> list[NearCopy]:
    vectors = embedder.embed([text for _, text in texts])
    cosines = np.triu(vectors @ vectors.T, k=1)
    return [
        NearCopy(
            kind=kind,
            one=texts[a][0],
            other=texts[b][0],
            texts=(texts[a][1], texts[b][1]),
            similarity=float(cosines[a, b]),
        )
        for a, b in np.argwhere(cosines > above)
        if texts[a][0] != texts[b][0]
    ]
