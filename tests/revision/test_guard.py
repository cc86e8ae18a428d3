"""The checks that a candidate passes before a judge sees it."""

import json
from dataclasses import replace

import pytest

from models.messages import Completion, Message
from revision.change import Change
from revision.conversation import Conversation
from revision.form import AnswerForm
from revision.guard import inspect

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
def test_a_number_that_is_no_emergency_number_may_go(dose):
    draft = f"{DRAFT} The value was {dose} then."
    candidate = f"{DRAFT} The value was high then, which matters."
    assert objection(said(draft), said(candidate), asked(), PROSE) is None


def test_a_revision_that_a_filter_cut_is_refused_unless_the_draft_was_too():
    cut = said("Rest in a dark room and drink water.", "content_filter")
    whole = said("Rest in a dark room.")
    assert objection(whole, cut, asked(), PROSE) == "cut by a filter"
    draft = said("Rest in a dark room", "content_filter")
    assert objection(draft, cut, asked(), PROSE) is None
