"""Requests for a text or its form: found by their own sentence, in linear time."""

import time

import pytest

from retrieval.form_words import MOST_SENTENCES, asks_for_sources, form_requests


@pytest.mark.parametrize(
    "text",
    [
        "Draft a message to the pharmacy",
        "Can you write me a short e-mail?",
        "please WRITE a referral letter",
        "Summarise this",
        "Summarize this",
        "Rewrite it for a patient",
        "re-phrase that",
        "Answer in 70 words",
        "no more than 3 sentences",
        "use bullet points",
        "put it in a table",
        "One sentence only",
        "in a formal style",
        "make a SOAP note",
        "with ICD-10 codes",
        "Give me a checklist",
        "help me write this better",
        "polish this",
        "correct the grammar",
    ],
)
def test_a_request_for_a_form_is_found(text):
    assert form_requests(text) == (text,)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "My ankle hurts",
        "I noted a rash yesterday",
        "The doctor listed three causes",
        "Is it normal to form scars?",
        "He wrote nothing",
        "should I take it in the morning or in 2 hours",
    ],
)
def test_what_asks_for_no_form_is_left_alone(text):
    assert form_requests(text) == ()


def test_only_the_sentence_that_asks_is_returned():
    text = "My ankle hurts. Can you draft a message to my coach? It is swollen.\nThanks"
    assert form_requests(text) == ("Can you draft a message to my coach?",)


def test_few_and_short_sentences_are_returned():
    many = form_requests("Write a note. " * 50 + "Write a letter about " + "x" * 10_000)
    assert len(many) == MOST_SENTENCES
    (long,) = form_requests("x" * 10_000 + " write a letter")
    assert len(long) == 400
    assert long.endswith("write a letter")


@pytest.mark.parametrize(
    "text", ["write " * 40_000, "write a-b/c'd " * 20_000, "in 1" * 60_000, "one " * 60_000]
)
def test_no_text_takes_long(text):
    started = time.perf_counter()
    form_requests(text)
    assert time.perf_counter() - started < 2.0


@pytest.mark.parametrize(
    "text", ["with references", "Cite your sources", "What is the evidence?", "name two trials"]
)
def test_a_wish_for_sources_is_found(text):
    assert asks_for_sources(text)


@pytest.mark.parametrize("text", ["", "My ankle hurts", "I prefer water", "a studious child"])
def test_what_speaks_of_no_source_is_left_alone(text):
    assert not asks_for_sources(text)
