"""`clinalign-serve principles`: list, show, validate, search, and what `build` puts into use.

What needs no vectors runs as a process. Of what does, one search and one build do, with the real
embedder; the rest runs `main` in this process, with an embedder that needs no torch.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from models.embedder import SentenceEmbedder
from models.errors import EmbedderError
from retrieval.principles import DEFAULT_FILE, load_library
from server import cli, services
from server.cli import principles as commands
from tests.cli.program import Outcome, run
from tests.retrieval.hashing import HashingEmbedder

pytestmark = pytest.mark.timeout(300)  # the first to need the index waits for it to be built

SHIPPED = load_library()


def line(name: str, **changes: object) -> str:
    content = {
        "id": name,
        "title": f"About {name}",
        "text": f"What {name} asks.",
        "dimensions": {},
        "criteria": [{"criterion": f"Says {name}", "points": 5}],
        "always": True,
    }
    return json.dumps(content | changes)


def library(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_the_list_needs_no_index_and_shows_all(empty):
    outcome = run("principles", "list", data=empty)
    assert (outcome.status, outcome.err) == (0, "")
    assert [one.split("  ", 1) for one in outcome.out.splitlines()] == [
        [known.id, known.title] for known in SHIPPED
    ]
    assert not empty.exists()


def test_the_list_in_json_is_a_library_again(empty, tmp_path):
    outcome = run("principles", "list", "--json", data=empty)
    bodies = [json.loads(one) for one in outcome.out.splitlines()]
    for body in bodies:
        assert body.pop("object") == "principle"
    again = load_library(library(tmp_path / "again.jsonl", *map(json.dumps, bodies)))
    assert again.principles == SHIPPED.principles


def test_a_principle_is_shown_in_full(empty):
    known = SHIPPED.principles[0]
    outcome = run("principles", "show", known.id, data=empty)
    assert (outcome.status, outcome.err) == (0, "")
    for part in (known.id, known.title, known.text, "applies always"):
        assert part in outcome.out
    for check in known.criteria:
        kind = "must" if check.kind == "require" else "must not"
        critical = ", critical" if check.critical else ""
        assert f"- [{kind}, {check.points} points{critical}] {check.criterion}" in outcome.out


def test_a_principle_is_shown_in_json(empty):
    known = SHIPPED.principles[-1]
    body = json.loads(run("principles", "show", known.id, "--json", data=empty).out)
    assert (body["id"], body["text"], body["always"]) == (known.id, known.text, known.always)


def test_an_unknown_id_is_told_with_what_lists_them(empty):
    outcome = run("principles", "show", "nobody", data=empty)
    assert (outcome.status, outcome.out) == (1, "")
    assert "nobody" in outcome.error
    assert "principles list" in outcome.error


@pytest.mark.parametrize("arguments", [[], [str(DEFAULT_FILE)]])
def test_a_faultless_file_is_told_with_its_size(empty, arguments):
    outcome = run("principles", "validate", *arguments, data=empty)
    assert (outcome.status, outcome.err) == (0, "")
    assert f"{len(SHIPPED)} principles" in outcome.out
    assert "no faults" in outcome.out


@pytest.mark.parametrize(
    ("lines", "named"),
    [
        ((line("a"), line("b", title=7)), ("line 2", "title")),
        ((line("a"), "", line("a")), ("line 3", "line 1", "id")),
        ((line("a"), "{canary"), ("line 2", "JSON")),
        ((line("a", text="canary\u202e"),), ("line 1", "text", "U+202E")),
        ((line("a", always=False),), ("always",)),
        (("",), ("empty",)),
    ],
)
def test_a_fault_is_told_in_one_line(empty, tmp_path, lines, named):
    path = library(tmp_path / "mine.jsonl", *lines)
    outcome = run("principles", "validate", str(path), data=empty)
    assert (outcome.status, outcome.out) == (1, "")
    assert all(part in outcome.error for part in ("mine.jsonl", *named))
    assert "canary" not in outcome.error


@pytest.mark.parametrize("name", ["none.jsonl", "."])
def test_a_file_that_cannot_be_read_is_told(empty, name):
    outcome = run("principles", "validate", name, data=empty)
    assert outcome.status == 1
    assert "cannot be read" in outcome.error


@pytest.mark.parametrize("arguments", [("search", "chest pain")])
def test_what_needs_an_index_says_what_to_run(empty, arguments):
    outcome = run("principles", *arguments, data=empty)
    assert (outcome.status, outcome.out) == (1, "")
    assert "clinalign-serve principles build" in outcome.error


def test_a_search_finds_what_the_words_call_for(shipped):
    outcome = run("principles", "search", "crushing chest pain and sweating", data=shipped)
    assert (outcome.status, outcome.err) == (0, "")
    hits = [one.split("  ", 2) for one in outcome.out.splitlines()]
    assert len(hits) == 8
    assert hits[0][1] == "chest-pain-cardiac"
    scores = [float(score) for score, _, _ in hits]
    assert scores == sorted(scores, reverse=True)


def test_building_twice_builds_once(built):
    before = {path.name: path.stat().st_mtime_ns for path in (built / "index").iterdir()}
    outcome = run("principles", "build", data=built)
    assert (outcome.status, outcome.err) == (0, "")
    assert f"{len(SHIPPED)} principles" in outcome.out
    assert {path.name: path.stat().st_mtime_ns for path in (built / "index").iterdir()} == before


Here = Callable[..., Outcome]


@pytest.fixture
def here(monkeypatch, capsys, empty, tmp_path) -> Here:
    """Return a function that runs a subcommand in this process, without torch."""

    def embedder(path: Path | None) -> HashingEmbedder | SentenceEmbedder:
        return HashingEmbedder() if path is None else SentenceEmbedder(path)

    monkeypatch.setattr(commands, "SentenceEmbedder", embedder)
    monkeypatch.setattr(services, "SentenceEmbedder", embedder)
    monkeypatch.setenv("CLINALIGN_DATA_DIR", str(empty))
    monkeypatch.chdir(tmp_path)

    def run_here(*arguments: str, **given: str) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["clinalign-serve", "principles", *arguments])
        with monkeypatch.context() as settings:
            for name, value in given.items():
                settings.setenv(f"CLINALIGN_{name.upper()}", value)
            with pytest.raises(SystemExit) as left:
                cli.main()
        out, err = capsys.readouterr()
        return Outcome(status=int(left.value.code or 0), out=out, err=err)

    return run_here


def listed(here: Here, **settings: str) -> list[str]:
    outcome = here("list", "--json", **settings)
    assert outcome.status == 0, outcome.err
    return [json.loads(one)["id"] for one in outcome.out.splitlines()]


def found(here: Here, text: str, **settings: str) -> str:
    """Return the id of the nearest principle."""
    outcome = here("search", "-k", "1", "--json", text, **settings)
    assert outcome.status == 0, outcome.err
    return str(json.loads(outcome.out)["id"])


BUNDLED = [known.id for known in SHIPPED]


def test_the_first_hits_do_not_depend_on_how_many_are_asked_for(here):
    here("build")

    def hits(k: int) -> list[tuple[str, float]]:
        outcome = here("search", "-k", str(k), "--json", "My baby is hot and will not feed")
        bodies = [json.loads(one) for one in outcome.out.splitlines()]
        return [(body["id"], body["score"]) for body in bodies]

    every = hits(100)
    assert len(every) == 100
    assert {name for name, _ in every} < set(BUNDLED)
    for k in (1, 3, 8):
        assert hits(k) == every[:k]


def test_a_library_that_is_built_is_in_use_until_the_bundled_one_is_built_again(here, tmp_path):
    mine = library(tmp_path / "mine.jsonl", line("itching"), line("sneezing"))
    assert here("build").status == 0
    outcome = here("build", str(mine))
    assert (outcome.status, outcome.err) == (0, "")
    assert "2 principles" in outcome.out
    mine.unlink()  # what is in use is a copy
    assert listed(here) == ["itching", "sneezing"]
    assert found(here, "sneezing") == "sneezing"
    assert here("build").status == 0
    assert listed(here) == BUNDLED
    assert found(here, SHIPPED.principles[0].text) == BUNDLED[0]


def test_the_copy_in_use_can_be_built_on_itself(here, empty, tmp_path):
    here("build", str(library(tmp_path / "mine.jsonl", line("itching"))))
    (copy,) = [path for path in empty.rglob("*.jsonl") if "itching" in path.read_text()]
    assert here("build", str(copy)).status == 0
    assert listed(here) == ["itching"]
    assert found(here, "itching") == "itching"


def test_a_library_by_setting_is_in_use_as_long_as_it_is_set(here, tmp_path):
    mine = str(library(tmp_path / "mine.jsonl", line("itching")))
    assert here("build", principles=mine).status == 0
    assert listed(here, principles=mine) == ["itching"]
    assert found(here, "anything", principles=mine) == "itching"
    assert listed(here) == BUNDLED


def test_a_faulty_library_is_not_put_into_use(here, tmp_path):
    here("build")
    outcome = here("build", str(library(tmp_path / "mine.jsonl", line("itch"), line("itch"))))
    assert outcome.status == 1
    assert "line 2" in outcome.error
    assert listed(here) == BUNDLED
    assert found(here, SHIPPED.principles[0].text) == BUNDLED[0]


@pytest.mark.parametrize("in_use", ["bundled", "mine"])
@pytest.mark.parametrize("fault", ["no embedder", "embedder gives up"])
def test_a_build_that_fails_leaves_what_is_in_use_usable(
    here, tmp_path, monkeypatch, in_use, fault
):
    mine = str(library(tmp_path / "mine.jsonl", line("itching")))
    other = str(library(tmp_path / "other.jsonl", line("sneezing")))
    before, after = ([], [other]) if in_use == "bundled" else ([mine], [])
    assert here("build", *before).status == 0
    known = listed(here)
    broken = {"embedder": str(tmp_path / "no-such-model")} if fault == "no embedder" else {}
    with monkeypatch.context() as patch:
        if fault == "embedder gives up":
            patch.setattr(HashingEmbedder, "embed", _give_up)
        outcome = here("build", *after, **broken)
    assert outcome.status == 1
    assert outcome.error
    assert listed(here) == known
    assert found(here, "anything") in known


def _give_up(*_: object) -> None:
    raise EmbedderError("the embedder gave up")


def test_a_library_that_a_setting_overrules_is_not_said_to_be_built(here, tmp_path):
    settings = {"principles": str(library(tmp_path / "set.jsonl", line("set")))}
    mine = library(tmp_path / "mine.jsonl", line("itching"), line("sneezing"))
    outcome = here("build", str(mine), **settings)
    assert outcome.status != 0 or listed(here, **settings) == ["itching", "sneezing"]


def test_an_index_of_another_library_says_what_to_run(here, tmp_path):
    here("build")
    mine = str(library(tmp_path / "mine.jsonl", line("itching")))
    outcome = here("search", "x", principles=mine)
    assert outcome.status == 1
    assert "principles build" in outcome.error


def test_a_folder_that_cannot_be_made_is_told(here, tmp_path):
    (tmp_path / "file").write_text("")
    mine = library(tmp_path / "mine.jsonl", line("itching"))
    outcome = here("build", str(mine), data_dir=str(tmp_path / "file" / "data"))
    assert outcome.status == 1
    assert "file/data" in outcome.error


def test_building_for_the_library_in_use_keeps_it(here, tmp_path):
    mine = library(tmp_path / "mine.jsonl", line("itching"), line("sneezing"))
    here("build", str(mine))
    assert here("build", "--in-use").status == 0
    assert listed(here) == ["itching", "sneezing"]
    assert here("build").status == 0
    assert listed(here) == BUNDLED
    assert here("build", "--in-use").status == 0
    assert listed(here) == BUNDLED


def test_a_search_for_what_is_no_text_is_wrong_usage(here):
    outcome = here("search", "\udcff")
    assert outcome.status == 2
    assert "not UTF-8" in outcome.error


def test_the_page_is_utf_8_whatever_the_locale(monkeypatch, tmp_path):
    for name, value in (("LC_ALL", "C"), ("PYTHONUTF8", "0"), ("PYTHONCOERCECLOCALE", "0")):
        monkeypatch.setenv(name, value)
    outcome = run("principles", "document", data=tmp_path / "data")
    assert (outcome.status, outcome.err) == (0, "")
    assert not outcome.out.isascii()
