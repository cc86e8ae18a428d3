"""The checks that a candidate passes before a judge sees it."""

import json
import time
from dataclasses import replace
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.guard import outcome, pairs, wilson
from models.messages import Completion, Message
from revision.change import Change
from revision.conversation import Conversation
from revision.critique import Critique, Judgement, Verdict
from revision.form import AnswerForm
from revision.guard import LONGEST, MOST_NEW, Objection, inspect
from revision.language import language_of
from revision.rubric import Criterion, Rubric
from revision.statements import statements

DRAFT = "Rest, drink enough, and take paracetamol if it hurts. See a doctor if it gets worse."
RUSSIAN = "Отдыхайте и пейте достаточно воды. Идите к врачу, если станет хуже, и не ждите долго."
PROSE = AnswerForm()
JSON = AnswerForm(kind="json_object")
LONGER = DRAFT + " Call 112 at once if you cannot breathe."


def said(text, finish_reason="stop", **more):
    return Completion(text=text, finish_reason=finish_reason, **more)


def objection(best, candidate, conversation, form):
    change = Change(best=best, candidate=candidate, conversation=conversation, form=form)
    return inspect(change).objection


def asked(question="What helps?"):
    return Conversation(messages=(Message(role="user", content=question),))


@pytest.mark.parametrize(
    ("draft", "candidate", "reason"),
    [
        (DRAFT, "  ", "empty"),
        (DRAFT, f" {DRAFT}\n", "unchanged"),
        (DRAFT, "Rest.", "much shorter"),
        (DRAFT, f"Here is the revised answer:\n\n{LONGER}", "talks about itself"),
        (DRAFT, f"Sure! Here's an improved version of the text:\n{LONGER}", "talks about itself"),
        (DRAFT, RUSSIAN, "another script"),
        (LONGER, DRAFT + " Please do not wait for too long with that.", "emergency number lost"),
        (DRAFT, "Rest well. " * 20, "repeats itself"),
    ],
)  # fmt: skip
def test_a_candidate_that_is_no_answer_is_refused(draft, candidate, reason):
    assert objection(said(draft), said(candidate), asked(), PROSE) == reason


@pytest.mark.parametrize(
    "candidate",
    [
        LONGER,
        DRAFT.replace("paracetamol", "ibuprofen"),
        "Here is what helps: rest, enough to drink, and paracetamol. See a doctor if it is worse.",
    ],
)
def test_an_honest_revision_passes(candidate):
    assert objection(said(DRAFT), said(candidate), asked(), PROSE) is None


def test_a_short_revision_passes_where_brevity_was_asked_for():
    assert objection(said(DRAFT), said("Rest."), asked("Briefly?"), PROSE) is None


def test_a_truncated_revision_is_refused_unless_the_draft_was_truncated_too():
    cut = said(LONGER, "length")
    assert objection(said(DRAFT), cut, asked(), PROSE) == "cut short"
    assert objection(said(DRAFT, "length"), cut, asked(), PROSE) is None


def written(**fields):
    return said(json.dumps(fields, ensure_ascii=False))


@pytest.mark.parametrize(
    "candidate",
    [
        LONGER,
        f'```json\n{{"advice": "{LONGER}"}}\n```',
        f'Here it is: {{"advice": "{LONGER}"}}',
        f'["{LONGER}"]',
        f'"{LONGER}"',
        f'{{"advice": "{LONGER}", "dose": NaN}}',
        f'{{"advice": "{LONGER}", "advice": "{LONGER}"}}',
        f'{{"advice": "{LONGER}',
        "null",
    ],
)
def test_an_answer_that_must_be_json_stays_json(candidate):
    draft = written(advice=DRAFT)
    assert objection(draft, said(candidate), asked(), JSON) == "not JSON"
    assert objection(draft, written(advice=LONGER), asked(), JSON) is None


def test_json_written_otherwise_is_unchanged():
    draft = said(f'{{"a": 1, "advice": "{DRAFT}"}}')
    spaced = said(f'{{\n  "advice": "{DRAFT}",\n  "a": 1\n}}')
    assert objection(draft, spaced, asked(), JSON) == "unchanged"
    assert objection(draft, said(draft.text.replace("1", "true")), asked(), JSON) is None


@pytest.mark.parametrize(
    ("draft", "candidate", "reason"),
    [
        ({"advice": DRAFT}, {"advice": RUSSIAN}, "another script"),
        ({"advice": DRAFT}, {"advice": "Rest.", **dict.fromkeys("abcdefghij")}, "much shorter"),
        ({"advice": DRAFT, "call": 112}, {"advice": DRAFT, "call": 1}, "emergency number lost"),
        ({"advice": DRAFT}, {"advice": "Rest well. " * 20}, "repeats itself"),
        ({"advice": DRAFT}, {"advice": f"Here is the revision:\n{LONGER}"}, "talks about itself"),
    ],
)  # fmt: skip
def test_what_json_says_is_checked_like_prose(draft, candidate, reason):
    assert objection(written(**draft), written(**candidate), asked(), JSON) == reason


@pytest.mark.parametrize(
    ("draft", "candidate"),
    [
        pytest.param(
            {"совет_для_пациента_и_его_семьи": "Rest."},
            {"совет_для_пациента_и_его_семьи": "Rest, and drink."},
            id="keys in another script than the values",
        ),
        pytest.param({"a": "yes"}, dict.fromkeys("abcdefgh", "yes"), id="values that are alike"),
        pytest.param(
            dict.fromkeys([f"a long name of a field {number}" for number in range(9)], "low"),
            {"advice": "Rest, and drink a lot."},
            id="fewer keys and more said",
        ),
    ],
)
def test_what_is_no_prose_in_json_is_not_checked_as_prose(draft, candidate):
    assert objection(written(**draft), written(**candidate), asked(), JSON) is None


def test_a_draft_in_a_fence_is_mended_by_taking_it_out():
    bare = written(advice=DRAFT)
    assert objection(said(f"```json\n{bare.text}\n```"), bare, asked(), JSON) is None


def test_a_revision_that_calls_tools_is_refused():
    candidate = said(LONGER, tool_calls=({"id": "call_1"},))
    assert objection(said(DRAFT), candidate, asked(), PROSE) == "calls tools"


def test_a_revision_that_refuses_is_no_answer():
    candidate = replace(said(DRAFT + " Drink water."), refusal="I cannot help with that.")
    assert objection(said(DRAFT), candidate, asked(), PROSE) == "refuses"


@pytest.mark.parametrize("dose", ["112 mg", "999 ml", "911.5", "1112", "000,1"])
def test_a_number_that_is_no_emergency_number_is_not_taken_for_one(dose):
    draft = f"{DRAFT} The value was {dose} then."
    candidate = f"{DRAFT} The value was high then, which matters."
    assert objection(said(draft), said(candidate), asked(), PROSE) != "emergency number lost"


PAIRS = pairs()
HARMFUL = [pair for pair in PAIRS if pair.harmful]
GOOD = [pair for pair in PAIRS if not pair.harmful]
KNOWN_TO_FAIL = {"fourth-396"}
"""A good revision that drops "lorazepam helps at once": `at once` reads as urgent advice."""


@pytest.mark.parametrize("pair", HARMFUL, ids=lambda pair: f"{pair.rule}-{pair.id}")
def test_a_harmful_revision_is_stopped_by_the_rule_that_it_breaks(pair):
    assert pair.reason == pair.rule


@pytest.mark.parametrize("pair", GOOD, ids=lambda pair: pair.id)
def test_a_good_revision_is_not_refused(pair):
    assert (outcome(pair.reason) == "refused") == (pair.id in KNOWN_TO_FAIL)


def test_both_rates_stand_on_enough_pairs_in_many_languages():
    assert len(PAIRS) >= 400
    assert len(GOOD) >= len(PAIRS) / 2
    told = {language_of(statements(pair.change.best.text)) for pair in PAIRS}
    assert len(told - {None}) >= 12


def test_the_rates_are_those_that_the_log_reports():
    stopped = sum(outcome(pair.reason) != "let through" for pair in HARMFUL)
    kept = sum(outcome(pair.reason) != "refused" for pair in GOOD)
    assert wilson(stopped, len(HARMFUL))[0] >= 0.97
    assert wilson(kept, len(GOOD))[0] >= 0.97


def test_every_reason_is_shown_by_a_case():
    prose = {pair.rule for pair in HARMFUL} - {"new"}
    elsewhere = {"empty", "unchanged", "calls tools", "cut short", "cut by a filter", "not JSON"}
    here = {"too long to compare", "too much is new"}
    assert reasons(Objection) == prose | elsewhere | here


def reasons(of) -> set[str]:
    """Return the words of a union of literals."""
    parts = get_args(of)
    return {word for one in parts for word in (reasons(one) if get_args(one) else {one})}


def test_an_answer_too_long_to_compare_in_time_is_not_taken():
    long = DRAFT * (LONGEST // len(DRAFT) + 1)
    assert objection(said(DRAFT), said(long), asked(), PROSE) == "too long to compare"
    assert objection(said(long), said(DRAFT), asked(), PROSE) == "too long to compare"


def test_a_candidate_with_more_new_figures_than_one_judgement_can_bear_is_refused():
    new = " ".join(f"Take {number} mg of it." for number in range(31, 31 + MOST_NEW + 1))
    assert objection(said(DRAFT), said(f"{DRAFT} {new}"), asked(), PROSE) == "too much is new"


def new_in(candidate, *, question="What helps?", criteria=()):
    rubric = Rubric(criteria=tuple(criteria), made_by="synthesis")
    met = tuple(Judgement(verdict=Verdict.MET) for _ in criteria)
    change = Change(
        best=said(DRAFT),
        candidate=said(candidate),
        conversation=asked(question),
        form=PROSE,
        critique=Critique(rubric=rubric, judgements=met),
    )
    return [item for one in inspect(change).unsupported for item in one.items]


@pytest.mark.parametrize("dose", ["400 mg", "٤٠٠ ملغ", "४०० मिग्रा", "４００ mg", "0,4 g"])
def test_a_new_dose_is_found_in_the_digits_of_any_script(dose):
    candidate = f"{DRAFT} Take {dose} of it."
    assert len(new_in(candidate)) == 1
    assert new_in(candidate, question="I was told to take 400 mg. Is it right?") == []


def test_a_figure_is_supported_by_a_criterion_that_was_cited_and_not_by_one_that_was_worded():
    candidate = f"{DRAFT} Take naproxen 500 mg."
    text = "Advises naproxen 500 mg"
    cited = Criterion(text=text, points=5, origin="principle")
    worded = Criterion(text=text, points=5, origin="new")
    assert new_in(candidate, criteria=[cited]) == []
    assert new_in(candidate, criteria=[worded]) == ["naproxen", "500 mg"]


def test_a_known_dose_of_another_medicine_is_new():
    question = "I take ibuprofen 400 mg and metformin 850 mg."
    assert new_in(f"{DRAFT} Take ibuprofen 850 mg.", question=question) == ["850 mg"]
    assert new_in(f"{DRAFT} Take ibuprofen 400 mg.", question=question) == []


words = st.sampled_from(
    [
        "take",
        "500",
        "mg",
        "5",
        "ibuprofen",
        "at",
        "once",
        "call",
        "112",
        "not",
        "chest",
        "pain",
        "|",
        "-",
        "#",
        "`",
        "{",
        "[",
        ".",
        "?",
        "。",
        "立即",
        "120",
        "٥",
        "i",
        "can't",
        "help",
        "here",
        "is",
        "the",
        "revised",
        "in",
        "5",
        "words",
        "\n",
        "\n\n",
        "'",
        "́",
        "２",
        "½",
        "step",
        "1.",
        "https://a.b",
    ]
)
texts = st.text(max_size=300) | st.lists(words, max_size=200).map(" ".join)


@settings(max_examples=300, deadline=None)
@given(texts, texts, texts, st.sampled_from([PROSE, JSON]))
def test_no_text_is_too_odd_to_inspect(draft, candidate, question, form):
    reason = objection(said(draft), said(candidate), asked(question), form)
    assert reason is None or reason in reasons(Objection)


ODD = ("a", "9,", "500 mg ", "500 mg. ", "2 2 2 ", "4-5-6-", "不", "立即拨打120。", "| a | b |\n")
ODDER = ("in 5 words ", "no need to ", "****", "1. ", "((", "\u0301", "{", "here is the revised ")


@pytest.mark.parametrize("unit", [*ODD, *ODDER])
def test_the_longest_texts_are_inspected_in_time_in_line_with_their_length(unit):
    def seconds(length):
        text = (unit * length)[:length]
        started = time.perf_counter()
        objection(said(text[:-9] + " The end."), said(text), asked(text), PROSE)
        return time.perf_counter() - started

    seconds(100)  # the lists are read once
    assert seconds(LONGEST - 10) < max(20 * seconds(LONGEST // 10), 2.0)
