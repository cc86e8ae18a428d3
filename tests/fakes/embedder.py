"""An embedder without weights: words hashed into 64 places, so shared words mean nearness."""

import hashlib
import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from models.errors import EmbedderError

DIMENSION = 64


class HashingEmbedder:
    """Implements `models.protocols.Embedder`; the same text gives the same vector for ever.

    It fails with `EmbedderError` while `broken` is set.
    """

    def __init__(self, name: str = "hashing") -> None:
        self.broken = False
        self._id = f"{name}@1"

    @property
    def id(self) -> str:
        return self._id

    @property
    def dimension(self) -> int:
        return DIMENSION

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        if self.broken:
            raise EmbedderError("the embedding model gave a vector that is not finite")
        vectors = np.zeros((len(texts), DIMENSION), dtype=np.float32)
        for row, text in enumerate(texts):
            for word in re.findall(r"\w+", text.casefold()) or [""]:
                vectors[row, _place(word)] += 1.0
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def _place(word: str) -> int:
    return int.from_bytes(hashlib.blake2b(word.encode(), digest_size=4).digest()) % DIMENSION
