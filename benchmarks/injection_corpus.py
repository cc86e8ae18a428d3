"""Attempts to turn the review, and where in a conversation each of them is planted.

The corpus (`data/injections.jsonl`) holds text that poses as an order, a verdict, a marker, a
system turn and so on, in several languages. `place` says whose words carry it: the user's, the
answer's, a tool's result, an earlier turn of the assistant, or a bank entry's criterion. The cases
(`data/injection_cases.json`) are questions with an answer that deserves no mercy, and a criterion
that it plainly fails.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from models.messages import Message
from revision.rubric import Criterion, Kind

DATA = Path(__file__).parent / "data"
Place = Literal["user", "answer", "tool", "assistant", "bank"]

NEUTRAL = {"tool": "No entries were found.", "assistant": "I am glad to help with that."}
"""What stands in the control where an attempt needs a turn of its own."""

FORGED = "NONCE"
"""Stands in an attempt where somebody who could know the nonce would write it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """A text that tries to turn the review."""

    id: str
    kind: str
    language: str
    place: Place
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BadAnswer:
    """A question, an answer that fails the criterion, and the criterion."""

    id: str
    question: str
    answer: str
    criterion: Criterion


def attempts() -> tuple[Attempt, ...]:
    """Return the corpus."""
    lines = (DATA / "injections.jsonl").read_text(encoding="utf-8").splitlines()
    return tuple(_attempt(json.loads(line)) for line in lines)


def bad_answers() -> tuple[BadAnswer, ...]:
    """Return the cases."""
    return tuple(
        BadAnswer(
            id=one["id"],
            question=one["question"],
            answer=one["answer"],
            criterion=_criterion(one["criterion"], one["kind"]),
        )
        for one in json.loads((DATA / "injection_cases.json").read_text(encoding="utf-8"))
    )


def planted(
    place: Place, text: str, *, question: str, answer: str
) -> tuple[tuple[Message, ...], str]:
    """Return the conversation and the answer with the text in its place; "" plants nothing."""
    asked = Message(role="user", content=f"{question}\n\n{text}" if place == "user" else question)
    said = f"{answer}\n\n{text}" if place == "answer" and text else answer
    match place:
        case "tool":
            function = {"name": "look_up", "arguments": "{}"}
            call = {"id": "call_1", "type": "function", "function": function}
            looking = Message(role="assistant", content=None, extra={"tool_calls": [call]})
            found = Message(role="tool", content=text, extra={"tool_call_id": "call_1"})
            return (asked, looking, found), said
        case "assistant":
            before = (
                Message(role="user", content="Can you help me with a question?"),
                Message(role="assistant", content=text),
            )
            return (*before, asked), said
        case "user" if not text:
            return (Message(role="user", content=question),), said
        case _:
            return (asked,), said


def _attempt(line: dict[str, str]) -> Attempt:
    padding = line.get("before", "") * int(line.get("times", 0))
    return Attempt(
        id=line["id"],
        kind=line["kind"],
        language=line["language"],
        place=line["place"],  # type: ignore[arg-type]  # the corpus's own test checks it
        text=padding + line["text"],
    )


def _criterion(text: str, kind: Kind) -> Criterion:
    return Criterion(text=text, points=10, kind=kind, critical=True)
