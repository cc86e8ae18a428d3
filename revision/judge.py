"""Step: judge an answer, one yes/no question a criterion, read from one token's probabilities.

One question at a time because a judge that sees a list lets one verdict colour the next; one
token because that costs a prefill and no decoding, so thinking is switched off. A prohibition is
asked as "is it there?" and inverted here, since small judges read "does not" backwards.
"""

import asyncio
from typing import Literal

from pydantic import ConfigDict, TypeAdapter, with_config
from typing_extensions import TypedDict

from models.errors import ContextOverflow, ModelError, ModelRejected
from models.messages import Call, JsonSchema, Message
from models.yes_no import TOP_LOGPROBS, yes_probability
from revision.calls import Calls
from revision.case import Case
from revision.critique import NOT_JUDGED, Critique, Judgement, Verdict
from revision.errors import DeadlinePassed, RevisionError, Unparsable
from revision.prompts import render
from revision.rubric import Criterion, Rubric
from revision.structured import read

MET_FROM = 0.6
UNMET_UP_TO = 0.4
"""Between these the judge leans to neither side. To be calibrated on labelled answers."""

FIRST_PLACE = 1
RETRY_TOKENS = 24


@with_config(ConfigDict(extra="forbid"))
class _Spoken(TypedDict):
    verdict: Literal["yes", "no"]


_FORM = TypeAdapter(_Spoken)
_SCHEMA = JsonSchema(
    name="verdict",
    schema={
        "type": "object",
        "properties": {"verdict": {"enum": ["yes", "no"]}},
        "required": ["verdict"],
        "additionalProperties": False,
    },
)


async def judge(case: Case, answer: str, rubric: Rubric) -> Critique:
    """Return the verdict on every criterion.

    A criterion that cannot be judged even after one retry is marked so, and the critique says
    why; nothing is raised, since the other verdicts are worth keeping.
    """
    tasks = [
        asyncio.create_task(_verdict(case, answer, criterion)) for criterion in rubric.criteria
    ]
    failure: Exception | None = None
    judgements = []
    try:
        for task in tasks:
            try:
                judgements.append(await task)
            except (ModelError, RevisionError) as error:
                failure = _worse(failure, error)
                judgements.append(NOT_JUDGED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    return Critique(rubric=rubric, judgements=tuple(judgements), failure=failure)


async def _verdict(case: Case, answer: str, criterion: Criterion) -> Judgement:
    found = await probability_of_yes(
        case.calls,
        _asking(case, answer, criterion),
        as_json=_asking(case, answer, criterion, json=True),
    )
    satisfied = found if criterion.kind == "require" else 1.0 - found
    return Judgement(verdict=_side(satisfied), probability=satisfied)


def _asking(
    case: Case, answer: str, criterion: Criterion, *, json: bool = False
) -> tuple[Message, ...]:
    instruction = render(
        "judge", nonce=case.nonce, criterion=criterion.text, kind=criterion.kind, json=json
    )
    return case.conversation.with_answer(answer, instruction)


async def probability_of_yes(
    calls: Calls,
    messages: tuple[Message, ...],
    *,
    as_json: tuple[Message, ...] | None = None,
    step: str = "judge",
) -> float:
    """Return how far the judge leans to yes, asked once more where its first token does not say.

    `as_json` is how it is asked then, if other than at first.

    Raises:
        Unparsable, ModelError, DeadlinePassed: there is no verdict.

    """
    found = await _ask_token(calls, messages, step)
    return await _ask_json(calls, as_json or messages, step) if found is None else found


async def _ask_token(calls: Calls, messages: tuple[Message, ...], step: str) -> float | None:
    call = Call(
        step=step,
        messages=messages,
        max_tokens=FIRST_PLACE,
        temperature=0.0,
        top_logprobs=TOP_LOGPROBS,
        thinks=False,
    )
    try:
        return yes_probability(await calls.judge(call))
    except ContextOverflow:
        raise
    except ModelRejected:
        return None  # a server without log-probabilities; it may still say its verdict as JSON


async def _ask_json(calls: Calls, messages: tuple[Message, ...], step: str) -> float:
    """Ask for the verdict as JSON: the retry for a model that would not say yes or no first.

    Raises:
        Unparsable: it still does not say. That is no verdict, least of all a good one.

    """
    completion = await calls.judge(
        Call(
            step=f"{step}-retry",
            messages=messages,
            max_tokens=RETRY_TOKENS,
            temperature=0.0,
            schema=_SCHEMA,
            thinks=False,
        )
    )
    return 1.0 if read(completion, _FORM, alone=True)["verdict"] == "yes" else 0.0


def _side(satisfied: float) -> Verdict:
    if satisfied >= MET_FROM:
        return Verdict.MET
    return Verdict.UNMET if satisfied <= UNMET_UP_TO else Verdict.UNCLEAR


def _worse(known: Exception | None, error: Exception) -> Exception:
    """Keep the failure that explains most: time, then the model, then what it said."""
    order = (DeadlinePassed, ModelError, Unparsable, Exception)
    ranked = [one for one in (known, error) if one is not None]
    return min(ranked, key=lambda one: [isinstance(one, kind) for kind in order].index(True))
