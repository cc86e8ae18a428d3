"""What physicians demand of which question: learned, written, read back, trusted only if whole."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from retrieval.classifier import EMBEDDER
from retrieval.demand import DemandModel, dump_demand, fit_demand, load_demand
from retrieval.errors import DemandFileInvalid
from retrieval.open import Places, build_indexes, open_retriever
from retrieval.principles import load_library
from retrieval.ranking import TOPIC_SHARE
from tests.retrieval.hashing import HashingEmbedder

SHIPPED = load_demand()


def unit(*values: float) -> np.ndarray:
    vector = np.array(values, dtype=np.float32)
    return vector / np.linalg.norm(vector)


def fitted() -> DemandModel:
    """Return a model that has seen "first" demanded of one kind of question only."""
    vectors = np.stack([unit(1, 0, 0), unit(1, 0.1, 0), unit(0, 1, 0), unit(0, 1, 0.1)])
    demanded = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 0.0], [0.0, 1.0]])
    return fit_demand(vectors, demanded, ["first", "second"], embedder="e", penalty=0.1)


def test_a_head_tells_the_questions_apart_that_it_was_fitted_to():
    model = fitted()
    assert model.shares(unit(1, 0.05, 0))["first"] > 0.8
    assert model.shares(unit(0, 1, 0.05))["first"] < 0.2


def test_shares_are_probabilities_and_the_typical_one_is_their_mean():
    model = fitted()
    for direction in (unit(1, 1, 1), unit(-1, 0, 0), unit(5, -3, 0)):
        assert all(0.0 <= share <= 1.0 for share in model.shares(direction).values())
    assert model.typical == pytest.approx((0.5 + 0.25) / 2)


def test_a_model_without_heads_says_nothing():
    model = DemandModel.empty()
    assert (dict(model.shares(unit(1, 2))), model.typical) == ({}, 0.0)


def test_what_is_written_is_read_back(tmp_path):
    path = tmp_path / "demand.json"
    path.write_text(dump_demand(fitted()))
    again = load_demand(path)
    assert again.principles == ("first", "second")
    assert np.allclose(again.weights, fitted().weights, atol=1e-3)
    assert np.allclose(again.bias, fitted().bias, atol=1e-4)


def test_the_shipped_heads_are_those_of_the_library_and_its_embedder():
    found_by = {known.id for known in load_library() if not known.always}
    assert set(SHIPPED.principles) == found_by
    assert SHIPPED.embedder.startswith(f"{EMBEDDER}@")
    assert SHIPPED.weights.shape == (len(found_by), 384)


HEAD = {"principle": "first", "bias": 0.1, "weights": [0.1, 0.2]}
WHOLE = {"format": 1, "embedder": "e", "dimension": 2, "heads": [HEAD]}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}",
        b"[]",
        b"\xff",
        json.dumps(WHOLE | {"format": 2}).encode(),
        json.dumps(WHOLE | {"heads": []}).encode(),
        json.dumps(WHOLE | {"heads": [HEAD, HEAD]}).encode(),
        json.dumps(WHOLE | {"heads": [HEAD | {"weights": [0.1]}]}).encode(),
        json.dumps(WHOLE | {"heads": [HEAD | {"weights": [0.1, "x"]}]}).encode(),
        json.dumps(WHOLE | {"heads": [HEAD | {"bias": None}]}).encode(),
        json.dumps(WHOLE).replace("0.2", "NaN").encode(),
        json.dumps(WHOLE | {"more": 1}).encode(),
    ],
)
def test_weights_that_cannot_be_trusted_are_refused(tmp_path, content):
    path = tmp_path / "demand.json"
    path.write_bytes(content)
    with pytest.raises(DemandFileInvalid, match=r"demand\.json"):
        load_demand(path)


def test_weights_that_are_missing_are_refused(tmp_path):
    with pytest.raises(DemandFileInvalid, match="cannot be read"):
        load_demand(tmp_path / "demand.json")


def principle(name: str, *, always: bool = False) -> dict:
    return {
        "id": name,
        "title": name,
        "text": f"Speaks of {name}.",
        "dimensions": {},
        "criteria": [{"criterion": f"Says {name}", "points": 5}],
        "always": always,
    }


@pytest.fixture
def places(tmp_path: Path) -> Places:
    library = [principle("standing", always=True), *map(principle, ("itching", "sneezing"))]
    bank = {
        "id": "entry",
        "messages": [{"role": "user", "content": "Anything"}],
        "rubric": [{"criterion": "Says so", "points": 5}],
    }
    for name, lines in (("principles", library), ("rubrics", [bank])):
        text = "".join(f"{json.dumps(line)}\n" for line in lines)
        (tmp_path / f"{name}.jsonl").write_text(text)
    return Places(
        indexes=tmp_path / "index",
        principles=tmp_path / "principles.jsonl",
        rubrics=tmp_path / "rubrics.jsonl",
    )


def demand_of(embedder: HashingEmbedder, text: str, principle_id: str) -> DemandModel:
    """Return heads that demand one principle of that very text, and both of some others."""
    (vector,) = embedder.embed([text])
    weights = np.stack([vector if name == principle_id else 0 * vector for name in NAMES])
    return DemandModel(
        embedder=embedder.id,
        principles=NAMES,
        weights=weights.astype(np.float64),
        bias=np.full(len(NAMES), TOPIC_SHARE),
    )


NAMES = ("itching", "sneezing")


def test_a_principle_that_physicians_demand_here_comes_before_one_that_the_words_name(places):
    embedder = HashingEmbedder(dimension=256)
    build_indexes(places, embedder)
    plain = open_retriever(places, embedder)
    asked = "Speaks of itching and little else"

    def order(retriever):
        found = retriever.retrieve([("user", asked)], top_k=4).principles
        return [hit.principle.id for hit in found if not hit.principle.always]

    demanding = replace(plain, demand=demand_of(embedder, asked, "sneezing"))
    assert order(plain)[0] == "itching"
    assert order(demanding)[0] == "sneezing"


def test_heads_are_left_aside_with_another_embedder(places):
    build_indexes(places, HashingEmbedder())
    assert open_retriever(places, HashingEmbedder()).demand.principles == ()


def test_a_principle_without_a_head_is_taken_to_be_demanded_as_often_as_any(places):
    embedder = HashingEmbedder(dimension=256)
    build_indexes(places, embedder)
    half = DemandModel(
        embedder=embedder.id,
        principles=("itching",),
        weights=np.zeros((1, 256)),
        bias=np.array([0.5]),
    )
    plain = open_retriever(places, embedder)

    def scores(retriever):
        found = retriever.retrieve([("user", "Speaks of itching, sneezing")], top_k=4).principles
        return {hit.principle.id: hit.score for hit in found if not hit.principle.always}

    before, after = scores(plain), scores(replace(plain, demand=half))
    gained = {name: after[name] - before[name] for name in before}
    assert gained["sneezing"] == pytest.approx(gained["itching"])
    assert gained["sneezing"] > 0
