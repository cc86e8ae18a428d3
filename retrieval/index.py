"""A FAISS index over texts, beside a JSON manifest that says what it is an index of.

Every row belongs to one item: a principle has a row for its text and one for each question that
calls for it. A search ranks items by the mean of their two best rows, which forgives one row that
matches by chance; measured, it finds more than the best row alone. The file is FAISS's own
format, and its SHA-256 is checked before FAISS, a C++ reader, sees a byte of it.
"""

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal, TypeAlias

import faiss
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from models.protocols import Embedder
from retrieval.errors import BUILD, IndexCorrupt, IndexMismatch, IndexMissing
from retrieval.structure import (
    ALL_ROWS_UP_TO,
    Device,
    Kind,
    device_of,
    kind_for,
    kind_of,
    make_structure,
    open_structure,
)

FORMAT: Literal[2] = 2
"""Of the rows as well as of the files: 2 finds bank entries as conversations are searched for."""
BATCH = 64
BEST_ROWS = 2

FEWEST_ROWS = 1024
ROWS_A_HIT = 8
"""Rows fetched beyond that, for each item asked for."""

Rows: TypeAlias = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]
"""Items; then, row by row, the item that a row belongs to and the row's cosine."""


class Manifest(BaseModel):
    """What an index file was built from. `owners` maps each row to an item's number."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[2]
    corpus: str
    corpus_sha256: str
    embedder: str
    dimension: int
    count: int
    owners: tuple[int, ...]
    index_sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """An item found, by its number in the corpus, with the mean cosine of its best rows."""

    item: int
    similarity: float


class VectorIndex:
    """A loaded index. Searching is thread-safe; it is exact where `kind` is "flat"."""

    def __init__(self, index: faiss.Index, manifest: Manifest, kind: Kind) -> None:
        self.manifest = manifest
        self.kind: Kind = kind
        self.device: Device = device_of(index)
        self._index = index
        self._owners = np.asarray(manifest.owners, dtype=np.int64)
        # The rows of item n are those from starts[n] up to starts[n + 1].
        self._starts = np.searchsorted(self._owners, np.arange(self._owners[-1] + 2))

    def __len__(self) -> int:
        """Return the number of items."""
        return len(self._starts) - 1

    def search(self, query: NDArray[np.float32], *, limit: int) -> tuple[Hit, ...]:
        """Return up to `limit` items nearest to the unit vector of shape (dimension,)."""
        if len(self._owners) <= ALL_ROWS_UP_TO:
            items, owners, similarities = self._all_rows(query)
        else:
            items, owners, similarities = self._rows_nearby(query, limit)
        scores = _by_item(owners, similarities)
        best = np.argsort(-scores, kind="stable")[:limit]
        return tuple(Hit(item=int(items[n]), similarity=float(scores[n])) for n in best)

    def _all_rows(self, query: NDArray[np.float32]) -> Rows:
        found, rows = self._index.search(query.reshape(1, -1), len(self._owners))
        similarities = np.empty(len(self._owners), dtype=np.float32)
        similarities[rows[0]] = found[0]
        return np.arange(len(self)), self._owners, similarities

    def _rows_nearby(self, query: NDArray[np.float32], limit: int) -> Rows:
        # All rows of an item that has one near the query: its second best may lie far behind,
        # and its score must not depend on how many items were asked for.
        _, near = self._index.search(query.reshape(1, -1), max(FEWEST_ROWS, ROWS_A_HIT * limit))
        items = np.unique(self._owners[near[0][near[0] >= 0]])
        rows = np.concatenate([np.arange(self._starts[n], self._starts[n + 1]) for n in items])
        vectors: NDArray[np.float32] = self._index.reconstruct_batch(rows)
        return items, self._owners[rows], vectors @ query


def _by_item(owners: NDArray[np.int64], similarities: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return each item's mean cosine of its two best rows; `owners` ascend."""
    order = np.lexsort((-similarities, owners))
    ranked, of = similarities[order], owners[order]
    first = np.flatnonzero(np.r_[True, of[1:] != of[:-1]])
    second = np.minimum(first + 1, len(of) - 1)
    second = np.where(of[second] == of[first], second, first)
    means: NDArray[np.float32] = (ranked[first] + ranked[second]) * np.float32(1 / BEST_ROWS)
    return means


def build_index(
    folder: Path,
    corpus: str,
    corpus_sha256: str,
    texts: Sequence[Sequence[str]],
    embedder: Embedder,
) -> Manifest:
    """Embed each item's texts; write index and manifest, each whole or not at all."""
    owners = [number for number, rows in enumerate(texts) for _ in rows]
    flat = [text for rows in texts for text in rows]
    vectors = np.empty((len(flat), embedder.dimension), dtype=np.float32)
    for start in range(0, len(flat), BATCH):
        vectors[start : start + BATCH] = embedder.embed(flat[start : start + BATCH])
    index = make_structure(vectors, kind_for(len(flat)))
    data: bytes = faiss.serialize_index(index).tobytes()
    manifest = Manifest(
        format=FORMAT,
        corpus=corpus,
        corpus_sha256=corpus_sha256,
        embedder=embedder.id,
        dimension=embedder.dimension,
        count=len(flat),
        owners=tuple(owners),
        index_sha256=hashlib.sha256(data).hexdigest(),
    )
    folder.mkdir(parents=True, exist_ok=True)
    described = manifest.model_dump_json(indent=1).encode()
    vectors_file, manifest_file = index_files(folder, corpus)
    _replace({vectors_file: data, manifest_file: described})
    return manifest


def index_files(folder: Path, corpus: str) -> tuple[Path, Path]:
    """Return where a corpus's vectors and manifest lie; the manifest is written last."""
    return folder / f"{corpus}.faiss", folder / f"{corpus}.json"


def load_index(folder: Path, corpus: str, corpus_sha256: str, embedder: Embedder) -> VectorIndex:
    """Load the index of that corpus, made by that embedder.

    Raises:
        IndexMissing: no index or no manifest.
        IndexMismatch: it was built from another corpus file or by another embedder.
        IndexCorrupt: manifest or index are not what they should be.

    """
    manifest = read_manifest(folder, corpus)
    if manifest.corpus_sha256 != corpus_sha256:
        raise IndexMismatch(f"the {corpus} index was built from another file; {BUILD}")
    if (manifest.embedder, manifest.dimension) != (embedder.id, embedder.dimension):
        raise IndexMismatch(
            f"the {corpus} index was built by another embedder ({manifest.embedder}); {BUILD}"
        )
    try:
        data = (folder / f"{corpus}.faiss").read_bytes()
    except OSError as error:
        raise IndexMissing(f"there is no {corpus} index in {folder}; {BUILD}") from error
    if hashlib.sha256(data).hexdigest() != manifest.index_sha256:
        raise IndexCorrupt(f"the {corpus} index does not match its manifest; {BUILD}")
    index = faiss.deserialize_index(np.frombuffer(data, dtype=np.uint8))
    if not _in_order(manifest.owners):
        raise IndexCorrupt(f"the manifest of the {corpus} index names no such rows; {BUILD}")
    rows = (index.ntotal, len(manifest.owners), index.d)
    if rows != (manifest.count, manifest.count, manifest.dimension) or manifest.count == 0:
        raise IndexCorrupt(f"the {corpus} index has other rows than its manifest says; {BUILD}")
    kind = kind_of(index)
    if kind is None:
        raise IndexCorrupt(f"the {corpus} index is of a kind that is not built here; {BUILD}")
    return VectorIndex(open_structure(index), manifest, kind)


def read_manifest(folder: Path, corpus: str) -> Manifest:
    """Read the manifest alone.

    Raises:
        IndexMissing: there is none.
        IndexCorrupt: it cannot be read.

    """
    path = folder / f"{corpus}.json"
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise IndexMissing(f"there is no {corpus} index in {folder}; {BUILD}") from None
    except (OSError, ValidationError):
        raise IndexCorrupt(f"the manifest of the {corpus} index cannot be read; {BUILD}") from None


def _in_order(owners: tuple[int, ...]) -> bool:
    """Say whether the rows belong to items 0, 1, 2 and so on, as a build writes them."""
    steps = (after - before for before, after in pairwise((0, *owners)))
    return owners[:1] == (0,) and all(step in {0, 1} for step in steps)


def _replace(contents: Mapping[Path, bytes]) -> None:
    """Write all files, then put them into place; one that cannot be written changes nothing."""
    new = {path: path.with_suffix(f"{path.suffix}.{os.getpid()}.new") for path in contents}
    try:
        for path, data in contents.items():
            new[path].unlink(missing_ok=True)
            new[path].touch(mode=0o600)
            new[path].write_bytes(data)
        for path, written in new.items():
            written.replace(path)
    finally:
        for written in new.values():
            written.unlink(missing_ok=True)
