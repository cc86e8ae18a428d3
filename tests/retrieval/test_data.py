"""The libraries that ship: whole, consistent, and without two that say the same."""

import difflib
import itertools
import json
import re
from collections import Counter
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from models.embedder import SentenceEmbedder
from retrieval.bank import DEFAULT_FILE as BANK_FILE
from retrieval.bank import load_bank
from retrieval.dimensions import DIMENSIONS
from retrieval.document import document
from retrieval.jsonl import read_records
from retrieval.near_copies import near_copies
from retrieval.principles import ASKS_FILE, DEFAULT_FILE, Asks, load_library

LIBRARY = load_library()
BANK = load_bank()
ASKS = tuple(entry for _, entry in read_records(ASKS_FILE, TypeAdapter(Asks)).records)
ROOT = Path(__file__).parents[2]
FILES = (DEFAULT_FILE, ASKS_FILE, BANK_FILE)


def near(one: str, other: str, ratio: float) -> bool:
    matcher = difflib.SequenceMatcher(a=one.lower(), b=other.lower(), autojunk=False)
    return matcher.quick_ratio() >= ratio and matcher.ratio() >= ratio


def twins(texts: dict[str, str], ratio: float) -> list[tuple[str, str]]:
    pairs = itertools.combinations(texts, 2)
    return [(a, b) for a, b in pairs if near(texts[a], texts[b], ratio)]


def test_there_are_119_principles_and_a_bank_of_three_hundred():
    assert len(LIBRARY) == 119
    assert len(BANK) >= 300


def test_the_page_that_clinicians_read_is_the_library_of_today():
    page = (ROOT / "docs" / "principles.md").read_text(encoding="utf-8")
    assert page == document(LIBRARY, "retrieval/data/principles.jsonl")


@pytest.mark.parametrize("principle", LIBRARY.principles, ids=lambda one: one.id)
def test_a_principle_is_made_as_the_library_promises(principle):
    assert 2 <= len(principle.criteria) <= 6
    assert principle.sources, "no public guidance is named"
    assert len(re.findall(r"[.!?](?:\s|$)", principle.text)) <= 3
    assert len(principle.title.split()) <= 9


def test_no_two_principles_are_near_copies_by_meaning():
    assert near_copies(LIBRARY, SentenceEmbedder()) == ()


@pytest.mark.parametrize("entries", [LIBRARY, BANK, ASKS], ids=["principles", "bank", "asks"])
def test_no_id_is_given_twice(entries):
    assert [name for name, count in Counter(one.id for one in entries).items() if count > 1] == []


@pytest.mark.parametrize(
    ("dimension", "value"),
    [(dimension, value) for dimension, values in DIMENSIONS.items() for value in values],
)
def test_some_principle_speaks_of_every_value_of_every_dimension(dimension, value):
    assert any(value in known.dimensions.get(dimension, ()) for known in LIBRARY)


def test_few_principles_always_apply_so_that_there_is_room_for_others():
    always = [known.id for known in LIBRARY if known.always]
    # Half of the default top_k of 8 goes to those that always apply: all of them, or none is.
    assert 1 <= len(always) <= 4


def test_what_always_applies_depends_on_no_dimension():
    assert [known.id for known in LIBRARY if known.always and any(known.dimensions.values())] == []


def test_questions_are_given_for_exactly_the_principles_that_must_be_found():
    assert {entry.id for entry in ASKS} == {known.id for known in LIBRARY if not known.always}


def test_no_question_is_asked_for_two_principles():
    counts = Counter(text.casefold().strip() for entry in ASKS for text in entry.asks)
    assert [text for text, count in counts.items() if count > 1] == []


def test_no_principle_asks_the_same_twice():
    for entry in ASKS:
        assert twins({text: text for text in entry.asks}, 0.95) == [], entry.id


def test_no_two_principles_say_nearly_the_same():
    assert twins({known.id: known.text for known in LIBRARY}, 0.85) == []


def test_no_two_principles_have_nearly_the_same_title():
    assert twins({known.id: known.title for known in LIBRARY}, 0.85) == []


def test_no_criterion_stands_twice_in_the_library():
    texts = Counter(check.criterion.casefold() for known in LIBRARY for check in known.criteria)
    assert [text for text, count in texts.items() if count > 1] == []


def test_every_principle_names_public_guidance():
    assert [known.id for known in LIBRARY if not known.sources] == []


def test_every_principle_requires_or_forbids_something_that_matters():
    assert [
        known.id for known in LIBRARY if max(check.points for check in known.criteria) < 5
    ] == []


def test_an_emergency_principle_has_a_critical_criterion():
    emergent = [known for known in LIBRARY if "emergent" in known.dimensions.get("urgency", ())]
    assert emergent
    assert any(check.critical for known in emergent for check in known.criteria)


def test_every_entry_ends_in_a_users_question():
    assert [entry.id for entry in BANK if entry.messages[-1].role != "user"] == []


def test_every_entry_forbids_something_and_requires_something():
    lacking = [
        entry.id
        for entry in BANK
        if not {-1, 1} <= {1 if check.points > 0 else -1 for check in entry.rubric}
    ]
    assert lacking == []


def test_no_two_entries_ask_nearly_the_same():
    assert twins({entry.id: entry.messages[-1].content for entry in BANK}, 0.85) == []


def test_no_criterion_stands_twice_in_one_entry():
    for entry in BANK:
        texts = Counter(check.criterion.casefold() for check in entry.rubric)
        assert [text for text, count in texts.items() if count > 1] == [], entry.id


def test_every_entry_says_under_what_licence_it_stands():
    assert {(entry.source, entry.licence) for entry in BANK} == {("clinalign-serve", "Apache-2.0")}


def test_a_principle_that_a_bank_criterion_names_exists():
    named = {check.principle for entry in BANK for check in entry.rubric} - {None}
    assert named <= {known.id for known in LIBRARY}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_file_ends_in_a_newline_and_repeats_no_key(path):
    content = path.read_text(encoding="utf-8")
    assert content.endswith("}\n")

    def once(pairs: list[tuple[str, object]]) -> dict[str, object]:
        assert len({key for key, _ in pairs}) == len(pairs)
        return dict(pairs)

    for line in content.splitlines():
        json.loads(line, object_pairs_hook=once)
