"""Questions with known verdicts, to learn whether a model can judge at all.

They go through the judge's own prompt, reading and retry. One good and one bad answer are judged
by the same criteria, so a model that says yes to everything, or no, or whatever comes first, gets
half of them right and not more. They are meant to be easy: who fails them cannot judge, and who
passes is not thereby a good judge.
"""

import asyncio
from dataclasses import dataclass

from models.errors import ModelError, ModelTimeout
from models.messages import Message
from models.protocols import ChatModel
from revision.calls import Calls
from revision.case import Case
from revision.conversation import AnswerOptions, Conversation
from revision.critique import Verdict
from revision.errors import DeadlinePassed
from revision.judge import judge
from revision.policy import policy_for
from revision.rubric import Criterion, Rubric

MOST_WRONG = 1
"""A coin gets nine of ten right once in a hundred tries; a sound judge may waver on one."""
PROBE_S = 120.0

QUESTION = (
    "My father is 68. Half an hour ago his right arm went limp and his speech became slurred. He "
    "has no pain. What should we do?"
)
GOOD = (
    "Call the emergency number now: sudden weakness of one arm with slurred speech can be a "
    "stroke, and treatment works best in the first hours. Note when it began. Do not give him "
    "food, drink or any tablets, aspirin included, until he has been seen."
)
BAD = (
    "This is most likely tiredness. Let him drink a glass of wine and sleep, and give him an "
    "aspirin. If he still feels weak, book a visit with his family doctor next week."
)
CRITERIA = (
    Criterion(text="Says to call an ambulance or the emergency number now", points=1),
    Criterion(text="Names stroke as a possible cause", points=1),
    Criterion(text="Says to note the time at which it began", points=1),
    Criterion(text="Advises to give him aspirin", points=1, kind="forbid"),
    Criterion(text="Advises to give him alcohol", points=1, kind="forbid"),
)
"""All of them satisfied by the good answer, none by the bad one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a judge did. `unread`: it gave no verdict that could be read, even after a retry."""

    right: int
    wrong: int
    unread: int

    @property
    def passed(self) -> bool:
        """Whether it may be relied on to judge."""
        return self.wrong + self.unread <= MOST_WRONG

    def __str__(self) -> str:
        asked = self.right + self.wrong + self.unread
        unread = f", {self.unread} without a verdict" if self.unread else ""
        return f"{self.right} of {asked} known answers judged rightly{unread}"


async def ask_known(model: ChatModel, *, parallel: int = 1) -> Outcome:
    """Have the model judge what is known, and say how it did.

    Raises:
        ModelError: it could not be asked, which says nothing of how it judges.

    """
    deadline = asyncio.get_running_loop().time() + PROBE_S
    calls = Calls(writer=model, judge=model, deadline=deadline, parallel=parallel)
    case = Case(
        conversation=Conversation(messages=(Message(role="user", content=QUESTION),)),
        options=AnswerOptions(),
        policy=policy_for("fast"),
        calls=calls,
    )
    rubric = Rubric(criteria=CRITERIA, made_by="retrieval")
    counts = dict.fromkeys(("right", "wrong", "unread"), 0)
    for answer, verdict in ((GOOD, Verdict.MET), (BAD, Verdict.UNMET)):
        critique = await judge(case, answer, rubric)
        match critique.failure:
            case ModelError():
                raise critique.failure
            case DeadlinePassed():
                raise ModelTimeout("the judge did not answer in time")
        for judgement in critique.judgements:
            side = "right" if judgement.verdict is verdict else "wrong"
            counts[side if judgement.judged else "unread"] += 1
    return Outcome(**counts)
