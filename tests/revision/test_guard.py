"""The checks that a candidate passes before a judge sees it."""

import pytest

from models.messages import Completion, Message
from revision.conversation import AnswerOptions, Conversation
from revision.guard import objection

DRAFT = "Rest, drink enough, and take paracetamol if it hurts. See a doctor if it gets worse."
RUSSIAN = "Отдыхайте и пейте достаточно воды. Идите к врачу, если станет хуже, и не ждите долго."
LONGER = DRAFT + " Call 112 at once if you cannot breathe."


def said(text, finish_reason="stop", **more):
    return Completion(text=text, finish_reason=finish_reason, **more)


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
    assert objection(said(draft), said(candidate), asked(), AnswerOptions()) == reason


@pytest.mark.parametrize(
    "candidate",
    [
        LONGER,
        DRAFT.replace("paracetamol", "ibuprofen"),
        "Here is what helps: rest, enough to drink, and paracetamol. See a doctor if it is worse.",
    ],
)
def test_an_honest_revision_passes(candidate):
    assert objection(said(DRAFT), said(candidate), asked(), AnswerOptions()) is None


def test_a_short_revision_passes_where_brevity_was_asked_for():
    assert objection(said(DRAFT), said("Rest."), asked("Briefly?"), AnswerOptions()) is None


def test_a_truncated_revision_is_refused_unless_the_draft_was_truncated_too():
    cut = said(LONGER, "length")
    assert objection(said(DRAFT), cut, asked(), AnswerOptions()) == "cut short"
    assert objection(said(DRAFT, "length"), cut, asked(), AnswerOptions()) is None


def test_an_answer_that_must_be_json_stays_json():
    options = AnswerOptions(other={"response_format": {"type": "json_object"}})
    draft = said('{"advice": "rest and drink"}')
    assert objection(draft, said("Rest, and drink enough."), asked(), options) == "not JSON"
    better = said('{"advice": "rest, drink, see a doctor"}')
    assert objection(draft, better, asked(), options) is None


def test_a_revision_that_calls_tools_is_refused():
    candidate = said(LONGER, tool_calls=({"id": "call_1"},))
    assert objection(said(DRAFT), candidate, asked(), AnswerOptions()) == "calls tools"


@pytest.mark.parametrize("dose", ["112 mg", "999 ml", "911.5", "1112", "000,1"])
def test_a_number_that_is_no_emergency_number_may_go(dose):
    draft = f"{DRAFT} The value was {dose} then."
    candidate = f"{DRAFT} The value was high then, which matters."
    assert objection(said(draft), said(candidate), asked(), AnswerOptions()) is None


def test_a_revision_that_a_filter_cut_is_refused_unless_the_draft_was_too():
    cut = said("Rest in a dark room and drink water.", "content_filter")
    whole = said("Rest in a dark room.")
    assert objection(whole, cut, asked(), AnswerOptions()) == "cut by a filter"
    draft = said("Rest in a dark room", "content_filter")
    assert objection(draft, cut, asked(), AnswerOptions()) is None
