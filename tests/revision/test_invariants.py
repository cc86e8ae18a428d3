"""The loop under every mixture of good and bad behaviour: what must always hold.

The invariants are those of a loop that people rely on: an answer once had is never lost, a
verdict that was never given never counts, and the cost is bounded.
"""

import asyncio
import json

import jsonschema_rs
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import ModelError, ModelTimeout, ModelUnavailable
from models.messages import Completion
from revision.conversation import AnswerOptions
from revision.errors import RevisionError
from revision.review import Review
from tests.revision.world import World, criterion, honest, verdict

LETTERS = "ABCD"
STATUSES = {"clean", "revised", "kept_draft", "unreviewed", "off"}

LONG = "".join(
    f" Sentence {name} of a long answer is here so that it is edited rather than written anew."
    for name in ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
)
answers = st.builds(
    lambda said, dose, tail: (
        " ".join(f"[{letter}]" for letter in sorted(said)) + f" Take {dose}.{tail}"
    ),
    st.sets(st.sampled_from(LETTERS)),
    st.sampled_from(["care", "care", "care", "5 mg", "7 mg", "one day off"]),
    st.sampled_from(["", LONG]),
)
edit_lists = st.lists(
    st.one_of(
        st.builds(
            lambda place, text: {"insert_after": f"S{place}", "for": [1], "text": text},
            st.integers(0, 4),
            answers,
        ),
        st.builds(
            lambda place, text: {"replace": f"S{place}", "for": [1, 9], "text": text},
            st.integers(0, 4),
            answers,
        ),
        st.builds(lambda place: {"delete": f"S{place}", "for": []}, st.integers(0, 14)),
        st.just({"move": "S2-S3", "after": "S0", "for": [2]}),
        st.just({"rewrite": True}),
        st.just({"insert_after": "S1"}),
    ),
    max_size=3,
).map(lambda edits: json.dumps({"edits": edits}))
faults = st.sampled_from([ModelUnavailable("down"), ModelTimeout("late")])
garbage = st.sampled_from(["", "   ", "no", "{", '{"findings": 3}', "null", "[1]", '{"keep": "x"}'])
cut_short = answers.map(lambda text: Completion(text=text, finish_reason="length"))
written = st.one_of(answers, answers, answers, cut_short, garbage, faults)
hidden = st.one_of(
    garbage,
    faults,
    st.just('{"keep": ["c1", "c2", "c9"], "new": []}'),
    st.just('{"findings": [{"number": 1, "problem": "p", "remedy": "r"}]}'),
)
judged = st.one_of(
    st.floats(0, 1).map(verdict), st.just("honest"), st.just("honest"), st.just("perhaps"), faults
)
alone = st.one_of(st.floats(0, 1).map(verdict), st.just(verdict(0.9)), st.just("perhaps"), faults)
retried = st.sampled_from(['{"verdict": "yes"}', '{"verdict": "no"}', "{}", "yes"])


@st.composite
def worlds(draw):
    """Draw a script for every step, a rubric and a mode."""
    pool = {
        "draft": draw(st.lists(written, min_size=2, max_size=2)),
        "draft-2": draw(st.lists(written, min_size=2, max_size=2)),
        "draft-3": draw(st.lists(written, min_size=2, max_size=2)),
        "merge": [draw(written)],
        "revise": draw(st.lists(written, min_size=3, max_size=3)),
        "edit": draw(st.lists(st.one_of(edit_lists, edit_lists, hidden), min_size=3, max_size=3)),
        "rubric": draw(st.lists(hidden, min_size=2, max_size=2)),
        "critique": draw(st.lists(hidden, min_size=6, max_size=6)),
        "judge-retry": draw(st.lists(retried, min_size=32, max_size=32)),
        "alone": draw(st.lists(alone, min_size=3, max_size=3)),
        "alone-retry": draw(st.lists(retried, min_size=3, max_size=3)),
    }
    verdicts = draw(st.lists(judged, min_size=4, max_size=16))
    turn = iter(range(10_000))

    def judge(call):
        line = verdicts[next(turn) % len(verdicts)]
        if isinstance(line, Exception):
            raise line
        return honest(call) if line == "honest" else line

    criteria = [
        criterion(
            letter,
            points=draw(st.integers(1, 10)),
            forbid=draw(st.booleans()),
            critical=draw(st.booleans()),
        )
        for letter in LETTERS
    ]
    return World(
        {**pool, "judge": judge},
        criteria,
        mode=draw(st.sampled_from(["draft", "fast", "standard", "thorough"])),
        rounds=draw(st.integers(0, 3)),
        urgent=draw(st.booleans()),
    )


def run(world: World) -> Review | None:
    """Run the world; None when there was no draft to be had."""
    try:
        return asyncio.run(world.review())
    except (ModelError, RevisionError):
        return None


@settings(max_examples=300)
@given(worlds())
def test_the_loop_keeps_its_promises(world):
    review = run(world)
    usable = [
        record for record in world.calls.records if record.step == "draft" and record.error is None
    ]
    if review is None:
        # I5: only a draft that could not be had is an error.
        assert not any(is_had(world.script[step]) for step in drafting(world))
        return
    assert any(is_had(world.script[step]) for step in drafting(world))

    # I1: never an empty answer.
    assert review.best.answer.text.strip()
    assert usable
    assert review.status in STATUSES

    # I4: the answer is the draft, or a candidate that was judged and found better.
    draft, best = review.draft, review.best
    if review.changed:
        assert draft.critique.complete
        assert best.critique.complete
        assert best.critique.met > draft.critique.met
        assert best.critique.score > draft.critique.score
        lost = [
            number
            for number, one in enumerate(review.rubric.criteria)
            if one.critical and number in draft.critique.met and number not in best.critique.met
        ]
        assert not lost
    else:
        assert best.answer is draft.answer

    # I9: nothing passes for reviewed without a valid critique of the draft.
    if review.status in {"clean", "revised", "kept_draft"}:
        assert draft.critique.complete
    if review.status == "clean":
        assert draft.critique.all_met
        assert review.stop_reason == "all_met"
    assert review.changed == (review.status == "revised")

    # I2: the bound on hidden calls, from the design: one retry a step included.
    assert len(world.model.calls) <= bound(world, review)

    # I6: usage is what the calls have cost, no more and no less.
    assert len(world.calls.records) == len(world.model.calls)


def drafting(world: World) -> list[str]:
    return ["draft", "draft-2", "draft-3"][: world.policy.drafts]


def is_had(lines) -> bool:
    """Whether a draft comes of these replies: the first, or the second if the first is empty."""
    texts = [getattr(line, "text", line) for line in lines]
    first, second = (isinstance(text, str) and bool(text.strip()) for text in texts)
    return first or (isinstance(texts[0], str) and second)


def bound(world: World, review: Review) -> int:
    drafts, rounds = world.policy.drafts, review.rounds
    criteria = len(review.rubric.criteria) if review.rubric else 0
    # Drafts, a merge, a restatement, a scenario, a rubric; then what each judging and round takes.
    once = drafts + 4 + (1 + rounds) * (criteria + 1) + rounds
    retries = drafts + 1 + (1 + rounds) * (criteria + 1) + rounds
    return once + retries


SCHEMA = {
    "type": "object",
    "properties": {
        "advice": {"type": "string"},
        "urgency": {"enum": ["low", "high"]},
        "next": {"$ref": "#"},
    },
    "required": ["advice", "urgency"],
    "additionalProperties": False,
}
fields = st.fixed_dictionaries(
    {"advice": answers | answers | st.none()},
    optional={
        "urgency": st.sampled_from(["low", "high", "middling"]),
        "next": st.just({"advice": "Rest.", "urgency": "low"}) | st.just({}),
        "more": st.booleans(),
    },
)
fitting = st.builds(
    lambda said, urgency: json.dumps({"advice": said, "urgency": urgency}),
    answers,
    st.sampled_from(["low", "high"]),
)
spoilt = st.one_of(
    fields.map(json.dumps),
    fields.map(json.dumps),
    fields.map(json.dumps),
    fields.map(lambda value: json.dumps([value])),
    fitting.map(lambda text: f"```json\n{text}\n```"),
    fitting.map(lambda text: text[:-1]),
    fitting.map(lambda text: text[:-1] + ', "urgency": "low"}'),
    answers,
)
formed = st.one_of(fitting, spoilt)


@settings(max_examples=60, deadline=None)
@given(st.lists(formed, min_size=7, max_size=7), st.sampled_from(["fast", "standard", "thorough"]))
def test_an_answer_that_was_revised_matches_the_schema_whatever_the_model_gives(lines, mode):
    wanted = {"type": "json_schema", "json_schema": {"name": "advice", "schema": SCHEMA}}
    script = {
        "draft": lines[:1],
        "draft-2": lines[1:2],
        "draft-3": lines[2:3],
        "merge": lines[3:4],
        "revise": lines[4:],
        "rubric": lambda _: "none",
    }
    options = AnswerOptions(other={"response_format": wanted})
    letters = [criterion(letter) for letter in LETTERS]
    review = asyncio.run(World(script, letters, mode=mode, options=options).review())

    text = review.best.answer.text
    if review.status in {"revised", "clean"}:
        assert is_of_the_schema(text)
    if review.changed:
        assert review.best.critique.met >= review.draft.critique.met
        gained = review.best.critique.met > review.draft.critique.met
        assert gained or not is_of_the_schema(review.draft.answer.text)
    if is_of_the_schema(review.draft.answer.text):
        assert is_of_the_schema(text)


def is_of_the_schema(text: str) -> bool:
    """Say so by other means than the loop's: no schema lets a key stand twice, so count them."""
    try:
        value = json.loads(text)
    except ValueError:
        return False
    return jsonschema_rs.is_valid(SCHEMA, value) and text.count('"urgency"') == text.count(
        '"advice"'
    )
