"""Which FAISS structure holds a corpus: exact up to 100,000 rows, an inverted file beyond.

Exact search reads every vector, and at a million rows memory bandwidth alone takes longer than a
whole judgement. The inverted file (IVF) reads the lists nearest to the query, its vectors in 8
bits; HNSW is as fast to search but takes many times longer to build and twice the memory.
"""

import math
from typing import Literal, TypeAlias

import faiss
import numpy as np
from numpy.typing import NDArray

Kind: TypeAlias = Literal["flat", "ivf"]
Device: TypeAlias = Literal["CPU", "GPU"]

ALL_ROWS_UP_TO = 10_000
"""Up to here every row is ranked; sorting more of them would cost more than finding them."""

EXACT_UP_TO = 100_000
"""Rows: some 10 ms a query on two cores."""

PROBES = 32
"""Lists that a query reads; of 2,048 for a million rows."""

TRAINING_ROWS = 64
"""Rows for each list that its centre is fitted to."""

ITERATIONS = 8
SEED = 20260210


def kind_for(rows: int) -> Kind:
    """Return the structure for so many rows."""
    return "flat" if rows <= EXACT_UP_TO else "ivf"


def make_structure(vectors: NDArray[np.float32], kind: Kind) -> faiss.Index:
    """Return a searchable structure of unit vectors, shape (rows, dimension), by inner product."""
    rows, dimension = vectors.shape
    if kind == "flat":
        exact = faiss.IndexFlatIP(dimension)
        exact.add(vectors)
        return exact
    lists = 2 ** round(math.log2(2 * math.sqrt(rows)))
    centres = faiss.IndexFlatIP(dimension)
    index = faiss.IndexIVFScalarQuantizer(
        centres, dimension, lists, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT
    )
    index.cp.niter = ITERATIONS
    index.cp.seed = SEED
    index.cp.max_points_per_centroid = TRAINING_ROWS
    chosen = np.random.default_rng(SEED).permutation(rows)[: lists * TRAINING_ROWS]
    index.train(vectors[np.sort(chosen)])
    index.add(vectors)
    return index


def kind_of(index: faiss.Index) -> Kind | None:
    """Return which of the two structures an index is; None for any other, a GPU's among them."""
    if isinstance(index, faiss.IndexFlat):
        return "flat"
    return "ivf" if isinstance(index, faiss.IndexIVF) else None


def open_structure(index: faiss.Index) -> faiss.Index:
    """Ready a structure that was read from a file: how far it searches, and on which device.

    Large exact indexes move to the GPU where the installed FAISS has one. Small ones stay on the
    CPU, which ranks all their rows in less time than a GPU takes to be asked (and a GPU returns
    2,048 at most). So does the inverted file: its vectors are also read one by one, which FAISS's
    GPU indexes cannot do.
    """
    if isinstance(index, faiss.IndexIVF):
        index.nprobe = PROBES
        index.make_direct_map()
        return index
    return faiss.index_cpu_to_all_gpus(index) if gpus() and index.ntotal > ALL_ROWS_UP_TO else index


def device_of(index: faiss.Index) -> Device:
    """Return where a structure that `open_structure` readied is searched."""
    return "GPU" if kind_of(index) is None else "CPU"


def gpus() -> int:
    """Return how many cards the installed FAISS can use; 0 for `faiss-cpu`."""
    return int(faiss.get_num_gpus()) if hasattr(faiss, "StandardGpuResources") else 0
