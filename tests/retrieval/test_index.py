"""The index: it is either exactly what its manifest says, or it is refused by name."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import EmbedderError
from retrieval.errors import IndexCorrupt, IndexMismatch, IndexMissing, RetrievalError
from retrieval.index import VectorIndex, build_index, load_index, read_manifest
from tests.retrieval.hashing import HashingEmbedder

TEXTS = (
    ("crushing chest pain", "pain in the left arm", "sweating and short of breath"),
    ("baby with a fever", "infant hot to the touch"),
    ("dose of paracetamol for a child",),
    ("sprained ankle", "twisted ankle after running", "ankle swollen", "can I walk on it"),
)
EMBEDDER = HashingEmbedder()


def build(folder: Path, sha256: str = "one", texts: Sequence[Sequence[str]] = TEXTS) -> None:
    build_index(folder, "things", sha256, texts, EMBEDDER)


def load(folder: Path, sha256: str = "one", embedder: HashingEmbedder = EMBEDDER) -> VectorIndex:
    return load_index(folder, "things", sha256, embedder)


def query(text: str) -> np.ndarray:
    return EMBEDDER.embed([text])[0]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    build(tmp_path / "index")
    return tmp_path / "index"


def edit(folder: Path, **changes: object) -> None:
    path = folder / "things.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_what_was_built_is_found_again(folder):
    index = load(folder)
    for item, rows in enumerate(TEXTS):
        for text in rows:
            assert index.search(query(text), limit=1)[0].item == item


def test_the_manifest_says_what_the_index_is_of(folder):
    manifest = read_manifest(folder, "things")
    assert manifest.corpus == "things"
    assert manifest.corpus_sha256 == "one"
    assert (manifest.embedder, manifest.dimension) == (EMBEDDER.id, EMBEDDER.dimension)
    assert manifest.count == 10
    assert manifest.owners == (0, 0, 0, 1, 1, 2, 3, 3, 3, 3)


def test_a_build_leaves_two_files_and_nothing_else(folder):
    assert sorted(path.name for path in folder.iterdir()) == ["things.faiss", "things.json"]


def test_many_texts_are_embedded_in_batches_and_all_are_there(tmp_path):
    texts = [(f"word{number}",) for number in range(150)]
    build(tmp_path, texts=texts)
    index = load(tmp_path)
    assert [index.search(query(f"word{n}"), limit=1)[0].item for n in (0, 63, 64, 128, 149)] == [
        0,
        63,
        64,
        128,
        149,
    ]


@pytest.mark.parametrize(
    "missing", [("things.faiss",), ("things.json",), ("things.faiss", "things.json")]
)
def test_a_missing_file_is_a_missing_index_and_says_what_to_run(folder, missing):
    for name in missing:
        (folder / name).unlink()
    with pytest.raises(IndexMissing, match="clinalign-serve principles build"):
        load(folder)


def test_a_missing_folder_is_a_missing_index(tmp_path):
    with pytest.raises(IndexMissing):
        load(tmp_path / "nowhere")


def test_the_index_of_another_corpus_name_is_not_taken(folder):
    with pytest.raises(IndexMissing):
        load_index(folder, "others", "one", EMBEDDER)


@pytest.mark.parametrize(
    ("sha256", "embedder"),
    [
        ("two", EMBEDDER),
        ("", EMBEDDER),
        ("one", HashingEmbedder(name="hashing@2")),
        ("one", HashingEmbedder(dimension=32)),
    ],
)
def test_another_corpus_or_embedder_is_a_mismatch(folder, sha256, embedder):
    with pytest.raises(IndexMismatch, match="clinalign-serve principles build"):
        load(folder, sha256, embedder)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"count": 9}, IndexCorrupt),
        ({"count": 11}, IndexCorrupt),
        ({"count": 0, "owners": []}, IndexCorrupt),
        ({"count": -1}, IndexCorrupt),
        ({"count": "many"}, IndexCorrupt),
        ({"owners": [0, 0, 0, 1, 1, 2, 3, 3, 3]}, IndexCorrupt),
        ({"owners": [0, 0, 0, 1, 1, 2, 3, 3, 3, 3, 3]}, IndexCorrupt),
        ({"owners": []}, IndexCorrupt),
        ({"owners": None}, IndexCorrupt),
        ({"count": 9, "owners": [0, 0, 0, 1, 1, 2, 3, 3, 3]}, IndexCorrupt),
        ({"dimension": 32}, IndexMismatch),
        ({"corpus_sha256": "two"}, IndexMismatch),
        ({"embedder": "hashing@2"}, IndexMismatch),
        ({"index_sha256": "0" * 64}, IndexCorrupt),
        ({"index_sha256": ""}, IndexCorrupt),
        ({"format": 1}, IndexCorrupt),
        ({"format": "1"}, IndexCorrupt),
        ({"more": True}, IndexCorrupt),
    ],
)
def test_an_edited_manifest_is_refused(folder, changes, error):
    edit(folder, **changes)
    with pytest.raises(error):
        load(folder)


@pytest.mark.parametrize(
    "owners",
    [
        (-1, 0, 0, 1, 1, 2, 3, 3, 3, 3),
        (0, 0, 0, 1, 1, 2, 3, 3, 3, 40),
        (0, 0, 0, 1, 1, 2, 2, 2, 2, 4),
        (3, 3, 3, 1, 1, 2, 0, 0, 0, 0),
    ],
    ids=["negative", "beyond", "one left out", "shuffled"],
)
def test_owners_that_no_build_would_write_are_refused(folder, owners):
    edit(folder, owners=owners)
    with pytest.raises(IndexCorrupt):
        load(folder)


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b"[]", b"null", b"garbage", b'{"format": 1', b"\xff\xfe\x00", b"[" * 100_000],
    ids=repr,
)
def test_a_garbage_manifest_is_a_corrupt_index(folder, content):
    (folder / "things.json").write_bytes(content)
    with pytest.raises(IndexCorrupt, match="manifest"):
        load(folder)


def test_a_folder_in_the_manifests_place_is_a_corrupt_index(folder):
    (folder / "things.json").unlink()
    (folder / "things.json").mkdir()
    with pytest.raises(IndexCorrupt):
        load(folder)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    folder = tmp_path_factory.mktemp("built")
    build(folder)
    return folder, (folder / "things.faiss").read_bytes()


@settings(max_examples=150)
@given(st.data())
def test_a_flipped_byte_anywhere_is_a_corrupt_index_and_no_crash(built, data):
    folder, whole = built
    place = data.draw(st.integers(0, len(whole) - 1) | st.integers(0, 60), label="place")
    flip = data.draw(st.integers(1, 255), label="flip")
    damaged = bytearray(whole)
    damaged[place] ^= flip
    (folder / "things.faiss").write_bytes(damaged)
    with pytest.raises(IndexCorrupt):
        load(folder)


@pytest.mark.parametrize(
    "damage",
    [
        lambda whole: b"",
        lambda whole: whole[:1],
        lambda whole: whole[:-1],
        lambda whole: whole[: len(whole) // 2],
        lambda whole: whole + b"\0",
        lambda whole: b"\x80\x04" + whole,  # what a pickle begins with
        lambda whole: bytes(len(whole)),
    ],
    ids=["empty", "one byte", "one short", "half", "one more", "pickle", "zeros"],
)
def test_a_file_of_another_length_or_kind_is_a_corrupt_index(folder, damage):
    path = folder / "things.faiss"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(IndexCorrupt):
        load(folder)


def test_an_index_of_other_rows_under_the_right_hash_is_refused(folder, tmp_path):
    build(tmp_path / "other", texts=TEXTS[:2])
    other = (tmp_path / "other" / "things.faiss").read_bytes()
    (folder / "things.faiss").write_bytes(other)
    edit(folder, index_sha256=read_manifest(tmp_path / "other", "things").index_sha256)
    with pytest.raises(IndexCorrupt, match="other rows"):
        load(folder)


def test_an_embedder_that_fails_midway_leaves_the_old_pair_usable(folder):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    texts = [(f"word{number}",) for number in range(150)]
    with pytest.raises(EmbedderError):
        build_index(folder, "things", "two", texts, HashingEmbedder(fails_after=100))
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert load(folder).search(query("sprained ankle"), limit=1)[0].item == 3


def test_a_manifest_that_cannot_be_written_leaves_the_old_pair_usable(folder, monkeypatch):
    write_bytes = Path.write_bytes

    def full_disk(path: Path, data: bytes) -> int:
        if ".json" in path.name:
            raise OSError(28, "No space left on device")
        return write_bytes(path, data)

    monkeypatch.setattr(Path, "write_bytes", full_disk)
    with pytest.raises(OSError, match="No space left"):
        build(folder, sha256="two", texts=TEXTS[:2])
    monkeypatch.undo()
    assert load(folder).search(query("sprained ankle"), limit=1)[0].item == 3
    assert sorted(path.name for path in folder.iterdir()) == ["things.faiss", "things.json"]


def test_a_pair_of_two_builds_is_never_served(folder, tmp_path):
    build(tmp_path / "other", sha256="one", texts=TEXTS[::-1])
    (folder / "things.faiss").write_bytes((tmp_path / "other" / "things.faiss").read_bytes())
    with pytest.raises(IndexCorrupt):
        load(folder)


def test_building_again_replaces_the_old_pair(folder):
    build(folder, sha256="two", texts=(("only this",),))
    assert [hit.item for hit in load(folder, "two").search(query("ankle"), limit=5)] == [0]
    with pytest.raises(IndexMismatch):
        load(folder, "one")


def oracle(texts: Sequence[Sequence[str]], text: str) -> list[tuple[int, float]]:
    """Rank items by the mean of their two best cosines, without FAISS."""
    asked = query(text).astype(np.float64)
    scores = []
    for item, rows in enumerate(texts):
        cosines = sorted((float(row @ asked) for row in EMBEDDER.embed(rows)), reverse=True)
        best = cosines[:2]
        scores.append((item, sum(best) / len(best)))
    return sorted(scores, key=lambda pair: -pair[1])


WORDS = ("chest", "pain", "fever", "baby", "dose", "ankle", "walk", "arm")
TEXT = st.lists(st.sampled_from(WORDS), min_size=1, max_size=4).map(" ".join)
CORPUS = st.lists(st.lists(TEXT, min_size=1, max_size=5), min_size=1, max_size=7)


@settings(max_examples=80)
@given(texts=CORPUS, asked=TEXT, limit=st.integers(1, 10))
def test_a_search_ranks_as_plain_arithmetic_does(tmp_path_factory, texts, asked, limit):
    folder = tmp_path_factory.mktemp("oracle", numbered=True)
    build(folder, texts=texts)
    hits = load(folder).search(query(asked), limit=limit)
    wanted = oracle(texts, asked)
    # Items may tie, so what is compared at each rank is the similarity.
    assert [hit.similarity for hit in hits] == pytest.approx(
        [score for _, score in wanted[:limit]], abs=1e-5
    )
    by_item = dict(wanted)
    for hit in hits:
        assert hit.similarity == pytest.approx(by_item[hit.item], abs=1e-5)
    assert len({hit.item for hit in hits}) == len(hits) == min(limit, len(texts))


def test_a_higher_limit_only_adds_to_a_lower_ones_hits(tmp_path):
    build(tmp_path, texts=(("fever", "ankle", "walk", "dose"), ("fever baby", "fever arm")))
    index = load(tmp_path)
    one, two = (index.search(query("fever"), limit=limit) for limit in (1, 2))
    assert one == two[:1]


def test_two_good_rows_beat_one_perfect_row(tmp_path):
    texts = (("fever baby", "ankle walk"), ("fever baby hot", "fever baby warm"))
    build(tmp_path, texts=texts)
    hits = load(tmp_path).search(query("fever baby"), limit=2)
    assert [hit.item for hit in hits] == [1, 0]


def test_rows_beyond_the_second_best_weigh_nothing(tmp_path):
    build(tmp_path, texts=(("fever", "fever", "ankle", "walk", "dose"), ("fever baby",)))
    hits = load(tmp_path).search(query("fever"), limit=2)
    assert hits[0].item == 0
    assert hits[0].similarity == pytest.approx(1.0, abs=1e-5)


def test_an_item_with_many_rows_crowds_out_no_other(tmp_path):
    build(tmp_path, texts=(("fever",) * 40, ("fever baby",), ("ankle",)))
    assert [hit.item for hit in load(tmp_path).search(query("fever"), limit=2)] == [0, 1]


def test_every_load_error_is_a_retrieval_error():
    assert issubclass(IndexMissing, RetrievalError)
    assert issubclass(IndexMismatch, RetrievalError)
    assert issubclass(IndexCorrupt, RetrievalError)
