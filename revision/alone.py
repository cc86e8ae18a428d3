"""Step: judge what is new in a candidate on its own, before the candidate is judged as a whole.

A criterion asks whether something is in the answer, and a wrong dose is in it as well as a right
one. So what nobody gave before is asked about by itself: one judgement for the whole candidate, in
which one doubtful figure is enough for a no. That keeps to the bound on hidden calls (ADR 19).
"""

from typing import Literal

from models.messages import Message
from revision.added import Unsupported
from revision.case import Case
from revision.errors import Unparsable
from revision.judge import MET_FROM, probability_of_yes
from revision.prompts import render
from revision.room import NoRoom

Doubt = Literal["new and not confirmed", "could not be judged"]


async def doubt(case: Case, answer: str, new: tuple[Unsupported, ...]) -> Doubt | None:
    """Say why what is new in the answer may not stand, if so.

    Raises:
        ModelError, DeadlinePassed: the judge could not be asked.

    """
    if not new:
        return None
    try:
        found = await probability_of_yes(
            case.calls,
            _asking(case, answer, new),
            as_json=_asking(case, answer, new, json=True),
            step="alone",
        )
    except (Unparsable, NoRoom):
        return "could not be judged"
    return None if found >= MET_FROM else "new and not confirmed"


def _asking(
    case: Case, answer: str, new: tuple[Unsupported, ...], *, json: bool = False
) -> tuple[Message, ...]:
    instruction = render(
        "alone",
        nonce=case.nonce,
        statements=[{"statement": one.statement, "items": one.items} for one in new],
        json=json,
    )
    return case.conversation.with_answer(answer, instruction)
