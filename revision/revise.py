"""Step: a better answer, from a critique or from several drafts.

By edits where that is cheaper than writing the answer anew, and anew where the edits could not be
read, where most must change, or where the form wants a whole. Either way the change is free: in
this project's pilot minimal edits gained next to nothing (+0.01) where free ones did. What keeps it
honest is the re-check, not the leash.
"""

import asyncio

from models.messages import Call, Completion, Message
from revision.attempt import Attempt
from revision.case import Case
from revision.critique import Critique, Finding
from revision.edit import edit
from revision.editable import to_edit
from revision.errors import Unparsable
from revision.mending import to_mend
from revision.prompts import render
from revision.review import Reviewed
from revision.room import NoRoom

TOOL_OPTIONS = frozenset(
    {"tools", "tool_choice", "parallel_tool_calls", "functions", "function_call"}
)
"""A revision calls no tools: what they gave is in the conversation already. They go together,
since servers refuse a choice among tools without the tools."""


async def revise(
    case: Case, best: Reviewed, critique: Critique, findings: tuple[Finding, ...]
) -> Attempt:
    """Return an answer that mends what is unmet, and its form where that is wrong.

    A rewrite after edits that cannot be used is the step's one retry.

    Raises:
        ModelError, DeadlinePassed: the model could not be asked.

    """
    segments = await asyncio.to_thread(to_edit, case, best, critique, findings)
    if segments is not None:
        try:
            return await edit(case, best, critique, findings, segments)
        except (Unparsable, NoRoom):
            pass  # a rewrite needs neither a form nor the list of segments
    return Attempt(answer=await _rewrite(case, best, critique, findings), by="rewrite")


async def merge(case: Case, drafts: tuple[str, ...]) -> Attempt:
    """Return one answer that joins what several drafts have right.

    Raises:
        ModelError, DeadlinePassed: the model could not be asked.

    """
    instruction = render("merge", nonce=case.nonce, drafts=drafts, json=case.options.wants_json)
    messages = case.conversation.with_instruction(instruction)
    return Attempt(answer=await _write(case, "merge", messages), by="merge")


async def _rewrite(
    case: Case, best: Reviewed, critique: Critique, findings: tuple[Finding, ...]
) -> Completion:
    _, items = to_mend(critique, findings)
    instruction = render(
        "revise",
        nonce=case.nonce,
        items=items,
        brief=case.conversation.asks_for_brevity,
        json=case.options.wants_json,
        fits=best.fits,
    )
    messages = case.conversation.with_answer(best.answer.text, instruction)
    return await _write(case, "revise", messages)


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
