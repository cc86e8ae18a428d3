"""Near-copies are found by pairs, across principles and never inside one."""

from retrieval.near_copies import near_copies
from retrieval.principles import Library, Principle, PrincipleCriterion
from tests.retrieval.hashing import HashingEmbedder

EMBEDDER = HashingEmbedder(dimension=256)


def principle(name: str, text: str, *criteria: str) -> Principle:
    return Principle(
        id=name,
        title=name,
        text=text,
        dimensions={},
        criteria=tuple(PrincipleCriterion(criterion=one, points=5) for one in criteria),
        always=True,
    )


def library(*principles: Principle) -> Library:
    return Library(principles=principles, asks={}, sha256="")


def test_principles_and_criteria_that_say_the_same_are_named():
    found = near_copies(
        library(
            principle("one", "name the daily limit of every dose in full", "states the limit"),
            principle("two", "name the daily limit of every dose in full now", "states the limit"),
            principle("three", "call the ambulance for crushing chest pain", "calls for help"),
        ),
        EMBEDDER,
    )
    assert [(pair.kind, pair.one, pair.other) for pair in found] == [
        ("criterion", "one", "two"),
        ("principle", "one", "two"),
    ]
    assert found[0].similarity > found[1].similarity > 0.85
    assert found[0].texts == ("states the limit", "states the limit")


def test_a_principle_is_no_copy_of_itself():
    assert not near_copies(library(principle("one", "some text", "same", "same")), EMBEDDER)


def test_what_shares_no_words_is_no_copy():
    found = near_copies(
        library(principle("one", "alpha beta", "gamma"), principle("two", "delta eta", "theta")),
        EMBEDDER,
    )
    assert found == ()
