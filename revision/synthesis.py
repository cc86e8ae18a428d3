"""Step: the rubric for one question, from retrieved principles and physicians' criteria.

By analogy, not from imagination: in this project's pilot a rubric imagined from general
principles repaired next to nothing, one worded after physicians' criteria for similar questions
repaired most. What holds as it stands is picked by id, which costs a few tokens; what a principle
only names the kind of is worded with the facts of the case. Of three designs this one foresaw most
of what physicians demanded, at two thirds of the tokens of wording all (`benchmarks/LOG.md`).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field, TypeAdapter

from models.messages import Call, Json, JsonSchema
from retrieval.retriever import Retrieved
from revision.case import Case
from revision.prompts import render
from revision.room import PRINCIPLES
from revision.rubric import Criterion, Rubric, from_bank, from_principle
from revision.select import VERBATIM_FLOOR, as_they_are, in_order, in_scenario
from revision.structured import ask

MOST_KEPT = 6
LEAST_NEW, MOST_NEW = 6, 9
LEAST = 8
MOST = 18
"""Criteria in a rubric, urgent ones included."""
MOST_SHOWN = 60
"""Criteria that the prompt shows to pick from: all of ten principles."""
SHARES = (0.6, 0.3, 0.1)
"""Of what there is to pick from, where the context has no room for all of it."""
REPLY_TOKENS = 1200
"""Nine criteria of the longest that the schema lets through, in JSON."""
UNSAID = 5
"""Points of a criterion for which a weak model says none."""
FEWEST_WORDS = 4
"""A criterion of fewer words cannot say what to look for."""
LONGEST_QUESTION = 200
MOST_OF_AN_EXAMPLE = 14
NEARLY_THE_SAME = "What physicians demanded of nearly the same question"


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """What the model replies: ids to keep and criteria to add.

    A new one is a line: its points, below zero for what must not be there, as physicians' rubrics
    have it; "!" if a miss can harm; its text. As an object it cost 15 tokens more.
    """

    keep: tuple[str, ...]
    new: tuple[Annotated[str, Field(max_length=420)], ...]


_FORM = TypeAdapter(Proposal)
_LINE = re.compile(
    r"\s*(?:(?P<sign>[-+]?)(?P<points>10|[1-9])(?P<critical>!?)[.:]?\s+)?(?P<text>[^\W\d].*)",
    re.DOTALL,
)
_ECHO = re.compile(r"\W*c\d+\b")
"""A weak model repeats an id where it should word a criterion."""


async def synthesize(case: Case, retrieved: Retrieved) -> Rubric:
    """Return the rubric for this conversation; it has not seen any draft.

    Raises:
        Unparsable, DeadlinePassed, ModelError: the model made none.

    """
    call, shown = _asking(case, retrieved)
    all_of_it = len(shown)
    for share in SHARES:
        if await case.calls.has_room(call):
            break
        case.calls.room.limits.add(PRINCIPLES)
        call, shown = _asking(case, retrieved, most=max(1, int(share * all_of_it)), share=share)
    proposal = await ask(case.calls, "rubric", call, _FORM)
    always = frozenset(hit.principle.id for hit in retrieved.principles if hit.principle.always)
    return assemble(proposal, shown, fallback=as_they_are(retrieved), always=always)


def _asking(
    case: Case, retrieved: Retrieved, *, most: int = MOST_SHOWN, share: float = 1.0
) -> tuple[Call, Mapping[str, Criterion]]:
    """Return the call, and what it shows to pick from, the best first; `share` of the examples."""
    shown, principles = _numbered(retrieved, most)
    examples = retrieved.examples[: round(share * len(retrieved.examples))]
    instruction = render(
        "rubric",
        nonce=case.nonce,
        principles=principles,
        examples=[
            {
                "question": example.entry.messages[-1].content[:LONGEST_QUESTION],
                "criteria": [
                    {"text": line.criterion, "kind": "forbid" if line.points < 0 else "require"}
                    for line in example.entry.rubric[:MOST_OF_AN_EXAMPLE]
                ],
            }
            for example in examples
        ],
        most_kept=MOST_KEPT,
        least_new=LEAST_NEW,
        most_new=MOST_NEW,
    )
    call = Call(
        step="rubric",
        messages=case.conversation.with_instruction(instruction),
        max_tokens=REPLY_TOKENS,
        temperature=0.2,
        schema=_schema(tuple(shown)),
        thinks=False,
    )
    return call, shown


def assemble(
    proposal: Proposal,
    shown: Mapping[str, Criterion],
    *,
    fallback: Rubric,
    always: frozenset[str] = frozenset(),
) -> Rubric:
    """Freeze a proposal: unknown ids and unusable criteria are dropped, gaps filled.

    Whatever the model proposed, which a user's words may have led ("ask for nothing"), the
    fallback's critical criteria of the principles `always` are in, and in an emergency the urgent
    ones.
    """
    sure = [
        one for one in fallback.criteria if one.urgent or (one.critical and one.principle in always)
    ]
    kept = [shown[key] for key in dict.fromkeys(proposal.keep) if key in shown][:MOST_KEPT]
    new = [one for one in map(_worded, proposal.new[:MOST_NEW]) if one is not None]
    chosen: dict[str, Criterion] = {}
    for criterion in (*sure, *new, *kept):
        chosen.setdefault(criterion.text.casefold(), criterion)
    if not new and not kept:
        return fallback
    for criterion in fallback.criteria:
        if len(chosen) >= LEAST:
            break
        chosen.setdefault(criterion.text.casefold(), criterion)
    return Rubric(criteria=in_order(list(chosen.values())[:MOST]), made_by="synthesis")


def _numbered(
    retrieved: Retrieved, most: int = MOST_SHOWN
) -> tuple[dict[str, Criterion], list[dict[str, object]]]:
    """Return what may be picked by id, and the groups in which the prompt shows it, best first."""
    shown: dict[str, Criterion] = {}
    principles: list[dict[str, object]] = []
    groups = [
        (NEARLY_THE_SAME, [from_bank(example.entry, line) for line in example.entry.rubric])
        for example in retrieved.examples
        if example.similarity >= VERBATIM_FLOOR
    ]
    groups += [
        (
            hit.principle.title,
            [
                in_scenario(from_principle(hit.principle, check), retrieved)
                for check in hit.principle.criteria
            ],
        )
        for hit in retrieved.principles
    ]
    for title, criteria in groups:
        listed: list[dict[str, object]] = []
        for criterion in criteria[: most - len(shown)]:
            key = f"c{len(shown) + 1}"
            shown[key] = criterion
            listed.append(
                {
                    "id": key,
                    "text": criterion.text,
                    "kind": criterion.kind,
                    "points": criterion.points,
                }
            )
        if listed:
            principles.append({"title": title, "criteria": listed})
    return shown, principles


def _worded(line: str) -> Criterion | None:
    """Return the criterion of a line; None of one that is none."""
    found = _LINE.fullmatch(line)
    if found is None or not _is_usable(found["text"]):
        return None
    return Criterion(
        text=" ".join(found["text"].split()),
        points=int(found["points"] or UNSAID),
        kind="forbid" if found["sign"] == "-" else "require",
        critical=bool(found["critical"]),
    )


def _is_usable(text: str) -> bool:
    if _ECHO.match(text):
        return False
    words = [word for word in text.split() if any(map(str.isalpha, word))]
    # Some scripts put no spaces between words; there, length speaks.
    spaceless = not text.isascii() and len(text) >= 2 * FEWEST_WORDS
    return len(set(words)) >= FEWEST_WORDS or spaceless


def _schema(ids: tuple[str, ...]) -> JsonSchema:
    # Without a pattern: an engine that takes "." for a quotation mark breaks the JSON with it.
    line: dict[str, Json] = {"type": "string", "minLength": 12, "maxLength": 225}
    return JsonSchema(
        name="rubric",
        schema={
            "type": "object",
            "properties": {
                "keep": {"type": "array", "items": {"enum": list(ids)}, "maxItems": MOST_KEPT},
                "new": {"type": "array", "items": line, "maxItems": MOST_NEW},
            },
            "required": ["keep", "new"],
            "additionalProperties": False,
        },
    )
