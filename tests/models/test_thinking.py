"""Reasoning inside an answer, however it is cut into pieces."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.messages import Delta
from models.thinking import Thinking, told_apart

TEXTS = {
    "none": ("Rest in a dark room.", "", "Rest in a dark room."),
    "at the start": ("<think>Which drug?</think>\n\nRest.", "Which drug?", "Rest."),
    "after a line": ("\n<think>\nWhich?\n</think>Rest.", "Which?\n", "Rest."),
    "empty": ("<think>\n\n</think>\n\nRest.", "", "Rest."),
    "never closed": ("<think>Which drug", "Which drug", ""),
    "never closed, ending in part of a tag": ("<think>Is a </th", "Is a </th", ""),
    "only part of a tag": ("<thi", "", "<thi"),
    "something like it": ("<thing> helps", "", "<thing> helps"),
    "further down": ("Write <think>so</think>.", "", "Write <think>so</think>."),
    "twice": ("<think>a</think>b<think>c</think>", "a", "b<think>c</think>"),
    "spaces alone": ("  \n", "", "  \n"),
    "spaces first": ("  \nRest.", "", "  \nRest."),
    "angle brackets inside": ("<think>a < b </ c</think>Rest.", "a < b </ c", "Rest."),
}


@pytest.mark.parametrize(("said", "reasoning", "answer"), TEXTS.values(), ids=TEXTS)
def test_reasoning_at_the_start_is_split_off_however_it_comes(
    said: str, reasoning: str, answer: str
):
    assert told_apart(said) == Delta(text=answer, reasoning=reasoning)
    thinking = Thinking()
    deltas = [*map(thinking.add, said), thinking.rest()]
    assert "".join(delta.reasoning for delta in deltas) == reasoning
    assert "".join(delta.text for delta in deltas) == answer


@given(st.lists(st.sampled_from(["<think>", "</think>", "<", "</th", "a", " ", "\n"]), max_size=9))
def test_the_cuts_make_no_difference(parts: list[str]):
    whole = told_apart("".join(parts))
    thinking = Thinking()
    deltas = [*map(thinking.add, parts), thinking.rest()]
    assert "".join(delta.reasoning for delta in deltas) == whole.reasoning
    assert "".join(delta.text for delta in deltas) == whole.text


def test_an_answer_without_reasoning_is_never_late():
    thinking = Thinking()
    assert [thinking.add(piece).text for piece in ("Rest", " in ", "<b")] == ["Rest", " in ", "<b"]
