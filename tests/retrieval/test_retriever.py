"""The retriever: what always applies is always there, and the scenario weighs but never filters."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from retrieval import open as opening
from retrieval import principles as principle_file
from retrieval import ranking
from retrieval import retriever as module
from retrieval.bank import load_bank
from retrieval.classifier import ScenarioClassifier
from retrieval.demand import DemandModel
from retrieval.errors import IndexMismatch, IndexMissing, LibraryInvalid
from retrieval.open import Places, build_indexes, open_retriever
from retrieval.principles import load_library
from retrieval.ranking import RELEVANCE_FLOOR, SCENARIO_WEIGHT
from retrieval.retriever import EXAMPLE_FLOOR, EXAMPLES, Retriever
from retrieval.scenario import Scenario, even_shares, scenario_of
from tests.retrieval.hashing import HashingEmbedder

ALWAYS = ("be-true", "be-kind", "be-clear")
TOPICS = {
    "chest-pain": ("crushing chest pain", ["emergent"]),
    "fever": ("a baby with high fever", ["conditionally-emergent"]),
    "dose": ("the dose of paracetamol", ["non-emergent"]),
    "ankle": ("a twisted ankle after running", ["non-emergent"]),
    "pregnancy": ("medicines in early pregnancy", []),
}


def _line(name: str, text: str, urgency: list[str], *, always: bool = False) -> dict:
    return {
        "id": name,
        "title": name,
        "text": text,
        "dimensions": {"urgency": urgency},
        "criteria": [{"criterion": text, "points": 5}],
        "always": always,
    }


def _write(path: Path, lines: list[dict]) -> Path:
    path.write_text("\n".join(json.dumps(line) for line in lines), encoding="utf-8")
    return path


def places(folder: Path) -> Places:
    principles = [_line(name, f"what {name} asks", [], always=True) for name in ALWAYS]
    principles += [_line(name, text, urgency) for name, (text, urgency) in TOPICS.items()]
    bank = [
        {
            "id": name,
            "messages": [{"role": "user", "content": text}],
            "rubric": [{"criterion": "Says so", "points": 5}],
        }
        for name, (text, _) in TOPICS.items()
    ]
    return Places(
        indexes=folder / "index",
        principles=_write(folder / "principles.jsonl", principles),
        rubrics=_write(folder / "rubrics.jsonl", bank),
    )


@pytest.fixture(scope="module")
def retriever(tmp_path_factory: pytest.TempPathFactory) -> Retriever:
    where = places(tmp_path_factory.mktemp("retriever"))
    build_indexes(where, HashingEmbedder())
    return open_retriever(where, HashingEmbedder())


def ids(hits: tuple) -> list[str]:
    return [hit.principle.id for hit in hits]


def ask(text: str) -> list[tuple[str, str]]:
    return [("user", text)]


class Fixed(ScenarioClassifier):
    """Finds the same scenario everywhere."""

    def __init__(self, **urgency: float) -> None:
        super().__init__({})
        shares = even_shares()
        shares["urgency"] = np.array([urgency[name] for name in ("now", "maybe", "later")])
        self.scenario = scenario_of(shares)

    def classify(self, embedding: np.ndarray, text: str) -> Scenario:
        return self.scenario


def with_scenario(retriever: Retriever, now: float, maybe: float, later: float) -> Retriever:
    return Retriever(
        library=retriever.library,
        bank=retriever.bank,
        principle_index=retriever.principle_index,
        bank_index=retriever.bank_index,
        classifier=Fixed(now=now, maybe=maybe, later=later),
        embedder=retriever.embedder,
    )


@pytest.mark.parametrize("top_k", range(1, 21))
@pytest.mark.parametrize("text", ["crushing chest pain", "xyzzy", ""])
def test_some_principle_always_applies_and_there_are_never_more_than_asked_for(
    retriever, text, top_k
):
    found = retriever.retrieve(ask(text), top_k=top_k).principles
    standing = [name for name in ids(found) if name in ALWAYS]
    assert len(found) <= top_k
    assert standing == list(ALWAYS[: max(1, top_k // 2)])
    assert len(set(ids(found))) == len(found)


def test_what_matters_here_comes_first_and_what_always_applies_last(retriever):
    found = ids(retriever.retrieve(ask("crushing chest pain"), top_k=8).principles)
    assert found[0] == "chest-pain"
    assert found[-3:] == list(ALWAYS)


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, (text, _) in TOPICS.items()])
def test_a_principles_own_words_find_it(retriever, name, text):
    assert ids(retriever.retrieve(ask(text), top_k=8).principles)[0] == name


def test_hits_are_sorted_by_their_score(retriever):
    found = retriever.retrieve(ask("fever and chest pain of a baby"), top_k=20).principles
    scores = [hit.score for hit in found if not hit.principle.always]
    assert scores == sorted(scores, reverse=True)


def test_principles_below_the_relevance_floor_are_left_out(retriever):
    query = retriever.embedder.embed(["crushing chest pain"])[0]
    hits = retriever.principle_index.search(query, limit=len(retriever.library))
    relevant = {
        retriever.library.principles[hit.item].id
        for hit in hits
        if hit.similarity >= RELEVANCE_FLOOR
    }
    found = retriever.retrieve(ask("crushing chest pain"), top_k=20).principles
    assert {name for name in ids(found) if name not in ALWAYS} == relevant - set(ALWAYS)
    assert len(relevant - set(ALWAYS)) < len(TOPICS)


@pytest.mark.parametrize("shares", [(1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)])
@pytest.mark.parametrize(("name", "text"), [(name, text) for name, (text, _) in TOPICS.items()])
def test_the_surest_scenario_hides_no_principle_that_the_words_call_for(
    retriever, shares, name, text
):
    known = set(ids(retriever.retrieve(ask(text), top_k=20).principles))
    found = ids(with_scenario(retriever, *shares).retrieve(ask(text), top_k=20).principles)
    assert name in found
    assert set(found) == known


def test_the_scenario_turns_the_order_of_near_ties(retriever):
    text = "chest pain, ankle running"
    emergent = ids(with_scenario(retriever, 1, 0, 0).retrieve(ask(text), top_k=8).principles)
    calm = ids(with_scenario(retriever, 0, 0, 1).retrieve(ask(text), top_k=8).principles)
    assert emergent[0] == "chest-pain"
    assert calm[0] == "ankle"


def test_a_score_is_the_cosine_and_the_weighed_fit(retriever):
    told = with_scenario(retriever, 1, 0, 0)
    cosine = {hit.principle.id: hit.score for hit in told.search("crushing chest pain", limit=20)}
    hit = told.retrieve(ask("crushing chest pain"), top_k=8).principles[0]
    fit = SCENARIO_WEIGHT * (1 - 1 / 3)
    assert hit.score == pytest.approx(cosine["chest-pain"] + fit, abs=1e-5)


def test_examples_are_the_nearest_entries_above_the_floor(retriever):
    examples = retriever.retrieve(ask("crushing chest pain"), top_k=8).examples
    assert examples[0].entry.id == "chest-pain"
    assert examples[0].similarity == pytest.approx(1.0, abs=1e-5)
    assert all(one.similarity >= EXAMPLE_FLOOR for one in examples)
    assert len(examples) <= EXAMPLES


def test_entries_about_something_else_are_left_out(retriever):
    assert retriever.retrieve(ask("xyzzy plugh"), top_k=8).examples == ()


def test_the_floor_is_what_leaves_them_out(retriever, monkeypatch):
    monkeypatch.setattr(module, "EXAMPLE_FLOOR", -1.0)
    assert len(retriever.retrieve(ask("xyzzy plugh"), top_k=8).examples) == EXAMPLES


@pytest.mark.parametrize("shares", [(1.0, 0.0, 0.0), (0.0, 0.0, 1.0)])
def test_a_search_is_by_cosine_alone(retriever, shares):
    text = "chest pain, ankle running"
    told = with_scenario(retriever, *shares)
    assert told.search(text, limit=8) == retriever.search(text, limit=8)
    query = retriever.embedder.embed([text])[0]
    hits = retriever.principle_index.search(query, limit=8)
    assert [hit.score for hit in told.search(text, limit=8)] == [hit.similarity for hit in hits]


@pytest.mark.parametrize("limit", [1, 3, 8, 100])
def test_a_search_gives_as_many_as_there_are_up_to_its_limit(retriever, limit):
    hits = retriever.search("crushing chest pain", limit=limit)
    assert hits[0].principle.id == "chest-pain"
    assert len(hits) == min(limit, len(retriever.library))


def test_a_search_promotes_nothing_that_always_applies(retriever):
    assert ids(retriever.search("a twisted ankle after running", limit=1)) == ["ankle"]


@pytest.mark.parametrize(
    "turns",
    [
        [],
        [("user", "")],
        [("user", "  \n ")],
        [("system", "You are kind.")],
        [("assistant", "crushing chest pain")],
        [("user", ""), ("assistant", "hello"), ("user", "")],
        [("user", "\0\x1b\u202e")],
        [("user", "a" * 200_000)],
    ],
)
def test_a_conversation_without_a_question_is_no_failure(retriever, turns):
    found = retriever.retrieve(turns, top_k=8)
    assert [name for name in ids(found.principles) if name in ALWAYS] == list(ALWAYS)


def test_what_the_assistant_said_is_not_searched_for(retriever):
    turns = [("user", "a twisted ankle after running"), ("assistant", "crushing chest pain")]
    assert retriever.retrieve(turns, top_k=8).principles == (
        retriever.retrieve(turns[:1], top_k=8).principles
    )


def test_a_red_flag_early_in_the_conversation_still_makes_it_emergent(retriever):
    calm = [("user", "a twisted ankle"), ("user", "thanks")]
    assert not retriever.retrieve(calm, top_k=8).scenario.emergent
    turns = [("user", "my father has crushing chest pain right now"), ("user", "thanks")]
    assert retriever.retrieve(turns, top_k=8).scenario.emergent


def test_another_embedder_needs_its_own_index(tmp_path):
    where = places(tmp_path)
    build_indexes(where, HashingEmbedder())
    with pytest.raises(IndexMismatch):
        open_retriever(where, HashingEmbedder(name="hashing@2"))


def test_without_an_index_there_is_no_retriever(tmp_path):
    with pytest.raises(IndexMissing, match="principles build"):
        open_retriever(places(tmp_path), HashingEmbedder())


@pytest.mark.parametrize("name", ["principles.jsonl", "rubrics.jsonl"])
def test_an_edited_library_needs_a_new_index(tmp_path, name):
    where = places(tmp_path)
    build_indexes(where, HashingEmbedder())
    path = tmp_path / name
    path.write_text(path.read_text().replace("baby", "infant"))
    with pytest.raises(IndexMismatch):
        open_retriever(where, HashingEmbedder())
    build_indexes(where, HashingEmbedder())
    open_retriever(where, HashingEmbedder())


def test_other_questions_to_find_principles_by_need_a_new_index(tmp_path, monkeypatch):
    where = places(tmp_path)
    build_indexes(where, HashingEmbedder())
    asks = _write(tmp_path / "asks.jsonl", [{"id": "ankle", "asks": ["can I walk on it"]}])
    monkeypatch.setattr(
        opening, "load_library", lambda path: principle_file.load_library(path, asks)
    )
    with pytest.raises(IndexMismatch):
        open_retriever(where, HashingEmbedder())


def test_indexes_that_fit_are_left_alone(tmp_path):
    where = places(tmp_path)
    build_indexes(where, HashingEmbedder())
    again = HashingEmbedder()
    library, bank = build_indexes(where, again)
    assert again.embedded == 0
    assert (len(library), len(bank)) == (len(ALWAYS) + len(TOPICS), len(TOPICS))


def test_a_damaged_index_is_built_anew(tmp_path):
    where = places(tmp_path)
    build_indexes(where, HashingEmbedder())
    (where.indexes / "principles.faiss").write_bytes(b"damaged")
    again = HashingEmbedder()
    build_indexes(where, again)
    assert again.embedded > 0
    open_retriever(where, HashingEmbedder())


def test_a_faulty_library_writes_no_index(tmp_path):
    where = places(tmp_path)
    where.principles.write_text("{}")
    with pytest.raises(LibraryInvalid):
        build_indexes(where, HashingEmbedder())
    assert not where.indexes.exists()


def test_the_bank_is_indexed_by_its_last_turn(tmp_path):
    where = places(tmp_path)
    turns = [
        {"role": "user", "content": "crushing chest pain"},
        {"role": "assistant", "content": "since when"},
        {"role": "user", "content": "itchy elbow"},
    ]
    rubric = [{"criterion": "Says so", "points": 5}]
    _write(where.rubrics, [{"id": "long", "messages": turns, "rubric": rubric}])
    build_indexes(where, HashingEmbedder())
    found = open_retriever(where, HashingEmbedder()).retrieve(ask("itchy elbow"), top_k=8)
    assert [one.entry.id for one in found.examples] == ["long"]


def test_the_shipped_libraries_can_be_served(tmp_path):
    where = Places(indexes=tmp_path)
    build_indexes(where, HashingEmbedder())
    retriever = open_retriever(where, HashingEmbedder())
    assert (len(retriever.library), len(retriever.bank)) == (len(load_library()), len(load_bank()))
    assert retriever.retrieve(ask("Is my baby's fever an emergency?"), top_k=8).principles


def test_where_an_emergency_is_possible_the_nearest_emergency_principle_has_a_place(
    retriever, monkeypatch
):
    asked = ask("the dose of paracetamol for crushing chest pain, a twisted ankle, running")
    monkeypatch.setattr(ranking, "SCENARIO_WEIGHT", 0.0)
    demand = DemandModel(
        embedder="",
        principles=tuple(TOPICS),
        weights=np.zeros((len(TOPICS), 64)),
        bias=np.array([1.0 if name != "chest-pain" else ranking.TOPIC_SHARE for name in TOPICS]),
    )
    places_left = len(ALWAYS) + 2

    def found(now: float) -> list[str]:
        watched = with_scenario(retriever, now, 1 - now, 0.0)
        hits = replace(watched, demand=demand).retrieve(asked, top_k=places_left).principles
        return [name for name in ids(hits) if name not in ALWAYS]

    assert "chest-pain" not in found(0.1)
    assert found(0.3)[-1] == "chest-pain"
    assert len(found(0.3)) == len(found(0.1))


def test_the_line_in_english_and_the_words_as_they_are_are_searched_for_together(retriever):
    turns, line = ask("tobillo torcido"), "a twisted ankle after running"

    def score(restated: str | None) -> float:
        found = retriever.retrieve(turns, top_k=8, restated=restated).principles
        return next((hit.score for hit in found if hit.principle.id == "ankle"), 0.0)

    (alone,) = retriever.embedder.embed([line])
    (said,) = retriever.embedder.embed(["tobillo torcido"])
    assert score(line) > score(None)
    halfway = (alone + said) / np.linalg.norm(alone + said)
    assert score(line) == pytest.approx(float(halfway @ alone), abs=0.2)
    assert score(line) < 0.9, "the words as they are count as well"


class Opposites:
    """Gives opposite vectors, as no real embedder does."""

    id, dimension = "opposites@1", 64

    def embed(self, texts):
        first = HashingEmbedder().embed(["a twisted ankle after running"])[0]
        return np.stack([first if len(texts) == 1 or n else -first for n in range(len(texts))])


def test_opposite_vectors_leave_the_line(retriever):
    searching = replace(retriever, embedder=Opposites())
    found = searching.retrieve(ask("anything"), top_k=4, restated="a twisted ankle after running")
    assert found.principles[0].principle.id == "ankle"


def demanding(**shares: float) -> DemandModel:
    return DemandModel(
        embedder="",
        principles=tuple(TOPICS),
        weights=np.zeros((len(TOPICS), 64)),
        bias=np.array([shares.get(name, 0.0) for name in TOPICS]),
    )


def test_what_physicians_often_demand_is_found_whatever_the_words_are(retriever, monkeypatch):
    monkeypatch.setattr(ranking, "RELEVANCE_FLOOR", 2.0)  # no words are near enough
    often, seldom = ranking.DEMAND_FLOOR + 0.01, ranking.DEMAND_FLOOR - 0.01
    watched = replace(retriever, demand=demanding(dose=often, ankle=seldom))
    found = ids(watched.retrieve(ask("anything at all"), top_k=20).principles)
    assert [name for name in found if name not in ALWAYS] == ["dose"]


def test_an_emergency_principle_far_from_the_words_gets_no_place(retriever, monkeypatch):
    monkeypatch.setattr(module, "EMERGENCY_FLOOR", 2.0)
    monkeypatch.setattr(ranking, "SCENARIO_WEIGHT", 0.0)
    others = dict.fromkeys(TOPICS, 1.0) | {"chest-pain": ranking.TOPIC_SHARE}
    watched = replace(with_scenario(retriever, 0.9, 0.1, 0.0), demand=demanding(**others))
    asked = ask("crushing chest pain, a twisted ankle after running")
    assert "chest-pain" not in ids(watched.retrieve(asked, top_k=len(ALWAYS) + 1).principles)


def test_a_form_asked_for_in_one_sentence_has_a_place_beside_all_that_is_told(
    tmp_path, monkeypatch
):
    where = places(tmp_path)
    lines = where.principles.read_text().splitlines()
    letters = _line("letters", "a letter to a colleague", []) | {
        "dimensions": {"task": ["documents"]}
    }
    where.principles.write_text("\n".join([*lines, json.dumps(letters)]))
    build_indexes(where, HashingEmbedder())
    opened = open_retriever(where, HashingEmbedder())
    told = "crushing chest pain, " * 5 + "a baby with high fever, " * 5 + "the dose of paracetamol"
    limit = len(ALWAYS) + 1

    def found(text: str) -> list[str]:
        hits = opened.retrieve(ask(text), top_k=limit).principles
        return [name for name in ids(hits) if name not in ALWAYS]

    assert "letters" not in found(told)
    assert found(f"{told}. Write a letter to a colleague.")[-1] == "letters"
    assert len(found(f"{told}. Write a letter to a colleague.")) == len(found(told))
    monkeypatch.setattr(module, "FORM_FLOOR", 2.0)
    assert "letters" not in found(f"{told}. Write a letter to a colleague.")


def test_a_form_asked_for_in_the_english_line_counts_too(tmp_path):
    where = places(tmp_path)
    lines = where.principles.read_text().splitlines()
    letters = _line("letters", "a letter to a colleague", []) | {
        "dimensions": {"task": ["documents"]}
    }
    where.principles.write_text("\n".join([*lines, json.dumps(letters)]))
    build_indexes(where, HashingEmbedder())
    opened = open_retriever(where, HashingEmbedder())
    turns = ask("dolor de pecho; escribe una carta")
    line = "crushing chest pain, baby fever; write a letter to a colleague"
    hits = opened.retrieve(turns, top_k=len(ALWAYS) + 1, restated=line).principles
    assert "letters" in ids(hits)


def test_the_subject_keeps_a_place_beside_what_is_asked_for_everywhere(retriever, monkeypatch):
    everywhere = dict.fromkeys(TOPICS, 1.0) | {"ankle": ranking.TOPIC_SHARE / 2}
    watched = replace(retriever, demand=demanding(**everywhere))
    asked = ask("a twisted ankle after running, chest pain, fever of a baby, dose of paracetamol")
    limit = len(ALWAYS) + 1
    assert ids(watched.retrieve(asked, top_k=limit).principles)[1] == "ankle"
    monkeypatch.setattr(module, "TOPIC_FLOOR", 2.0)
    assert "ankle" not in ids(watched.retrieve(asked, top_k=limit).principles)


def test_a_wish_for_sources_keeps_a_place(tmp_path, monkeypatch):
    where = places(tmp_path)
    lines = where.principles.read_text().splitlines()
    sources = _line("sources", "name the guideline, study or body a statement rests on", [])
    where.principles.write_text("\n".join([*lines, json.dumps(sources)]))
    build_indexes(where, HashingEmbedder())
    opened = open_retriever(where, HashingEmbedder())
    told = "crushing chest pain, " * 5 + "a baby with high fever, " * 5
    limit = len(ALWAYS) + 1
    assert "sources" not in ids(opened.retrieve(ask(told), top_k=limit).principles)
    wishing = ask(f"{told}. Please give references.")
    assert ids(opened.retrieve(wishing, top_k=limit).principles)[1] == "sources"
    monkeypatch.setattr(module, "SOURCES_FLOOR", 2.0)
    assert "sources" not in ids(opened.retrieve(wishing, top_k=limit).principles)
