"""How long a query takes as the library grows: `python -m benchmarks.scale [ROWS...]`.

Rows are generated around the vectors of the bundled library (a row of it plus noise, to unit
length), so that near and far rows occur as in a real one; embedding a million real texts would
take hours and change nothing in what is timed. Recall is against exact search over the same rows.
"""

import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.embedder import SentenceEmbedder
from retrieval.index import VectorIndex, build_index, load_index
from retrieval.principles import load_library
from retrieval.retriever import CANDIDATES

QUERIES = 200
LIMIT = 8
"""Items that recall is measured on; the search itself asks for as many as the retriever does."""
NOISE = 0.9
SEED = 7


class GeneratedEmbedder:
    """Embeds the text "n" as the n-th generated row."""

    id = "generated@1"

    def __init__(self, real: NDArray[np.float32]) -> None:
        self._real = real
        self.dimension = real.shape[1]

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return unit vectors of shape (len(texts), dimension)."""
        random = np.random.default_rng([SEED, int(texts[0])])
        base = self._real[random.integers(len(self._real), size=len(texts))]
        noise = random.standard_normal(base.shape, dtype=np.float32)
        noise *= NOISE / np.sqrt(self.dimension)
        rows: NDArray[np.float32] = base + noise
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def main() -> None:
    """Print a line for each size."""
    sizes = [int(size) for size in sys.argv[1:]] or [1_000, 100_000, 1_000_000]
    library = load_library()
    embedder = SentenceEmbedder()
    real = embedder.embed([row for principle in library for row in library.rows(principle)])
    asked = [ask for questions in library.asks.values() for ask in questions][:QUERIES]
    queries = embedder.embed(asked)
    print("rows | structure | build s | query ms, median (99th percentile) | recall@8")
    for size in sizes:
        with tempfile.TemporaryDirectory() as folder:
            report(Path(folder), size, GeneratedEmbedder(real), queries)


def report(
    folder: Path, size: int, embedder: GeneratedEmbedder, queries: NDArray[np.float32]
) -> None:
    """Build, time and check one size."""
    started = time.perf_counter()
    build_index(folder, "generated", "none", [(str(n),) for n in range(size)], embedder)
    built = time.perf_counter() - started
    index = load_index(folder, "generated", "none", embedder)
    seconds, found = timed(index, queries)
    recall = np.mean(
        [len(a & b) / LIMIT for a, b in zip(found, exact(embedder, size, queries), strict=True)]
    )
    middle, slow = np.percentile(np.array(seconds) * 1000, [50, 99])
    print(f"{size} | {index.kind} | {built:.0f} | {middle:.1f} ({slow:.1f}) | {recall:.3f}")


def timed(
    index: VectorIndex, queries: NDArray[np.float32]
) -> tuple[list[float], list[frozenset[int]]]:
    """Return seconds for each query and what it found."""
    seconds, found = [], []
    for query in queries:
        started = time.perf_counter()
        hits = index.search(query, limit=CANDIDATES)
        seconds.append(time.perf_counter() - started)
        found.append(frozenset(hit.item for hit in hits[:LIMIT]))
    return seconds, found


def exact(
    embedder: GeneratedEmbedder, size: int, queries: NDArray[np.float32]
) -> list[frozenset[int]]:
    """Return the true nearest, batch by batch as the index was built."""
    step = 64  # the batches that `build_index` embeds, which seed the generator
    best = np.full((len(queries), LIMIT), -np.inf, dtype=np.float32)
    rows = np.zeros((len(queries), LIMIT), dtype=np.int64)
    for start in range(0, size, step * 64):
        numbers = range(start, min(start + step * 64, size), step)
        block = np.concatenate(
            [embedder.embed([str(m) for m in range(n, min(n + step, size))]) for n in numbers]
        )
        scores = np.concatenate([best, queries @ block.T], axis=1)
        owners = np.concatenate(
            [
                rows,
                np.broadcast_to(np.arange(start, start + len(block)), (len(queries), len(block))),
            ],
            axis=1,
        )
        top = np.argpartition(-scores, LIMIT, axis=1)[:, :LIMIT]
        best, rows = np.take_along_axis(scores, top, 1), np.take_along_axis(owners, top, 1)
    return [frozenset(map(int, row)) for row in rows]


if __name__ == "__main__":
    main()
