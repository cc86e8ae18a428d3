"""What physicians demanded of questions like this one: a linear head for each principle.

The search knows what a principle is about; it does not know how often physicians ask for it.
Readers said which principles cover each criterion that physicians wrote for 401 questions, and
these heads learned from the questions' embeddings where each principle is called for. Their
weights are JSON, written by `benchmarks/demand.py`. They speak of the bundled principles and the
bundled embedder alone: a principle without a head is taken to be demanded as often as any.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from retrieval.errors import DemandFileInvalid

DEFAULT_FILE = Path(__file__).parent / "data" / "demand.json"


class _Head(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    principle: str
    bias: FiniteFloat
    weights: tuple[FiniteFloat, ...]


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[1]
    embedder: str
    dimension: Annotated[int, Field(gt=0)]
    heads: Annotated[tuple[_Head, ...], Field(min_length=1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class DemandModel:
    """The heads, by principle. `embedder` is the id of the one whose vectors they read."""

    embedder: str
    principles: tuple[str, ...]
    weights: NDArray[np.float64]  # (heads, dimension)
    bias: NDArray[np.float64]  # (heads,)

    @classmethod
    def empty(cls) -> "DemandModel":
        """Return one that knows no principle."""
        return cls(embedder="", principles=(), weights=np.zeros((0, 1)), bias=np.zeros(0))

    @property
    def typical(self) -> float:
        """How likely any principle is demanded of any question: what is assumed of one unknown."""
        return float(self.bias.mean()) if self.principles else 0.0

    @property
    def base_rates(self) -> Mapping[str, float]:
        """How likely each principle is demanded of any question."""
        return dict(zip(self.principles, map(float, self.bias), strict=True))

    def shares(self, embedding: NDArray[np.float32]) -> Mapping[str, float]:
        """Return for each principle how likely physicians demand it here, about 0 to 1.

        `embedding` is that of the query, unit length, shape (dimension,).
        """
        if not self.principles:
            return {}
        values = self.weights @ embedding.astype(np.float64) + self.bias
        clipped = np.clip(values, 0.0, 1.0)
        return dict(zip(self.principles, map(float, clipped), strict=True))


def fit_demand(
    vectors: NDArray[np.float32],
    demanded: NDArray[np.float64],
    principles: Sequence[str],
    *,
    embedder: str,
    penalty: float,
) -> DemandModel:
    """Fit ridge regressions.

    Args:
        vectors: the questions' unit embeddings, shape (questions, dimension).
        demanded: 1 where physicians demanded the principle, else 0; shape (questions, principles).
        principles: their ids.
        embedder: the embedder's id.
        penalty: of the squared weights.

    """
    x = vectors.astype(np.float64)
    bias = demanded.mean(axis=0)
    gram = x.T @ x + penalty * np.eye(x.shape[1])
    weights = np.linalg.solve(gram, x.T @ (demanded - bias)).T
    return DemandModel(embedder=embedder, principles=tuple(principles), weights=weights, bias=bias)


def load_demand(path: Path = DEFAULT_FILE) -> DemandModel:
    """Read the weights.

    Raises:
        DemandFileInvalid: the file cannot be trusted.

    """
    try:
        file = _File.model_validate_json(path.read_bytes())
    except OSError as error:
        raise DemandFileInvalid(f"{path.name}: cannot be read: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        raise DemandFileInvalid(f"{path.name}: {place}: {first['msg']}") from None
    if len({head.principle for head in file.heads}) != len(file.heads):
        raise DemandFileInvalid(f"{path.name}: a principle has two heads")
    if any(len(head.weights) != file.dimension for head in file.heads):
        raise DemandFileInvalid(f"{path.name}: a head has other than {file.dimension} weights")
    return DemandModel(
        embedder=file.embedder,
        principles=tuple(head.principle for head in file.heads),
        weights=np.array([head.weights for head in file.heads], dtype=np.float64),
        bias=np.array([head.bias for head in file.heads], dtype=np.float64),
    )


def dump_demand(model: DemandModel) -> str:
    """Return the weights as the file's text, rounded to what matters."""
    heads = tuple(
        _Head(
            principle=principle,
            bias=round(float(bias), 4),
            weights=tuple(round(float(one), 3) for one in weights),
        )
        for principle, bias, weights in zip(
            model.principles, model.bias, model.weights, strict=True
        )
    )
    dimension = model.weights.shape[1]
    file = _File(format=1, embedder=model.embedder, dimension=dimension, heads=heads)
    return file.model_dump_json() + "\n"
