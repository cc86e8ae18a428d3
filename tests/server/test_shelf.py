"""The library changes while the gateway serves: whole, or not at all."""

import json
from pathlib import Path

import pytest

from retrieval.open import Places, build_indexes, open_retriever, signature
from server import shelf as shelf_module
from server.errors import NotReady
from server.shelf import Shelf
from tests.fakes.embedder import HashingEmbedder
from tests.fakes.library import write_library

EMBEDDER = HashingEmbedder()


@pytest.fixture
def places(tmp_path: Path) -> Places:
    places = write_library(tmp_path)
    build_indexes(places, EMBEDDER)
    return places


@pytest.fixture(autouse=True)
def _look_always(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shelf_module, "LOOK_S", 0.0)


def shelf_of(places: Places) -> Shelf:
    return Shelf(lambda: open_retriever(places, EMBEDDER), lambda: signature(places))


def add_principle(places: Places, **fields: object) -> None:
    record = {
        "id": "added-while-serving",
        "title": "Added while serving",
        "text": "Says something about a matter that no other principle speaks of.",
        "dimensions": {},
        "criteria": [{"criterion": "Says that very thing", "points": 3}],
        **fields,
    }
    with places.principles.open("a", encoding="utf-8") as file:
        file.write(json.dumps(record) + "\n")


async def test_a_changed_library_is_taken_into_use_whole(places):
    shelf = shelf_of(places)
    before = await shelf.retriever()
    add_principle(places)
    build_indexes(places, EMBEDDER)

    during = await shelf.retriever()
    await shelf.settled()
    after = await shelf.retriever()

    assert during is before
    assert len(before.library) == 3
    assert after.library.find("added-while-serving") is not None
    assert len(after.principle_index) == 4
    assert shelf.problem is None


async def test_a_library_that_has_not_changed_is_not_opened_again(places):
    opened = []

    def open_it():
        opened.append(1)
        return open_retriever(places, EMBEDDER)

    shelf = Shelf(open_it, lambda: signature(places))
    for _ in range(3):
        await shelf.retriever()
        await shelf.settled()
    assert len(opened) == 1


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda places: add_principle(places, points=3), "line 4: field points"),
        (lambda places: places.principles.write_bytes(b""), "the file is empty"),
        (lambda places: places.principles.unlink(), "cannot be read"),
        (add_principle, "built from another file"),
        (lambda places: (places.indexes / "rubrics.json").write_text("{"), "cannot be read"),
        (lambda places: (places.indexes / "principles.json").unlink(), "no principles index"),
    ],
)
async def test_a_library_that_cannot_be_used_leaves_the_old_one_in_place(places, damage, reason):
    shelf = shelf_of(places)
    before = await shelf.retriever()
    damage(places)

    await shelf.retriever()
    await shelf.settled()

    assert await shelf.retriever() is before
    assert reason in (shelf.problem or "")


async def test_a_refused_library_is_read_once_and_taken_when_it_is_mended(places):
    shelf = shelf_of(places)
    await shelf.retriever()
    add_principle(places)
    await shelf.retriever()
    await shelf.settled()
    refused = shelf.problem
    await shelf.retriever()
    await shelf.settled()
    build_indexes(places, EMBEDDER)
    await shelf.retriever()
    await shelf.settled()

    assert refused is not None
    assert shelf.problem is None
    assert len((await shelf.retriever()).library) == 4


async def test_a_shelf_that_was_never_opened_says_why(tmp_path):
    places = write_library(tmp_path)
    with pytest.raises(NotReady, match="principles build"):
        await shelf_of(places).retriever()


@pytest.mark.parametrize("error", [RuntimeError("/secret"), OSError("/secret"), MemoryError()])
async def test_whatever_breaks_while_a_library_is_opened_is_told_and_tried_again(
    places, error, monkeypatch
):
    broken = True

    def open_it():
        if broken:
            raise error
        return open_retriever(places, EMBEDDER)

    monkeypatch.setattr(shelf_module, "RETRY_S", 0.0)
    shelf = Shelf(open_it, lambda: signature(places))
    with pytest.raises(NotReady, match=f"cannot be opened .{type(error).__name__}"):
        await shelf.retriever()
    assert "/secret" not in (shelf.problem or "")
    broken = False
    assert len((await shelf.retriever()).library) == 3


async def test_a_changed_library_that_breaks_is_no_silent_loss(places):
    broken = False

    def open_it():
        if broken:
            raise RuntimeError("out of memory")
        return open_retriever(places, EMBEDDER)

    shelf = Shelf(open_it, lambda: signature(places))
    before = await shelf.retriever()
    broken = True
    add_principle(places)
    await shelf.retriever()
    await shelf.settled()
    assert await shelf.retriever() is before
    assert shelf.problem == "the library cannot be opened (RuntimeError)"


async def test_files_that_cannot_be_looked_at_cost_no_answer(places):
    known = {"at": signature(places)}

    def look():
        if known["at"] is None:
            raise PermissionError(13, "Permission denied")
        return known["at"]

    shelf = Shelf(lambda: open_retriever(places, EMBEDDER), look)
    before = await shelf.retriever()
    known["at"] = None
    await shelf.retriever()
    await shelf.settled()
    assert await shelf.retriever() is before
    assert "Permission denied" in (shelf.problem or "")
