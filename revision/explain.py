"""Step: the written critique of what the answer lacks, for the revision to go by.

It is written once for all unmet and unclear criteria, a line each: the remedy is the edit that
follows. Verdicts are not in its power: it explains those that the judge has given.
"""

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field, TypeAdapter

from models.messages import Call, Json, JsonSchema
from revision.case import Case
from revision.critique import Critique, Finding
from revision.errors import Unparsable
from revision.prompts import render
from revision.structured import ask

TOKENS_EACH = 50
MOST = 8
"""Unmet criteria beyond the weightiest eight go into the revision without an explanation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Spoken:
    number: int
    problem: Annotated[str, Field(max_length=600)]
    remedy: Annotated[str, Field(max_length=600)] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reply:
    findings: tuple[_Spoken, ...]


_FORM = TypeAdapter(_Reply)


async def explain(case: Case, answer: str, critique: Critique) -> tuple[Finding, ...]:
    """Return findings on unmet and unclear criteria; none where they could not be read.

    Raises:
        ModelError, DeadlinePassed: the model could not be asked.

    """
    criteria = critique.rubric.criteria
    numbers = sorted(
        critique.unmet | critique.unclear,
        key=lambda n: (n in critique.unclear, not criteria[n].critical, -criteria[n].points),
    )[:MOST]
    instruction = render(
        "critique",
        nonce=case.nonce,
        items=[
            {
                "number": place,
                "text": criteria[number].text,
                "kind": criteria[number].kind,
                "verdict": critique.judgements[number].verdict,
            }
            for place, number in enumerate(numbers, 1)
        ],
    )
    call = Call(
        step="critique",
        messages=case.conversation.with_answer(answer, instruction),
        max_tokens=TOKENS_EACH * len(numbers) + 40,
        temperature=0.2,
        schema=_schema(len(numbers)),
        thinks=False,
    )
    try:
        reply = await ask(case.calls, "critique", call, _FORM)
    except Unparsable:
        return ()  # the verdicts stand, and the criteria themselves say what is asked
    return tuple(
        Finding(criterion=numbers[one.number - 1], problem=one.problem, remedy=one.remedy)
        for one in {spoken.number: spoken for spoken in reply.findings}.values()
        if 1 <= one.number <= len(numbers)
    )


def _schema(count: int) -> JsonSchema:
    text: dict[str, Json] = {"type": "string", "maxLength": 120}
    finding: dict[str, Json] = {
        "type": "object",
        "properties": {
            "number": {"type": "integer", "minimum": 1, "maximum": count},
            "problem": text,
        },
        "required": ["number", "problem"],
        "additionalProperties": False,
    }
    return JsonSchema(
        name="critique",
        schema={
            "type": "object",
            "properties": {"findings": {"type": "array", "items": finding, "maxItems": count}},
            "required": ["findings"],
            "additionalProperties": False,
        },
    )
