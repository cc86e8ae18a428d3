"""The conversation as hidden prompts see it."""

import pytest

from models.messages import Message, Part
from revision.conversation import Conversation

TURNS = (
    Message(role="system", content="Be kind."),
    Message(role="user", content=(Part(text="part one"), Part(text=" part two"))),
)


def test_a_review_appends_and_changes_nothing_before_it():
    prompt = Conversation(messages=TURNS).with_answer("the answer", "judge it")
    assert prompt[: len(TURNS)] == TURNS
    assert [turn.role for turn in prompt[2:]] == ["assistant", "user"]


def test_an_instruction_joins_the_last_user_turn():
    prompt = Conversation(messages=TURNS).with_instruction("pause")
    assert len(prompt) == len(TURNS)
    assert prompt[-1].text.startswith("part one")
    assert prompt[-1].text.endswith("pause")


def test_after_a_tools_result_the_instruction_is_a_turn_of_its_own():
    turns = (*TURNS, Message(role="tool", content="120/80", extra={"tool_call_id": "x"}))
    prompt = Conversation(messages=turns).with_instruction("pause")
    assert prompt[:3] == turns
    assert prompt[-1].role == "user"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("Briefly, what is asthma?", True),
        ("Explain in two sentences.", True),
        ("tl;dr please", True),
        ("Is it safe? yes or no", True),
        ("What is asthma?", False),
        ("I am short of breath", False),
        ("My shortness of breath is worse", False),
    ],
)
def test_brevity_is_seen_where_it_is_asked_for(words, expected):
    conversation = Conversation(messages=(Message(role="user", content=words),))
    assert conversation.asks_for_brevity is expected
