"""The loop as a state machine: its steps end in any order and any way, and time may be up any time.

`test_invariants.py` draws whole scripts for the real steps; here every step is a wait that a rule
ends, so that what overlaps overlaps in every order, and a client may leave at every point.
"""

import asyncio
from collections.abc import Callable
from contextlib import aclosing

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from models.errors import ModelUnavailable
from models.messages import Completion
from revision.critique import NOT_JUDGED, Critique, Judgement, Verdict, is_better
from revision.errors import DeadlinePassed, EmptyDraft, StepBroke, Unparsable
from revision.events import (
    Critiqued,
    Decided,
    Drafted,
    Event,
    PreparationFailed,
    RubricReady,
    Stopped,
)
from revision.loop import self_revise
from revision.policy import policy_for
from revision.rubric import Criterion, Rubric

RUBRIC = Rubric(
    criteria=(
        Criterion(text="Says A", points=3, critical=True),
        Criterion(text="Says B", points=2),
        Criterion(text="Says C", points=1),
    ),
    made_by="retrieval",
)
ERRORS = (ModelUnavailable("down"), DeadlinePassed("late"), Unparsable("what"), StepBroke("ours"))
JUDGED = {
    "met": Judgement(verdict=Verdict.MET, probability=0.98),
    "unmet": Judgement(verdict=Verdict.UNMET, probability=0.02),
    "unclear": Judgement(verdict=Verdict.UNCLEAR, probability=0.5),
    "none": NOT_JUDGED,
}
verdicts = st.lists(
    st.sampled_from(["met", "met", "unmet", "unmet", "unclear", "none"]), min_size=3, max_size=3
)
errors = st.sampled_from(ERRORS)


def critique_of(names: list[str]) -> Critique:
    judgements = tuple(JUDGED[name] for name in names)
    failure = None if all(one.judged for one in judgements) else ModelUnavailable("down")
    return Critique(rubric=RUBRIC, judgements=judgements, failure=failure)


class Waiting:
    """Steps that wait until somebody says how they end; implements `Steps`."""

    def __init__(self) -> None:
        self.pending: dict[str, asyncio.Future] = {}
        self.time = True
        self.made = 0

    async def _wait(self, name: str):
        assert name not in self.pending, "one of a kind at a time"
        self.pending[name] = asyncio.get_running_loop().create_future()
        try:
            return await self.pending[name]
        finally:
            del self.pending[name]

    async def draft(self):
        yield Drafted(drafts=await self._wait("draft"))

    async def prepare(self):
        yield await self._wait("prepare")

    async def judge(self, answer, rubric):
        return await self._wait("judge")

    async def fits(self, answer):
        return await self._wait("fits")

    def has_time(self):
        return self.time

    async def explain(self, best):
        return await self._wait("explain")

    async def revise(self, best, findings):
        self.made += 1
        return await self._wait("revise")

    async def merge(self, drafts):
        return await self._wait("merge")

    async def objection(self, best, candidate, findings):
        return await self._wait("objection")


class Loop(RuleBasedStateMachine):
    """One request, from its drafts to its end."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.steps = Waiting()
        self.events: list[Event] = []
        self.left = False
        self.number = 0

    @initialize(mode=st.sampled_from(["fast", "standard", "thorough"]), rounds=st.integers(0, 3))
    def begin(self, mode: str, rounds: int) -> None:
        self.policy = policy_for(mode, max_rounds=rounds)

        async def consume() -> None:
            async with aclosing(self_revise(self.steps, self.policy)) as events:
                async for event in events:
                    self.events.append(event)

        self.task = self.loop.create_task(consume())
        self.turn()

    def turn(self, act: Callable[[], object] = lambda: None) -> None:
        async def run() -> None:
            act()
            for _ in range(12):
                await asyncio.sleep(0)

        self.loop.run_until_complete(run())

    def waits(self, name: str) -> bool:
        return name in self.steps.pending

    def end(self, name: str, result: object) -> None:
        future = self.steps.pending[name]
        if isinstance(result, Exception):
            self.turn(lambda: future.set_exception(result))
        else:
            self.turn(lambda: future.set_result(result))

    def answer(self) -> Completion:
        self.number += 1
        return Completion(text=f"answer {self.number}", finish_reason="stop")

    @precondition(lambda self: self.waits("draft"))
    @rule(count=st.integers(1, 3), calls_tools=st.sampled_from([False, False, False, True]))
    def a_draft_comes(self, count: int, calls_tools: bool) -> None:  # noqa: FBT001  # drawn by name
        tools = ({"id": "1"},) if calls_tools else ()
        first = Completion(text="draft", finish_reason="stop", tool_calls=tools)
        more = [self.answer() for _ in range(count - 1)] if self.policy.drafts > 1 else []
        self.end("draft", (first, *more))

    @precondition(lambda self: self.waits("draft"))
    @rule(error=st.sampled_from([*ERRORS, EmptyDraft("empty")]))
    def there_is_no_draft(self, error: Exception) -> None:
        self.end("draft", error)

    @precondition(lambda self: self.waits("prepare"))
    @rule()
    def a_rubric_comes(self) -> None:
        self.end("prepare", RubricReady(rubric=RUBRIC))

    @precondition(lambda self: self.waits("prepare"))
    @rule(error=errors)
    def there_is_no_rubric(self, error: Exception) -> None:
        self.end("prepare", PreparationFailed(error=error))

    @precondition(lambda self: self.waits("judge"))
    @rule(names=verdicts)
    def verdicts_come(self, names: list[str]) -> None:
        self.end("judge", critique_of(names))

    @precondition(lambda self: self.waits("fits"))
    @rule(fits=st.booleans())
    def the_form_is_known(self, fits: bool) -> None:  # noqa: FBT001  # likewise
        self.end("fits", fits)

    @precondition(lambda self: self.waits("explain"))
    @rule()
    def an_explanation_comes(self) -> None:
        self.end("explain", ())

    @precondition(lambda self: self.waits("revise") or self.waits("merge"))
    @rule()
    def a_candidate_comes(self) -> None:
        self.end("revise" if self.waits("revise") else "merge", self.answer())

    @precondition(lambda self: self.waits("objection"))
    @rule(objection=st.sampled_from([None, None, "empty", "new and not confirmed"]))
    def the_guard_speaks(self, objection: str | None) -> None:
        self.end("objection", objection)

    @precondition(lambda self: self.steps.pending.keys() - {"draft", "prepare"})
    @rule(error=errors)
    def a_step_fails(self, error: Exception) -> None:
        (name,) = self.steps.pending
        self.end(name, error)

    @rule()
    def time_is_short(self) -> None:
        self.steps.time = False

    @precondition(lambda self: not self.task.done())
    @rule()
    def the_client_leaves(self) -> None:
        self.left = True
        self.turn(self.task.cancel)

    @invariant()
    def who_has_left_is_worked_for_no_more(self) -> None:
        if self.left or self.has_ended():
            assert not self.steps.pending

    @invariant()
    def while_nothing_has_ended_something_is_waited_for(self) -> None:
        assert self.has_ended() or self.steps.pending

    @invariant()
    def rounds_are_bounded(self) -> None:
        if hasattr(self, "policy"):
            assert len(self.of(Decided)) <= self.policy.max_rounds
            assert self.steps.made <= self.policy.max_rounds

    @invariant()
    def a_candidate_is_taken_only_if_it_was_judged_and_is_better(self) -> None:
        best = next((one.critique for one in self.of(Critiqued) if one.round == 0), None)
        for decided in self.of(Decided):
            if decided.accepted:
                assert best is not None
                assert best.complete
                assert decided.critique is not None
                assert decided.critique.complete
                lost = best.met - decided.critique.met
                assert not lost
                best = decided.critique

    @invariant()
    def what_was_had_is_given_and_its_status_is_true(self) -> None:
        if not hasattr(self, "task") or not self.task.done() or self.left:
            return
        drafted = self.of(Drafted)
        if self.task.exception() is not None:
            assert not drafted, "a draft once there is never lost"
            return
        last = self.events[-1]
        assert isinstance(last, Stopped)
        review, taken = last.review, [one.candidate for one in self.of(Decided) if one.accepted]
        assert review.best.answer is (taken[-1] if taken else drafted[0].drafts[0])
        critiques = [one.critique for one in self.of(Critiqued) if one.round == 0]
        if review.status in {"clean", "revised", "kept_draft"}:
            assert critiques
            assert critiques[0].complete
        assert (review.status == "revised") == bool(taken)
        if review.status == "clean":
            assert critiques[0].all_met
        if review.changed and review.draft.fits:
            assert is_better(review.best.critique, review.draft.critique, mends_form=False)

    def of(self, kind: type) -> list:
        return [event for event in self.events if isinstance(event, kind)]

    def has_ended(self) -> bool:
        return not hasattr(self, "task") or self.task.done()

    def teardown(self) -> None:
        if hasattr(self, "task"):
            self.turn(self.task.cancel)
            if not self.task.cancelled():
                self.task.exception()
        self.loop.close()


TestLoop = Loop.TestCase
TestLoop.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)
