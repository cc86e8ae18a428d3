"""An exact FAISS index over texts, beside a JSON manifest that says what it is an index of.

Every row belongs to one item: a principle has a row for its text and one for each question that
calls for it. A search ranks items by the mean of their two best rows, which forgives one row that
matches by chance; measured, it finds more than the best row alone. The file is FAISS's own
format, and its SHA-256 is checked before FAISS, a C++ reader, sees a byte of it.
"""

import hashlib
import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import fmean
from typing import Literal

import faiss
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from models.protocols import Embedder
from retrieval.errors import BUILD, IndexCorrupt, IndexMismatch, IndexMissing

FORMAT = 1
BATCH = 64
BEST_ROWS = 2


class Manifest(BaseModel):
    """What an index file was built from. `owners` maps each row to an item's number."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[1]
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
    """A loaded index. Searching is exact and thread-safe."""

    def __init__(self, index: faiss.Index, manifest: Manifest) -> None:
        self.manifest = manifest
        self._index = index
        self._owners = np.asarray(manifest.owners, dtype=np.int64)

    def search(self, query: NDArray[np.float32], *, limit: int) -> tuple[Hit, ...]:
        """Return up to `limit` items nearest to the unit vector of shape (dimension,)."""
        # All rows: an item's second best row may lie far behind, and its score must not depend
        # on how many items were asked for.
        similarities, found = self._index.search(query.reshape(1, -1), len(self._owners))
        best: defaultdict[int, list[float]] = defaultdict(list)
        for row, similarity in zip(found[0], similarities[0], strict=True):
            best[int(self._owners[row])].append(float(similarity))  # rows come best first
        hits = [Hit(item=item, similarity=fmean(of[:BEST_ROWS])) for item, of in best.items()]
        return tuple(sorted(hits, key=lambda hit: -hit.similarity)[:limit])


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
    index = faiss.IndexFlatIP(embedder.dimension)
    for start in range(0, len(flat), BATCH):
        index.add(embedder.embed(flat[start : start + BATCH]))
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
    _replace({folder / f"{corpus}.faiss": data, folder / f"{corpus}.json": described})
    return manifest


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
    return VectorIndex(index, manifest)


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
            new[path].write_bytes(data)
        for path, written in new.items():
            written.replace(path)
    finally:
        for written in new.values():
            written.unlink(missing_ok=True)
