"""The loop: every status, every stop reason, and the rules of acceptance."""

import asyncio

import pytest

from models.errors import ModelRejected, ModelUnavailable
from models.messages import Completion
from retrieval.errors import IndexMissing
from revision.conversation import AnswerOptions
from revision.errors import DeadlinePassed, EmptyDraft
from revision.events import Decided, StageBegan
from tests.revision.world import FixedRetriever, World, criterion, honest, leaning, verdict

A, B, C = criterion("A"), criterion("B"), criterion("C")
DOWN = ModelUnavailable("down")


def cut(text):
    return Completion(text=text, finish_reason="length")


TOOLS = Completion(text="", finish_reason="tool_calls", tool_calls=({"id": "call_1"},))


@pytest.mark.parametrize(
    ("script", "criteria", "expected"),
    [
        pytest.param(
            {"draft": ["[A][B] all"]}, [A, B], ("clean", "all_met", "[A][B] all", 0), id="clean"
        ),
        pytest.param(
            {"draft": ["[A] part"], "revise": ["[A][B] both"]},
            [A, B],
            ("revised", "all_met", "[A][B] both", 1),
            id="revised to all met",
        ),
        pytest.param(
            {"draft": ["[A] part"], "revise": ["[A][B] more"]},
            [A, B, C],
            ("revised", "max_rounds", "[A][B] more", 1),
            id="revised as far as rounds go",
        ),
        pytest.param(
            {"draft": ["[A] part"], "revise": ["[A] other words"]},
            [A, B],
            ("kept_draft", "no_gain", "[A] part", 1),
            id="no gain",
        ),
        pytest.param(
            {"draft": ["[A] part"], "revise": ["[B][C] lost one"]},
            [A, B, C],
            ("kept_draft", "no_gain", "[A] part", 1),
            id="two won do not pay for one lost",
        ),
        pytest.param(
            {"draft": ["[A] part"], "revise": [DOWN]},
            [A, B],
            ("kept_draft", "model_error", "[A] part", 1),
            id="revise fails",
        ),
        pytest.param(
            {"draft": ["[A] part"], "revise": [cut("[A][B] cut off")]},
            [A, B],
            ("kept_draft", "no_gain", "[A] part", 1),
            id="a truncated revision is not taken",
        ),
        pytest.param(
            {"draft": ["[A] part"], "judge": [DOWN, DOWN]},
            [A, B],
            ("unreviewed", "model_error", "[A] part", 0),
            id="no verdict at all",
        ),
        pytest.param(
            {"draft": ["[A] part"], "judge": [verdict(0.9), DOWN]},
            [A, B],
            ("unreviewed", "model_error", "[A] part", 0),
            id="one verdict missing",
        ),
        pytest.param(
            {"draft": ["[A] part"], "judge": lambda _: "maybe", "judge-retry": lambda _: "pass"},
            [A, B],
            ("unreviewed", "unparsable", "[A] part", 0),
            id="verdicts that say neither",
        ),
        pytest.param(
            {"draft": ["[A] part"], "judge": leaning({"B": 0.5})},
            [A, B],
            ("kept_draft", "no_gain", "[A] part", 0),
            id="unclear alone triggers nothing",
        ),
        pytest.param(
            {"draft": [TOOLS]}, [A], ("off", "bypass", "", 0), id="a draft that calls tools"
        ),
    ],
)
async def test_a_review_ends_as_what_happened(script, criteria, expected):
    review = await World(script, criteria).review()
    assert (
        review.status,
        review.stop_reason,
        review.best.answer.text,
        review.rounds,
    ) == expected
    assert review.changed == (review.status == "revised")


async def test_draft_mode_reviews_nothing_and_makes_one_call():
    world = World({"draft": ["plain"]}, [A], mode="draft")
    review = await world.review()
    assert (review.status, review.stop_reason) == ("off", "off")
    assert [call.step for call in world.model.calls] == ["draft"]


async def test_without_principles_the_draft_goes_out_unreviewed():
    retriever = FixedRetriever((), error=IndexMissing("gone"))
    review = await World({"draft": ["plain"]}, [A], retriever=retriever).review()
    assert (review.status, review.stop_reason) == ("unreviewed", "model_error")
    assert review.rubric is None


async def test_a_failing_draft_is_the_only_fatal_thing():
    with pytest.raises(ModelUnavailable):
        await World({"draft": [DOWN]}, [A]).review()


async def test_an_empty_draft_is_asked_for_again_once():
    review = await World({"draft": [" ", "[A] words"]}, [A]).review()
    assert review.best.answer.text == "[A] words"
    with pytest.raises(EmptyDraft):
        await World({"draft": ["", "\n"]}, [A]).review()


async def test_an_empty_draft_is_asked_for_again_with_another_seed():
    options = AnswerOptions(seed=5)
    world = World({"draft": [" ", "[A] words"]}, [A], options=options, seed=5)
    await world.run()
    first, second = (call.seed for call in world.asked("draft"))
    assert first == 5
    assert second not in {None, 5}


async def test_a_critical_criterion_is_never_lost():
    criteria = [criterion("A", points=1, critical=True), criterion("B", points=10)]
    world = World({"draft": ["[A] safe"], "revise": ["[B] worth more"]}, criteria)
    review = await world.review()
    assert (review.status, review.best.answer.text) == ("kept_draft", "[A] safe")


async def test_a_verdict_that_turns_unclear_counts_as_lost():
    def judge(call):
        if "[B]" in call.messages[-2].text and "Says A" in call.messages[-1].text:
            return verdict(0.5)
        return honest(call)

    world = World({"draft": ["[A] one"], "revise": ["[A][B] two"], "judge": judge}, [A, B])
    assert (await world.review()).status == "kept_draft"


async def test_a_prohibition_is_asked_as_presence_and_inverted():
    criteria = [A, criterion("X", forbid=True)]
    review = await World({"draft": ["[A][X] harm"], "revise": ["[A] no harm."]}, criteria).review()
    assert review.draft.critique.score == 0.5
    assert (review.status, review.best.critique.score) == ("revised", 1.0)


async def test_a_candidate_that_cannot_be_judged_is_not_taken():
    calls = iter([verdict(0.9), verdict(0.1), verdict(0.9), DOWN])

    def judge(_):
        line = next(calls)
        if isinstance(line, Exception):
            raise line
        return line

    world = World({"draft": ["[A] one"], "revise": ["[A][B] two"], "judge": judge}, [A, B])
    review = await world.review()
    assert (review.status, review.stop_reason) == ("kept_draft", "model_error")


async def test_a_revision_stays_accepted_when_the_next_round_fails():
    script = {"draft": ["[A] one"], "revise": ["[A][B] two", DOWN]}
    world = World(script, [A, B, C], mode="standard", rounds=2)
    world.script["rubric"] = lambda _: "no rubric"
    review = await world.review()
    assert (review.status, review.stop_reason, review.rounds) == ("revised", "model_error", 2)
    assert review.best.answer.text == "[A][B] two"


async def test_the_re_check_knows_neither_critique_nor_earlier_verdicts():
    finding = '{"findings": [{"number": 1, "problem": "SECRETPROBLEM", "remedy": "SECRETREMEDY"}]}'
    script = {
        "draft": ["[A] one"],
        "rubric": lambda _: "no rubric",
        "critique": [finding],
        "revise": ["[A][B] two"],
    }
    world = World(script, [A, B], mode="standard")
    assert (await world.review()).status == "revised"
    assert "SECRETREMEDY" in world.asked("revise")[0].messages[-1].text
    judged = [turn.text for call in world.asked("judge") for turn in call.messages]
    assert not any("SECRET" in text for text in judged)
    assert not any(
        "[A] one" in turn.text for call in world.asked("judge")[2:] for turn in call.messages
    )


async def test_the_rubric_is_made_without_the_draft():
    def slow_rubric(_):
        return '{"keep": ["c1"], "new": []}'

    world = World({"draft": ["[A] DRAFTWORDS"], "rubric": slow_rubric}, [A], mode="standard")
    await world.review()
    seen = [turn.text for call in world.asked("rubric") for turn in call.messages]
    assert seen
    assert not any("DRAFTWORDS" in text for text in seen)


async def test_fast_mode_makes_no_rubric_call_and_takes_one_round_at_most():
    world = World({"draft": ["[A]."], "revise": ["[A][B]."]}, [A, B, C], mode="fast", rounds=3)
    review = await world.review()
    assert review.rounds == 1
    assert not world.asked("rubric")
    assert not world.asked("critique")


async def test_thorough_takes_the_merge_as_a_candidate_like_any_other():
    script = {
        "draft": ["[A] first"],
        "draft-2": ["[B] second"],
        "draft-3": ["[C] third"],
        "rubric": lambda _: "none",
        "merge": ["[A][B][C] merged"],
    }
    review = await World(script, [A, B, C], mode="thorough").review()
    assert (review.status, review.stop_reason, review.rounds) == ("revised", "all_met", 1)
    assert review.draft.answer.text == "[A] first"


async def test_a_rejected_merge_leaves_the_critique_its_turn():
    script = {
        "draft": ["[A] first"],
        "draft-2": [DOWN],
        "draft-3": ["[C] third"],
        "rubric": lambda _: "none",
        "merge": ["[C] has lost A"],
        "revise": ["[A][C] mended"],
    }
    review = await World(script, [A, C], mode="thorough").review()
    assert (review.status, review.rounds) == ("revised", 2)


async def test_in_an_emergency_urgent_advice_that_stands_goes_out_at_once():
    criteria = [criterion("A", critical=True), criterion("B")]
    world = World({"draft": ["[A] call now"]}, criteria, urgent=True)
    review = await world.review()
    assert (review.status, review.stop_reason, review.rounds) == ("kept_draft", "max_rounds", 0)
    assert world.asked("judge")[0].messages[-1].text.count("Says A")


async def test_in_an_emergency_missing_urgent_advice_is_added():
    criteria = [criterion("A", critical=True), criterion("B")]
    script = {"draft": ["[B] tips"], "revise": ["[A][B] call now"]}
    review = await World(script, criteria, urgent=True).review()
    assert review.status == "revised"


async def test_the_deadline_returns_the_draft():
    world = World({"draft": ["[A] one"]}, [A, B], deadline_s=0.2)
    real = world.model.complete

    async def complete(call):
        if call.step == "judge":
            await asyncio.sleep(60)
        return await real(call)

    world.model.complete = complete
    review = await world.review()
    assert (review.status, review.stop_reason) == ("unreviewed", "deadline")


async def test_a_deadline_before_the_draft_is_an_error():
    world = World({}, [A], deadline_s=0.05)

    async def complete(_):
        await asyncio.sleep(60)

    world.model.complete = complete
    with pytest.raises(DeadlinePassed):
        await world.review()


async def test_events_tell_the_story_in_order():
    world = World({"draft": ["[A] one"], "revise": ["[A][B] two"]}, [A, B])
    told = [
        event.stage if isinstance(event, StageBegan) else type(event).__name__
        for event in await world.run()
    ]
    assert set(told[:5]) == {"draft", "retrieve", "Found", "RubricReady", "Drafted"}
    then = "critique Critiqued revise Explained recheck Critiqued Decided Stopped"
    assert told[5:] == then.split()


async def test_a_loop_that_is_closed_cancels_the_call_in_flight():
    world = World({}, [A])
    cancelled = asyncio.Event()

    async def complete(_):
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.set()
            raise

    world.model.complete = complete
    task = asyncio.create_task(world.run())
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert cancelled.is_set()


async def test_a_given_answer_is_judged_and_costs_no_draft():
    world = World({"revise": ["[A][B] better"]}, [A, B], given="[A] mine")
    review = await world.review()
    assert (review.status, review.draft.answer.text) == ("revised", "[A] mine")
    assert not world.asked("draft")


async def test_usage_is_the_sum_of_every_call():
    world = World({"draft": ["[A] one"], "revise": ["[A][B] two"]}, [A, B])
    await world.run()
    records = world.calls.records
    assert len(records) == len(world.model.calls) == 1 + 2 + 1 + 2
    assert sum(record.usage.completion_tokens for record in records) == 2 + 2 * 2 + 2


async def test_a_spare_draft_saves_a_request_whose_first_draft_fails():
    script = {"draft": [DOWN], "draft-2": ["[A] spare"], "draft-3": [DOWN], "rubric": lambda _: "-"}
    review = await World(script, [A], mode="thorough").review()
    assert (review.status, review.best.answer.text) == ("clean", "[A] spare")


SCHEMA = {
    "type": "object",
    "properties": {"advice": {"type": "string"}},
    "required": ["advice"],
    "additionalProperties": False,
}


def as_schema(schema):
    wanted = {"type": "json_schema", "json_schema": {"name": "advice", "schema": schema}}
    return AnswerOptions(other={"response_format": wanted})


def advice(said):
    return f'{{"advice": "{said}"}}'


FORMS = {
    "a draft that fits and meets all": (
        {"draft": [advice("[A][B]")]},
        ("clean", "all_met", advice("[A][B]"), 0),
    ),
    "a better one that fits": (
        {"draft": [advice("[A]")], "revise": [advice("[A][B]")]},
        ("revised", "all_met", advice("[A][B]"), 1),
    ),
    "a better one that is no JSON": (
        {"draft": [advice("[A]")], "revise": ["[A][B] rest."]},
        ("kept_draft", "no_gain", advice("[A]"), 1),
    ),
    "a better one that breaks the schema": (
        {"draft": [advice("[A]")], "revise": ['{"said": "[A][B]"}']},
        ("kept_draft", "no_gain", advice("[A]"), 1),
    ),
    "a draft that breaks the schema, mended with nothing else to gain": (
        {"draft": ['{"said": "[A][B]"}'], "revise": [advice("[A][B]")]},
        ("revised", "all_met", advice("[A][B]"), 1),
    ),
    "a draft in a fence, taken out of it": (
        {"draft": [f"```json\n{advice('[A][B]')}\n```"], "revise": [advice("[A][B]")]},
        ("revised", "all_met", advice("[A][B]"), 1),
    ),
    "a draft that breaks the schema, mended at the cost of a criterion": (
        {"draft": ['{"said": "[A][B]"}'], "revise": [advice("[A] and more")]},
        ("kept_draft", "no_gain", '{"said": "[A][B]"}', 1),
    ),
    "a draft that breaks the schema, and so does what is better": (
        {"draft": ['{"said": "[A]"}'], "revise": ['{"say": "[A][B]"}']},
        ("kept_draft", "no_gain", '{"said": "[A]"}', 1),
    ),
    "a draft that meets all in a wrong form is not clean": (
        {"draft": ["[A][B] rest."], "revise": [DOWN]},
        ("kept_draft", "model_error", "[A][B] rest.", 1),
    ),
}


@pytest.mark.parametrize(("script", "expected"), FORMS.values(), ids=FORMS)
async def test_an_answer_keeps_or_gains_the_form_that_was_asked_for(script, expected):
    review = await World(script, [A, B], options=as_schema(SCHEMA)).review()
    told = (review.status, review.stop_reason, review.best.answer.text, review.rounds)
    assert told == expected


async def test_without_a_round_a_draft_in_a_wrong_form_is_kept_and_not_clean():
    review = await World({"draft": ["[A]."]}, [A], rounds=0, options=as_schema(SCHEMA)).review()
    assert (review.status, review.stop_reason) == ("kept_draft", "max_rounds")


async def test_a_schema_that_cannot_be_checked_lets_the_draft_stand_as_it_was_judged():
    remote = as_schema({"$ref": "http://127.0.0.1:9/schema"})
    assert (await World({"draft": [advice("[A]")]}, [A], options=remote).review()).status == "clean"
    world = World({"draft": [advice("[A]")], "revise": [advice("[A][B]")]}, [A, B], options=remote)
    decided = [event for event in await world.run() if isinstance(event, Decided)]
    assert [one.objection for one in decided] == ["cannot be checked"]


async def test_a_form_alone_is_mended_without_a_written_critique():
    script = {"draft": ["[A]."], "revise": [advice("[A]")], "rubric": lambda _: "no rubric"}
    world = World(script, [A], mode="standard", options=as_schema(SCHEMA))
    assert (await world.review()).status == "revised"
    assert not world.asked("critique")
    assert "the one above is not" in world.asked("revise")[0].messages[-1].text


async def test_urgent_advice_that_a_program_cannot_read_does_not_stand():
    criteria = [criterion("A", critical=True), criterion("B")]
    script = {"draft": ["[A] call."], "revise": [advice("[A] call")]}
    review = await World(script, criteria, urgent=True, options=as_schema(SCHEMA)).review()
    assert (review.status, review.best.answer.text) == ("revised", advice("[A] call"))


async def test_a_merge_has_the_form_or_is_not_taken():
    script = {
        "draft": [advice("[A]")],
        "draft-2": [advice("[B]")],
        "draft-3": [DOWN],
        "rubric": lambda _: "none",
        "merge": [f"```json\n{advice('[A][B]')}\n```"],
        "revise": [advice("[A][B]")],
    }
    world = World(script, [A, B], mode="thorough", options=as_schema(SCHEMA))
    review = await world.review()
    assert (review.status, review.rounds) == ("revised", 2)
    assert review.best.answer.text == advice("[A][B]")
    assert "must be JSON" in world.asked("merge")[0].messages[-1].text


async def test_a_gain_within_the_judge_s_noise_leaves_the_draft():
    odds = iter([0.59, 0.01, 0.61, 0.01])
    world = World(
        {"draft": ["[A]"], "revise": ["[A][B]"], "judge": lambda _: verdict(next(odds))},
        [criterion("A"), criterion("B")],
    )
    review = await world.review()
    assert (review.status, review.stop_reason) == ("kept_draft", "no_gain")
    assert review.best.answer.text == "[A]"


@pytest.mark.parametrize("error", [DOWN, ModelRejected("refused", status=400)])
async def test_a_merge_that_fails_leaves_the_round_to_the_critique(error):
    script = {
        "draft": ["[A] first"],
        "draft-2": ["[B] second"],
        "draft-3": ["[C] third"],
        "rubric": lambda _: "none",
        "merge": [error],
        "revise": ["[A][C] mended"],
    }
    world = World(script, [A, C], mode="thorough")
    review = await world.review()
    assert (review.status, review.stop_reason, review.rounds) == ("revised", "all_met", 1)
    assert len(world.asked("critique")) == 1


@pytest.mark.parametrize("error", [DOWN, ModelRejected("refused", status=400)])
async def test_a_written_critique_that_fails_costs_no_revision(error):
    script = {
        "draft": ["[A] first"],
        "rubric": lambda _: "none",
        "critique": [error],
        "revise": ["[A][C] mended"],
    }
    review = await World(script, [A, C], mode="standard").review()
    assert (review.status, review.best.answer.text) == ("revised", "[A][C] mended")
