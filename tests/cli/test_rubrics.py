"""`clinalign-serve rubrics`: list, validate, import, remove, in this process."""

import json
import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from retrieval.importing import conversation_hash
from retrieval.open import Places, open_retriever
from server import cli
from server.cli import principles, rubrics
from tests.cli.program import Outcome
from tests.fakes.embedder import HashingEmbedder
from tests.fakes.library import BANK, write_library

Here = Callable[..., Outcome]


def line(name: str, **changes: object) -> str:
    content = {
        "id": name,
        "messages": [{"role": "user", "content": f"What should I do about my {name} today?"}],
        "rubric": [{"criterion": f"Says what the {name} needs", "points": 5}],
    }
    return json.dumps(content | changes)


def data(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return write_library(tmp_path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def here(
    places: Places,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Here:
    """Return what runs a command in this process, with a small library and embedder."""
    for name in [name for name in os.environ if name.startswith("CLINALIGN_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("CLINALIGN_DATA_DIR", str(folder))
    monkeypatch.setenv("CLINALIGN_PRINCIPLES", str(places.principles))
    monkeypatch.setenv("CLINALIGN_RUBRICS", str(places.rubrics))
    for module in (rubrics, principles):
        monkeypatch.setattr(module, "SentenceEmbedder", lambda _: HashingEmbedder())

    def run(*arguments: str) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["clinalign-serve", *arguments])
        with pytest.raises(SystemExit) as left:
            cli.main()
        captured = capsys.readouterr()
        return Outcome(status=int(left.value.code or 0), out=captured.out, err=captured.err)

    assert run("principles", "build").status == 0
    return run


def opened(places: Places, folder: Path) -> list[str]:
    """Return the ids of the bank that a gateway would open now."""
    where = Places(
        indexes=folder / "index",
        principles=places.principles,
        rubrics=places.rubrics,
        imported=folder / "rubrics",
    )
    retriever = open_retriever(where, HashingEmbedder())
    assert len(retriever.bank_index) == len(retriever.bank)
    return [entry.id for entry in retriever.bank]


OURS = [entry["id"] for entry in BANK]


def test_an_import_is_found_at_once_and_lies_where_only_its_owner_reads(
    here, places, folder, tmp_path
):
    outcome = here("rubrics", "import", str(data(tmp_path / "Clinic A.jsonl", line("knee"))))
    assert (outcome.status, outcome.err) == (0, "")
    assert "1 entries with 1 criteria taken" in outcome.out
    assert opened(places, folder) == [*OURS, "clinic-a-knee"]
    file = folder / "rubrics" / "clinic-a.jsonl"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "clinic-a" in here("rubrics", "list").out
    assert json.loads(file.read_text())["source"] == "Clinic A.jsonl"


def test_what_is_left_out_is_told_and_the_status_says_so(here, places, folder, tmp_path):
    file = data(tmp_path / "a.jsonl", line("knee"), "{", line("hip"), "[]", "[]", line("knee"))
    outcome = here("rubrics", "import", str(file))
    assert outcome.status == 1
    assert "2 left out" in outcome.err
    assert "lines 4-5" in outcome.err
    assert "in the bank already: line 6" in outcome.err
    assert "knee" not in outcome.err
    assert opened(places, folder) == [*OURS, "a-knee", "a-hip"]


def test_an_import_of_the_same_name_takes_the_place_of_the_earlier(here, places, folder, tmp_path):
    here("rubrics", "import", str(data(tmp_path / "a.jsonl", line("knee"))))
    outcome = here("rubrics", "import", str(data(tmp_path / "a.jsonl", line("hip"))))
    assert outcome.status == 0
    assert opened(places, folder) == [*OURS, "a-hip"]


def test_evaluation_items_are_kept_out(here, places, folder, tmp_path):
    said = json.loads(line("knee"))["messages"][0]["content"]
    hashes = tmp_path / "evaluation.txt"
    hashes.write_text(conversation_hash([("user", said)]) + "\n")
    file = data(tmp_path / "a.jsonl", line("knee"), line("hip"))
    outcome = here("rubrics", "import", str(file), "--exclude", str(hashes))
    assert outcome.status == 1
    assert "an evaluation item: line 1" in outcome.err
    assert opened(places, folder) == [*OURS, "a-hip"]


def test_the_projects_own_held_out_questions_are_kept_out_unasked(
    here, places, folder, tmp_path, monkeypatch
):
    said = json.loads(line("knee"))["messages"][0]["content"]
    hashes = tmp_path / "held-out.txt"
    hashes.write_text(conversation_hash([("user", said)]) + "\n")
    monkeypatch.setattr(rubrics, "HELD_OUT_FILE", hashes)
    outcome = here("rubrics", "import", str(data(tmp_path / "a.jsonl", line("knee"), line("hip"))))
    assert "an evaluation item: line 1" in outcome.err
    assert opened(places, folder) == [*OURS, "a-hip"]


def test_imports_of_files_whose_names_begin_alike_stay_apart(here, places, folder, tmp_path):
    for year, part in (("2024", "knee"), ("2025", "hip")):
        here("rubrics", "import", str(data(tmp_path / f"clinic.{year}.jsonl", line(part))))
    assert opened(places, folder) == [*OURS, "clinic-2024-knee", "clinic-2025-hip"]


def test_an_import_says_what_it_takes_the_place_of(here, tmp_path):
    file = data(tmp_path / "a.jsonl", line("knee"))
    assert "in place of" not in here("rubrics", "import", str(file)).out
    assert "in place of an earlier import of 1 entries" in here("rubrics", "import", str(file)).out
    file.write_text("{\n")
    assert "nothing taken; the earlier import of 1" in here("rubrics", "import", str(file)).out


def test_vectors_of_what_was_imported_are_their_owners_alone(here, folder, tmp_path):
    here("rubrics", "import", str(data(tmp_path / "a.jsonl", line("knee"))))
    for file in ("rubrics.faiss", "rubrics.json"):
        assert stat.S_IMODE((folder / "index" / file).stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_what_nothing_can_be_taken_of_changes_nothing(here, places, folder, tmp_path):
    here("rubrics", "import", str(data(tmp_path / "a.jsonl", line("knee"))))
    before = {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    for content in ("{\n", "", "\n\n"):
        (tmp_path / "a.jsonl").write_text(content)
        assert here("rubrics", "import", str(tmp_path / "a.jsonl")).status == 1
    assert {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()} == before
    assert opened(places, folder) == [*OURS, "a-knee"]


def test_an_import_that_breaks_leaves_bank_and_index_as_they_were(
    here, places, folder, tmp_path, monkeypatch
):
    here("rubrics", "import", str(data(tmp_path / "a.jsonl", line("knee"))))
    before = {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}

    class Breaking(HashingEmbedder):
        def embed(self, texts):
            raise OSError("the disk is full")

    monkeypatch.setattr(rubrics, "SentenceEmbedder", lambda _: Breaking())
    outcome = here("rubrics", "import", str(data(tmp_path / "a.jsonl", line("hip"))))
    assert outcome.status == 1
    assert "the disk is full" in outcome.error
    assert here("rubrics", "remove", "a").status == 1
    assert {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()} == before
    assert opened(places, folder) == [*OURS, "a-knee"]


def test_a_removed_import_is_gone_from_bank_and_index(here, places, folder, tmp_path):
    here("rubrics", "import", str(data(tmp_path / "a.jsonl", line("knee"))))
    assert here("rubrics", "remove", "a").status == 0
    assert opened(places, folder) == OURS
    outcome = here("rubrics", "remove", "a")
    assert outcome.status == 1
    assert "rubrics list" in outcome.error


def test_a_bank_file_is_validated_by_line_and_field(here, tmp_path):
    good = here("rubrics", "validate", str(data(tmp_path / "a.jsonl", line("knee"))))
    assert (good.status, good.out) == (0, "a.jsonl: 1 entries, 1 criteria, no faults\n")
    bad = here("rubrics", "validate", str(data(tmp_path / "a.jsonl", line("knee", rubric=[]))))
    assert bad.status == 1
    assert "a.jsonl, line 1: field rubric" in bad.error


def test_a_name_without_letters_is_wrong_usage(here, tmp_path):
    file = data(tmp_path / "a.jsonl", line("knee"))
    assert here("rubrics", "import", str(file), "--name", "…").status == 2
