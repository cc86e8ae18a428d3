"""What a user says of the form, and answers that keep it or not."""

import pytest

from revision.self_talk import refuses
from revision.wanted_form import loss_of_form, wanted_form


@pytest.mark.parametrize(
    ("wish", "limits"),
    [
        ("Explain it in 70 words.", {"words": 87.5}),
        ("Keep it under 100 words", {"words": 100}),
        ("one sentence please", {"sentences": 1}),
        ("a one-sentence answer", {"sentences": 1}),
        ("Answer in 2-3 sentences", {"sentences": 3}),
        ("Give me 3 bullets", {"items": 3}),
        ("in three short paragraphs", {"paragraphs": 3}),
        ("en menos de 50 palabras", {"words": 50}),
        ("mit höchstens 50 Wörtern", {"words": 50}),
        ("I have 2 lines on my test", {}),
        ("I had a fever in 3 days, for one week", {}),
        ("one sentence of hope was all I heard", {}),
    ],
)
def test_a_limit_is_read_where_it_is_plainly_said(wish, limits):
    assert dict(wanted_form([wish]).limits) == limits


def loss(wish, before, after, *, room=False):
    return loss_of_form(wanted_form([wish]), before, after, room=room)


def test_an_answer_that_was_too_long_may_become_shorter_and_not_longer():
    wish = "in one sentence"
    assert loss(wish, "One. Two. Three.", "One. Two.") is None
    assert loss(wish, "One. Two.", "One. Two. Three.") == "longer than asked"


def test_a_limit_that_the_answer_is_far_from_is_not_believed():
    assert loss("my child talks in two word sentences", "word " * 40, "word " * 60) is None


def test_what_an_answer_must_not_lack_has_room_beyond_the_limit():
    wish, before = "in one sentence", "Rest."
    after = "Call an ambulance now. Do not drive. Rest."
    assert loss(wish, before, after) == "longer than asked"
    assert loss(wish, before, after, room=True) is None


@pytest.mark.parametrize(
    "text",
    [
        "I can't help with that.",
        "I'm sorry, but I cannot provide this.",
        "No puedo ayudar con eso.",
        "Dabei kann ich leider nicht helfen.",
        "我不能提供这样的信息。",
        "इसमें मदद नहीं कर सकता।",
    ],
)
def test_a_refusal_is_heard(text):
    assert refuses(text)


@pytest.mark.parametrize(
    "text",
    [
        "I can't give you medical advice, but rest helps.",
        "I cannot provide a diagnosis from here.",
        "You can't share this medicine with others.",
        "No puedo dar un diagnóstico sin verle.",
        "I cannot tell whether it is broken without an X-ray.",
    ],
)
def test_what_cannot_be_known_is_no_refusal(text):
    assert not refuses(text)
