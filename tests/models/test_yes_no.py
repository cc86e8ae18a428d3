import math
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.messages import Completion
from models.yes_no import MIN_MASS, yes_probability


def reply(shares: Mapping[str, float], text: str = "") -> Completion:
    logs = {token: math.log(share) if share else -math.inf for token, share in shares.items()}
    return Completion(text=text, finish_reason="length", first_token=logs)


@pytest.mark.parametrize(
    ("shares", "expected"),
    [
        ({"yes": 0.9, "no": 0.1}, 0.9),
        ({"yes": 0.1, "no": 0.9}, 0.1),
        ({"Yes": 0.3, " yes": 0.2, "YES": 0.1, "No": 0.2, '"no': 0.2}, 0.6),
        ({"yes": 0.85, "no": 0.06, "It": 0.09}, 0.85 / 0.91),
        ({"**Yes": 0.46, "**No": 0.46, "The": 0.08}, 0.5),
        ({"yes": 0.91, "The": 0.09}, 1.0),
        ({"no": 0.91, "The": 0.09}, 0.0),
        ({"yes": 1.0, "no": 0.0}, 1.0),
    ],
)
def test_the_probability_is_shared_among_yes_and_no(shares: dict, expected: float):
    assert yes_probability(reply(shares)) == pytest.approx(expected)


@pytest.mark.parametrize(
    "shares",
    [
        {"The": 0.9, "It": 0.1},
        {"The": 0.96, "yes": 0.02, "no": 0.02},
        {"yes": MIN_MASS * 0.99},
        {"yes": 0.89, "It": 0.11},
        {"yes": 0.4, "no": 0.4, "<think>": 0.2},
        {"<think>": 1.0},
        {"Ja": 0.6, "yes": 0.4},
        {"yesterday": 0.5, "nothing": 0.5},
        {"yes": 0.0, "no": 0.0},
    ],
)
def test_a_model_that_would_rather_say_something_else_is_not_read(shares: dict):
    assert yes_probability(reply(shares, text="yes")) is None


@pytest.mark.parametrize("text", ["yes", "No.", "", "maybe"])
def test_a_word_without_probabilities_is_no_judgement(text: str):
    assert yes_probability(Completion(text=text, finish_reason="stop")) is None


def test_a_probability_that_is_no_number_counts_for_nothing():
    completion = Completion(
        text="yes", finish_reason="length", first_token={"yes": math.nan, "no": math.log(0.95)}
    )
    assert yes_probability(completion) == 0.0


@given(yes=st.floats(0.0, 1.0), no=st.floats(0.0, 1.0))
def test_swapping_yes_and_no_swaps_the_probability(yes: float, no: float):
    there, back = (
        yes_probability(reply({"yes": yes, "no": no})),
        yes_probability(reply({"yes": no, "no": yes})),
    )
    assert (there is None) == (back is None)
    if there is not None and back is not None:
        assert there + back == pytest.approx(1.0)
        assert (there > 0.5) == (yes > no) or math.isclose(yes, no)
