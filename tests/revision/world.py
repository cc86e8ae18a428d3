"""A small world to run the loop in: answers say letters, criteria ask for them.

The answer "[A][B]" says A and B. The criterion "Says A" is met by it, the prohibition "Says B" is
not. The judge is a scripted model that reads the criterion from its prompt, so prompts, parsing,
inversion and retry are the real ones.
"""

import asyncio
import math
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

from models.messages import Call, Completion, Message, Usage
from models.scripted import Line, ScriptedModel
from retrieval.principles import Principle, PrincipleCriterion
from retrieval.ranking import PrincipleHit
from retrieval.retriever import Example, Retrieved
from retrieval.scenario import Scenario
from revision.calls import Calls
from revision.case import Case
from revision.conversation import AnswerOptions, Conversation
from revision.events import Event, Stopped
from revision.loop import self_revise
from revision.policy import Mode, Policy, policy_for
from revision.review import Review
from revision.steps import ModelSteps

NONCE = "fence"
NO_FINDINGS = '{"findings": []}'


def criterion(
    letter: str, *, points: int = 5, forbid: bool = False, critical: bool = False
) -> PrincipleCriterion:
    return PrincipleCriterion(
        criterion=f"Says {letter}",
        points=points,
        kind="forbid" if forbid else "require",
        critical=critical,
    )


def principle(*criteria: PrincipleCriterion, urgent: bool = False) -> Principle:
    return Principle(
        id="the-principle",
        title="The principle",
        text="Say the letters.",
        dimensions={"urgency": ("emergent",)} if urgent else {},
        criteria=criteria,
    )


def emergency() -> Scenario:
    values = {name: dict(of) for name, of in Scenario.unknown().values.items()}
    values["urgency"] = {"emergent": 0.9, "conditionally-emergent": 0.05, "non-emergent": 0.05}
    return Scenario(values=values)


@dataclass(frozen=True)
class FixedRetriever:
    """Finds the same principles for everything, or fails."""

    principles: Sequence[Principle]
    scenario: Scenario = field(default_factory=Scenario.unknown)
    error: Exception | None = None
    foreign: bool = False
    examples: Sequence[Example] = ()
    searched: list[str | None] = field(default_factory=list)

    def needs_english(self, turns: object) -> bool:
        return self.foreign

    def retrieve(self, turns: object, *, top_k: int, restated: str | None = None) -> Retrieved:
        self.searched.append(restated)
        if self.error is not None:
            raise self.error
        hits = tuple(PrincipleHit(principle=one, score=0.9) for one in self.principles)
        return Retrieved(
            scenario=self.scenario, principles=hits[:top_k], examples=tuple(self.examples)
        )


def verdict(p_yes: float) -> Completion:
    """Return a one-token reply that leans to yes with this probability."""
    clipped = min(max(p_yes, 1e-6), 1 - 1e-6)
    return Completion(
        text="yes" if p_yes >= 0.5 else "no",
        finish_reason="length",
        usage=Usage(prompt_tokens=10, completion_tokens=1),
        first_token={"yes": math.log(clipped), "no": math.log(1 - clipped)},
    )


def judged_letter(call: Call) -> str:
    """Return the letter that a judge's prompt asks about."""
    found = re.search(rf"\[{NONCE}\]\nSays (\w+)\n\[/{NONCE}\]", call.messages[-1].text)
    assert found is not None, "the judge's prompt names its criterion between the fences"
    return found.group(1)


def judged_answer(call: Call) -> str:
    return call.messages[-2].text


def honest(call: Call) -> Completion:
    """Judge by what the answer says."""
    return verdict(0.99 if f"[{judged_letter(call)}]" in judged_answer(call) else 0.01)


def leaning(odds: Mapping[str, float]) -> Callable[[Call], Completion]:
    """Judge honestly but for some letters, on which the judge leans as told."""

    def judge(call: Call) -> Completion:
        letter = judged_letter(call)
        return verdict(odds[letter]) if letter in odds else honest(call)

    return judge


@dataclass
class World:
    """A loop ready to run."""

    script: dict[str, Sequence[Line] | Callable[[Call], str | Completion]]
    criteria: Sequence[PrincipleCriterion]
    mode: Mode = "fast"
    rounds: int | None = None
    retriever: FixedRetriever | None = None
    urgent: bool = False
    question: str = "What should I say?"
    messages: tuple[Message, ...] | None = None
    options: AnswerOptions = field(default_factory=AnswerOptions)
    deadline_s: float = 30.0
    given: str | None = None
    seed: int | None = None

    def __post_init__(self) -> None:
        self.script.setdefault("judge", honest)
        self.script.setdefault("alone", lambda _: verdict(0.99))
        self.script.setdefault("critique", lambda _: NO_FINDINGS)
        self.model = ScriptedModel(self.script)
        self.policy: Policy = policy_for(self.mode, max_rounds=self.rounds)
        self.calls: Calls | None = None

    async def run(self) -> list[Event]:
        """Run the loop to its end."""
        async with aclosing(self_revise(self.steps(), self.policy)) as loop:
            return [event async for event in loop]

    async def review(self) -> Review:
        last = (await self.run())[-1]
        assert isinstance(last, Stopped)
        return last.review

    def steps(self) -> ModelSteps:
        now = asyncio.get_running_loop().time()
        self.calls = Calls(
            writer=self.model, judge=self.model, deadline=now + self.deadline_s, seed=self.seed
        )
        scenario = emergency() if self.urgent else Scenario.unknown()
        retriever = self.retriever or FixedRetriever(
            [principle(*self.criteria, urgent=self.urgent)], scenario=scenario
        )
        case = Case(
            conversation=Conversation(
                messages=self.messages or (Message(role="user", content=self.question),)
            ),
            options=self.options,
            policy=self.policy,
            calls=self.calls,
            nonce=NONCE,
        )
        return ModelSteps(case=case, retriever=retriever, given=self.given)  # type: ignore[arg-type]

    def asked(self, step: str) -> list[Call]:
        return [call for call in self.model.calls if call.step == step]
