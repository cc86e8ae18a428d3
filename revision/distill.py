"""Distilling rubrics into principles: ClinAlign's second stage (Lyu et al., ACL 2026), as a tool.

Criteria are clustered by what they demand, and a model words one principle for each cluster. What
comes out are drafts for a clinician to read, each with the criteria that support it; a library is
not made by a model alone.
"""

import asyncio
import re
import secrets
from collections.abc import AsyncIterator, Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, TypeAdapter, ValidationError

from models.errors import ModelError
from models.messages import Call, Json, JsonSchema, Message
from models.protocols import ChatModel
from retrieval.clusters import Group
from retrieval.dimensions import DIMENSIONS
from retrieval.principles import Principle
from retrieval.rubric_lines import Demand
from revision.calls import Calls
from revision.errors import RevisionError, Unparsable
from revision.prompts import render
from revision.structured import ask

LONGEST = 400
REPLY_TOKENS = 900
CALL_S = 600.0


class _Check(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    criterion: Annotated[str, Field(min_length=8, max_length=LONGEST)]
    points: Annotated[int, Field(ge=1, le=10)]
    kind: Literal["require", "forbid"]
    critical: bool


class _Wording(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    title: Annotated[str, Field(min_length=3, max_length=120)]
    text: Annotated[str, Field(min_length=20, max_length=1200)]
    criteria: Annotated[tuple[_Check, ...], Field(min_length=2, max_length=6)]
    dimensions: dict[str, tuple[str, ...]]


_FORM = TypeAdapter(_Wording)
_LIBRARY_FORM = TypeAdapter(Principle)


class Draft(BaseModel):
    """A drafted principle.

    `principle` has the library's form; `run` tells one run's drafts from another's. `criteria`
    counts all that stand behind it, of which `support` holds the nearest to the centre.
    """

    model_config = ConfigDict(frozen=True)

    run: str
    cluster: int
    share: float
    criteria: int
    principle: dict[str, JsonValue]
    support: tuple[Demand, ...]


async def distill(
    groups: Sequence[Group], model: ChatModel, *, run: str, seed: int, at_once: int
) -> AsyncIterator[Draft | tuple[Group, Exception]]:
    """Yield a draft for each group as it is made, or the group and why there is none."""
    gate = asyncio.Semaphore(at_once)

    async def one(group: Group) -> Draft | tuple[Group, Exception]:
        async with gate:
            try:
                return await _draft(group, model, run=run, seed=seed)
            except (ModelError, RevisionError) as error:
                return group, error

    tasks = [asyncio.create_task(one(group)) for group in groups]
    try:
        for task in asyncio.as_completed(tasks):
            yield await task
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _draft(group: Group, model: ChatModel, *, run: str, seed: int) -> Draft:
    deadline = asyncio.get_running_loop().time() + CALL_S
    calls = Calls(writer=model, judge=model, deadline=deadline, seed=seed + group.cluster.number)
    instruction = render(
        "distill",
        nonce=secrets.token_hex(6),
        demands=[
            {"text": demand.criterion[:LONGEST], "points": round(demand.points)}
            for demand in group.support
        ],
        dimensions=DIMENSIONS,
    )
    call = Call(
        step="distill",
        messages=(Message(role="user", content=instruction),),
        max_tokens=REPLY_TOKENS,
        temperature=0.0,
        schema=_SCHEMA,
    )
    wording = await ask(calls, "rubric", call, _FORM)
    return Draft(
        run=run,
        cluster=group.cluster.number,
        share=round(group.cluster.share, 5),
        criteria=len(group.cluster.members),
        principle=_principle(wording, group.cluster.number),
        support=group.support,
    )


def _principle(wording: _Wording, number: int) -> dict[str, JsonValue]:
    words = re.findall(r"[a-z0-9]+", wording.title.lower())
    dimensions: dict[str, JsonValue] = {
        name: [value for value in values if value in wording.dimensions.get(name, ())]
        for name, values in DIMENSIONS.items()
    }
    criteria: list[JsonValue] = [check.model_dump() for check in wording.criteria]
    principle: dict[str, JsonValue] = {
        "id": "-".join([*words[:6], str(number)]),
        "title": " ".join(wording.title.split()),
        "text": " ".join(wording.text.split()),
        "dimensions": dimensions,
        "criteria": criteria,
        "sources": [],
        "always": False,
    }
    try:
        _LIBRARY_FORM.validate_python(principle)
    except ValidationError:
        raise Unparsable("the wording does not make a principle of the library's form") from None
    return principle


def _schema() -> JsonSchema:
    text: dict[str, Json] = {"type": "string", "minLength": 8, "maxLength": 300}
    check: dict[str, Json] = {
        "type": "object",
        "properties": {
            "criterion": text,
            "points": {"type": "integer", "minimum": 1, "maximum": 10},
            "kind": {"enum": ["require", "forbid"]},
            "critical": {"type": "boolean"},
        },
        "required": ["criterion", "points", "kind", "critical"],
        "additionalProperties": False,
    }
    values: dict[str, Json] = {
        name: {"type": "array", "items": {"enum": list(of)}, "maxItems": len(of)}
        for name, of in DIMENSIONS.items()
    }
    return JsonSchema(
        name="principle",
        schema={
            "type": "object",
            "properties": {
                "title": {"type": "string", "minLength": 3, "maxLength": 80},
                "text": {"type": "string", "minLength": 20, "maxLength": 800},
                "criteria": {"type": "array", "items": check, "minItems": 2, "maxItems": 6},
                "dimensions": {
                    "type": "object",
                    "properties": values,
                    "required": list(values),
                    "additionalProperties": False,
                },
            },
            "required": ["title", "text", "criteria", "dimensions"],
            "additionalProperties": False,
        },
    )


_SCHEMA = _schema()
