"""Step: the question in one line of English, for an embedder that knows no other language.

It serves the search and nothing else: no prompt shows it, and no verdict rests on it.
"""

from models.errors import ModelError
from models.messages import Call
from retrieval.language import is_english
from revision.case import Case
from revision.errors import RevisionError
from revision.prompts import render

REPLY_TOKENS = 120
LONGEST = 500


async def restate(case: Case) -> str | None:
    """Return the line; None where the model made none that can serve. Never raises for a model."""
    call = Call(
        step="restate",
        messages=case.conversation.with_instruction(render("restate")),
        max_tokens=REPLY_TOKENS,
        temperature=0.0,
    )
    try:
        reply = await case.calls.write("rubric", call)
    except (ModelError, RevisionError):
        return None
    lines = (line.strip(" \"'`*#-") for line in reply.text.splitlines())
    first = next((line for line in lines if line), "")[:LONGEST]
    return first if first and is_english(first) else None
