"""Tokens without asking: a bound that holds, and a guess that learns."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.messages import Message, Usage
from models.token_bounds import A_TEMPLATE, Guess, at_most


def said(*texts: str) -> tuple[Message, ...]:
    return tuple(Message(role="user", content=text) for text in texts)


@given(st.lists(st.text(), max_size=5))
def test_no_prompt_has_more_tokens_than_bytes(texts: list[str]):
    assert at_most(said(*texts)) >= sum(len(one.encode()) for one in texts)


def test_a_lone_surrogate_breaks_nothing():
    assert at_most(said("\ud800")) > A_TEMPLATE


def test_tool_calls_count():
    call = {"function": {"name": "dose", "arguments": "x" * 1000}}
    turn = Message(role="assistant", content=None, extra={"tool_calls": [call]})
    assert at_most((turn,)) > 1000
    assert Guess().of((turn,)) > 300


@pytest.mark.parametrize("text", ["head ache " * 300, "सिर दर्द " * 300, "頭が痛い" * 300])
def test_a_first_guess_is_cautious(text: str):
    tokens = len(text) // 4 if text.isascii() else len(text)  # what common tokenizers make of it
    assert Guess().of(said(text)) >= tokens
    assert Guess().of(said(text)) <= at_most(said(text)) * 1.1


def test_a_guess_learns_from_what_the_conversation_has_cost():
    guess, talk = Guess(), said("head ache " * 300)
    cautious = guess.of(talk)
    guess.learn(talk, Usage(prompt_tokens=600))
    assert 600 <= guess.of(talk) < 700 < cautious
    assert 1200 <= guess.of(said("head ache " * 600)) < 1350


def test_the_prompt_that_was_underrated_most_counts():
    guess, talk = Guess(), said("head ache " * 300)
    for tokens in (600, 900, 700):
        guess.learn(talk, Usage(prompt_tokens=tokens))
    assert guess.of(talk) >= 900


def test_a_server_that_tells_no_usage_teaches_nothing():
    guess, talk = Guess(), said("head ache " * 300)
    before = guess.of(talk)
    guess.learn(talk, Usage())
    assert guess.of(talk) == before
