"""Step: a better answer, from a critique or from several drafts.

The answer is written anew rather than patched: in this project's pilot minimal edits gained next
to nothing (+0.01) where free ones did. What keeps it honest is the re-check, not the leash.
"""

from collections.abc import Mapping

from models.messages import Call, Completion, Message
from revision.case import Case
from revision.critique import Critique, Finding
from revision.prompts import render
from revision.review import Reviewed

TOOL_OPTIONS = frozenset(
    {"tools", "tool_choice", "parallel_tool_calls", "functions", "function_call"}
)
"""A revision calls no tools: what they gave is in the conversation already. They go together,
since servers refuse a choice among tools without the tools."""


async def revise(
    case: Case, best: Reviewed, critique: Critique, findings: tuple[Finding, ...]
) -> Completion:
    """Return an answer that mends what is unmet, and its form where that is wrong.

    Raises:
        ModelError, DeadlinePassed: the model could not be asked.

    """
    instruction = render(
        "revise",
        nonce=case.nonce,
        items=_items(critique, findings),
        brief=case.conversation.asks_for_brevity,
        json=case.options.wants_json,
        fits=best.fits,
    )
    messages = case.conversation.with_answer(best.answer.text, instruction)
    return await _write(case, "revise", messages)


async def merge(case: Case, drafts: tuple[str, ...]) -> Completion:
    """Return one answer that joins what several drafts have right.

    Raises:
        ModelError, DeadlinePassed: the model could not be asked.

    """
    instruction = render("merge", nonce=case.nonce, drafts=drafts, json=case.options.wants_json)
    return await _write(case, "merge", case.conversation.with_instruction(instruction))


async def _write(case: Case, step: str, messages: tuple[Message, ...]) -> Completion:
    options = case.options
    call = Call(
        step=step,
        messages=messages,
        max_tokens=options.max_tokens,
        temperature=options.temperature,
        options={k: v for k, v in options.other.items() if k not in TOOL_OPTIONS},
    )
    return await case.calls.write("revise", call)


def _items(critique: Critique, findings: tuple[Finding, ...]) -> list[Mapping[str, str | int]]:
    """Return what is unmet, weightiest first, and then what is unclear but explained."""
    explained = {finding.criterion: finding for finding in findings}
    numbers = [*sorted(critique.unmet), *sorted(critique.unclear & explained.keys())]
    criteria = critique.rubric.criteria
    return [
        {
            "text": criteria[number].text,
            "kind": criteria[number].kind,
            "verdict": critique.judgements[number].verdict,
            "problem": explained[number].problem if number in explained else "",
            "remedy": explained[number].remedy if number in explained else "",
        }
        for number in numbers
    ]
