"""An embedder without a model: words are hashed into places of a vector.

Texts that share words are near, texts that share none are (almost) orthogonal, and the same text
always gives the same vector. Enough to test everything around an embedder.
"""

import hashlib
import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.errors import EmbedderError


class HashingEmbedder:
    """Implements `models.protocols.Embedder`; raises after `fails_after` texts."""

    def __init__(
        self, name: str = "hashing@1", dimension: int = 64, fails_after: int | None = None
    ) -> None:
        self.id = name
        self.dimension = dimension
        self.fails_after = fails_after
        self.embedded = 0

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.embedded += len(texts)
        if self.fails_after is not None and self.embedded > self.fails_after:
            raise EmbedderError("the embedder gave up")
        vectors = [self._vector(text) for text in texts]
        return np.array(vectors, dtype=np.float32).reshape(len(texts), self.dimension)

    def _vector(self, text: str) -> NDArray[np.float64]:
        vector = np.zeros(self.dimension)
        for word in re.findall(r"\w+", text.lower()) or [""]:
            seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:8], "little")
            vector += np.random.default_rng(seed).normal(size=self.dimension)
        unit: NDArray[np.float64] = vector / np.linalg.norm(vector)
        return unit
