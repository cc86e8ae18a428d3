"""The embedder: a model that is missing, damaged or gives no numbers is an error that says so."""

import numpy as np
import pytest

from models import embedder
from models.embedder import SentenceEmbedder
from models.errors import EmbedderError


class Fixed:
    """Gives the same vectors for everything."""

    def __init__(self, row: list[float]) -> None:
        self.row = row

    def get_embedding_dimension(self) -> int:
        return len(self.row)

    get_sentence_embedding_dimension = get_embedding_dimension

    def encode(self, texts: list[str], **_: object) -> np.ndarray:
        return np.array([self.row] * len(texts))


@pytest.mark.parametrize("row", [[float("nan"), 0.0], [float("inf"), 0.0], [0.0, 0.0]])
def test_a_vector_that_is_not_finite_or_has_no_length_is_an_error(row, tmp_path, monkeypatch):
    monkeypatch.setattr(embedder, "_load", lambda _: Fixed(row))
    with pytest.raises(EmbedderError, match="not finite"):
        SentenceEmbedder(tmp_path).embed(["a headache"])


def test_a_good_vector_comes_as_it_is(tmp_path, monkeypatch):
    monkeypatch.setattr(embedder, "_load", lambda _: Fixed([0.6, 0.8]))
    assert SentenceEmbedder(tmp_path).embed(["a headache"]) == pytest.approx(np.array([[0.6, 0.8]]))


def test_a_folder_that_is_not_there_is_told(tmp_path):
    with pytest.raises(EmbedderError, match="does not exist"):
        SentenceEmbedder(tmp_path / "none")


def test_a_folder_without_a_model_is_told_and_nothing_is_downloaded(tmp_path):
    with pytest.raises(EmbedderError, match="cannot be loaded"):
        SentenceEmbedder(tmp_path)
