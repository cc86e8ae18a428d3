"""Languages told by small words: sentences that the lists were not made from."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from revision.language import language_of, named, script
from revision.statements import plain, statements

SAID = json.loads((Path(__file__).parent / "data" / "languages.json").read_text("utf-8"))
SENTENCES, NEIGHBOURS = SAID["told"], SAID["not told"]


@pytest.mark.parametrize("told", SENTENCES)
def test_a_language_with_a_list_is_told_from_its_neighbours(told):
    assert language_of(statements(SENTENCES[told])) == told


@pytest.mark.parametrize("name", NEIGHBOURS)
def test_of_a_language_without_a_list_nothing_is_said(name):
    assert language_of(statements(NEIGHBOURS[name])) is None


@pytest.mark.parametrize("text", ["", "Rest.", "500 mg", "ibuprofen paracetamol amoxicillin " * 9])
def test_what_is_no_running_text_tells_no_language(text):
    assert language_of(statements(text)) is None


def test_names_of_medicines_do_not_make_a_chinese_text_latin():
    assert script("可以服用 acetaminophen 或 ibuprofen，不要超过剂量，每次间隔六小时") == "CJK"


def test_a_named_language_is_seen():
    assert named(plain("Please answer in Español or in French")) == {"es", "fr"}


@given(st.text())
def test_no_text_is_too_odd(text):
    script(text)
    language_of(statements(text))
