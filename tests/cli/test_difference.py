"""What changed between two texts, readable without colours."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.cli.difference import LONGEST, difference


@pytest.mark.parametrize(
    ("old", "new", "shown"),
    [
        ("rest", "rest", "nothing changed"),
        ("", "", "nothing changed"),
        ("rest now", "rest later", "rest [-now-]{+later+}"),
        ("rest now", "rest", "[-rest now-]{+rest+}"),
        ("rest", "", "[-rest-]"),
        ("", "rest", "{+rest+}"),
        ("a b c", "a c", "a [-b -]c"),
        ("a c", "a b c", "a {+b +}c"),
        ("[red] alert", "[red] alarm", "[red] [-alert-]{+alarm+}"),
        ("one\n\ntwo", "one\n\nthree", "one\n\n[-two-]{+three+}"),
    ],
)
def test_what_went_and_what_came_is_marked(old, new, shown):
    assert difference(old, new).plain == shown


PROSE = st.lists(st.sampled_from(["rest", "drink", "now", "then", "\n", " "]), max_size=12).map(
    " ".join
)


@given(old=PROSE, new=PROSE)
def test_without_what_came_it_is_the_old_text_and_without_what_went_the_new(old, new):
    if old == new:
        return
    shown = difference(old, new).plain
    came, went = re.compile(r"\{\+(.*?)\+\}", re.DOTALL), re.compile(r"\[-(.*?)-\]", re.DOTALL)
    assert went.sub(r"\1", came.sub("", shown)) == old
    assert came.sub(r"\1", went.sub("", shown)) == new


def test_styles_mark_the_same_as_the_signs():
    shown = difference("rest now", "rest later")
    styled = {shown.plain[span.start : span.end]: str(span.style) for span in shown.spans}
    assert styled == {"[-now-]": "red strike", "{+later+}": "green"}


def test_markup_in_an_answer_is_text():
    shown = difference("[bold]rest[/bold] now", "[bold]rest[/bold] later")
    assert "[bold]rest[/bold]" in shown.plain


@pytest.mark.parametrize(("words", "compared"), [(LONGEST, True), (LONGEST + 1, False)])
def test_texts_beyond_the_limit_are_not_compared(words, compared):
    old = "word " * words
    assert (difference(old, f"{old[:-5]}other").plain != "too long to compare") is compared


def test_the_longer_of_the_two_counts():
    assert difference("word", "word " * (LONGEST + 1)).plain == "too long to compare"
