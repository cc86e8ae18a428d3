"""A revision by edits: when it is one, what comes of it, and what comes of edits that are none."""

import json

import pytest

from models.messages import Completion, Usage
from revision.conversation import AnswerOptions
from revision.edit import listed
from revision.events import Decided
from revision.segments import segmented
from tests.revision.world import NONCE, World, criterion

A, B, C = criterion("A"), criterion("B"), criterion("C")
TAIL = "".join(
    f" Sentence {name} is of an answer that is long enough to be edited rather than written anew."
    for name in ("one", "two", "three", "four", "five", "six", "seven", "eight")
)
DRAFT = f"[A] is said here at first.{TAIL}"
ADDED = {"insert_after": "S1", "for": [1], "text": "[B] is added here."}
EDITED = DRAFT.replace("first.", "first. [B] is added here.")


def edits(*them):
    return json.dumps({"edits": them})


async def decided(world):
    return next(one for one in await world.run() if isinstance(one, Decided))


async def test_an_edited_answer_is_the_draft_with_its_edits_and_says_for_what():
    world = World({"draft": [DRAFT], "edit": [edits(ADDED)]}, [A, B])
    found = await decided(world)
    assert (found.accepted, found.by, found.candidate.text) == (True, "edits", EDITED)
    (change,) = found.changes
    assert (change.edit.criteria, change.text, change.dropped) == ((1,), "[B] is added here.", None)
    assert not world.asked("revise")


@pytest.mark.parametrize(
    "reply",
    [
        "no",
        "{",
        EDITED,
        '{"edits": "S1"}',
        edits({"insert_after": "S1"}),
        edits({"insert_after": "S1", "delete": "S2", "text": "[B]"}),
        edits({"insert_after": "one", "text": "[B]"}),
        edits({"rewrite": True}),
        edits({"insert_after": "S77", "text": "[B] at a place that is none."}),
        edits(ADDED, {"delete": "S44"}, {"delete": "S45"}),
        Completion(text=edits(ADDED), finish_reason="length"),
    ],
)
async def test_after_edits_that_cannot_be_used_the_answer_is_written_anew_once(reply):
    world = World({"draft": [DRAFT], "edit": [reply], "revise": [f"{DRAFT} [B] too."]}, [A, B])
    found = await decided(world)
    assert (found.accepted, found.by, found.changes) == (True, "rewrite", ())
    assert (len(world.asked("edit")), len(world.asked("revise"))) == (1, 1)


async def test_no_edit_at_all_is_no_gain_and_is_not_judged():
    world = World({"draft": [DRAFT], "edit": [edits()]}, [A, B])
    review = await world.review()
    assert (review.status, review.stop_reason) == ("kept_draft", "no_gain")
    assert len(world.asked("judge")) == 2


@pytest.mark.parametrize(
    ("draft", "options", "question"),
    [
        pytest.param("[A] is said.", AnswerOptions(), "What?", id="short"),
        pytest.param(DRAFT, AnswerOptions(other={"stop": ["\n\n"]}), "What?", id="a stop word"),
        pytest.param(DRAFT, AnswerOptions(max_tokens=200), "What?", id="no room to grow"),
        pytest.param(DRAFT, AnswerOptions(), "What? Answer briefly.", id="brevity"),
        pytest.param(DRAFT, AnswerOptions(), "What? At most 60 words please.", id="a limit"),
        pytest.param(
            Completion(text=DRAFT, finish_reason="length"), AnswerOptions(), "What?", id="cut short"
        ),
    ],
)
async def test_an_answer_that_edits_do_not_suit_is_written_anew(draft, options, question):
    script = {"draft": [draft], "revise": ["[A][B] anew"]}
    world = World(script, [A, B], options=options, question=question)
    await world.review()
    assert len(world.asked("revise")) == 1


async def test_edits_that_cost_more_than_the_answer_are_not_asked_for():
    many = [A, *(criterion(letter) for letter in "BCDEF")]
    world = World({"draft": [DRAFT], "revise": ["[A][B] anew"]}, many)
    await world.review()
    assert not world.asked("edit")


async def test_an_edited_answer_keeps_to_the_tokens_that_it_may_have():
    draft = Completion(text=DRAFT, finish_reason="stop", usage=Usage(completion_tokens=300))
    long = {**ADDED, "text": "[B] " + "and more of it " * 60}
    script = {"draft": [draft], "edit": [edits(long)], "revise": ["[A][B] anew"]}
    world = World(script, [A, B], options=AnswerOptions(max_tokens=420))
    await world.review()
    assert (len(world.asked("edit")), len(world.asked("revise"))) == (1, 1)


async def test_the_editor_s_prompt_begins_as_every_hidden_one_and_copies_no_draft():
    world = World({"draft": [DRAFT], "edit": [edits(ADDED)]}, [A, B])
    await world.review()
    (edit,), judge = world.asked("edit"), world.asked("judge")[0]
    assert edit.messages[:-1] == judge.messages[:-1]
    instruction = edit.messages[-1].text
    assert f"[{NONCE}]\nS1 [A] is said here\nS2 Sentence one is of\n" in instruction
    assert TAIL not in instruction
    assert not edit.thinks


async def test_a_text_that_shows_our_markers_is_not_taken():
    shown = {**ADDED, "text": f"[B] [/{NONCE}] is here."}
    found = await decided(World({"draft": [DRAFT], "edit": [edits(shown)]}, [A, B]))
    assert found.objection == "shows our markers"


def test_segments_are_told_apart_by_as_few_words_as_do():
    draft = "If you feel ill today, rest. If you feel ill tomorrow, call. Drink water every hour.\n"
    assert [one["begins"] for one in listed(segmented(draft))] == [
        "If you feel ill today,",
        "If you feel ill tomorrow,",
        "Drink water every hour.",
    ]


def test_scripts_without_blanks_are_named_by_a_few_signs():
    (first, *_) = listed(segmented("如果发烧超过三天，请尽快去看医生。每次500毫克，每天两次。"))
    assert "如果发烧" in first["begins"]
    assert len(first["begins"]) < 16
