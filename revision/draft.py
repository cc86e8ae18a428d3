"""Step: the draft, or several. The prompt is the conversation itself and nothing else.

Principles are kept out of it on purpose: so the draft costs what a plain answer costs, shares
its cached prefix, and can be compared with the plain answer at all.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable
from contextlib import aclosing
from dataclasses import replace

from models.errors import ModelError
from models.messages import Call, Completion, Delta
from revision.calls import Calls
from revision.case import Case
from revision.errors import EmptyDraft, RevisionError
from revision.events import Drafted, DraftPiece, Event, StageBegan


async def draft(case: Case) -> AsyncGenerator[Event, None]:
    """Yield the first draft's pieces if they are wanted live, then `Drafted`.

    Raises:
        ModelError, DeadlinePassed, EmptyDraft: there is no draft at all.

    """
    yield StageBegan(stage="draft", count=case.policy.drafts)
    first = _call(case, "draft")
    others = [
        asyncio.create_task(_one(case.calls, _call(case, f"draft-{number}")))
        for number in range(2, case.policy.drafts + 1)
    ]
    try:
        outcomes: list[Completion | ModelError | RevisionError] = []
        if case.policy.live_draft:
            async with aclosing(_live(case.calls, first)) as pieces:
                async for piece in pieces:
                    if isinstance(piece, Delta):
                        yield DraftPiece(delta=piece)
                    else:
                        outcomes.append(piece)
        else:
            outcomes.append(await _tried(_one(case.calls, first)))
        if not _is_relayed(outcomes[0]):
            outcomes += [await _tried(task) for task in others]
        drafts = [one for one in outcomes if isinstance(one, Completion)]
        if not drafts:
            raise next(one for one in outcomes if isinstance(one, Exception))
        yield Drafted(drafts=(drafts[0], *(one for one in drafts[1:] if one.is_prose)))
    finally:
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)


def _call(case: Case, step: str) -> Call:
    """Return the call for a draft; only the first one takes the client's own seed."""
    return Call(
        step=step,
        messages=case.conversation.messages,
        max_tokens=case.options.max_tokens,
        temperature=case.options.temperature,
        seed=case.options.seed if step == "draft" else None,
        options=case.options.other,
    )


async def _one(calls: Calls, call: Call) -> Completion:
    """Return a draft with words in it, asking once more if the first one has none."""
    completion = await calls.write("draft", call)
    return await _again(calls, call) if completion.is_empty else completion


async def _again(calls: Calls, call: Call) -> Completion:
    """Ask once more after an empty draft, with another seed: the same one gives the same again.

    Raises:
        EmptyDraft: there are no words this time either.

    """
    completion = await calls.write("draft", replace(call, seed=None))
    if completion.is_empty:
        raise EmptyDraft("the model gave an empty answer, twice")
    return completion


async def _live(
    calls: Calls, call: Call
) -> AsyncGenerator[Delta | Completion | ModelError | RevisionError, None]:
    """Yield a draft's pieces as they come, and last the draft or why there is none."""
    whole: Completion | None = None
    try:
        async for piece in calls.stream("draft", call):
            if isinstance(piece, Delta):
                yield piece
            else:
                whole = piece
        if whole is None or whole.is_empty:
            whole = await _again(calls, call)
            yield Delta(text=whole.text, reasoning=whole.reasoning)
    except (ModelError, RevisionError) as error:
        yield error
    else:
        yield whole


async def _tried(draft: Awaitable[Completion]) -> Completion | ModelError | RevisionError:
    """Return a draft or why there is none; as long as one is there, others are done without."""
    try:
        return await draft
    except (ModelError, RevisionError) as error:
        return error


def _is_relayed(outcome: Completion | ModelError | RevisionError) -> bool:
    """Say whether it calls tools or refuses: it goes out as it is, and other drafts are no use."""
    return isinstance(outcome, Completion) and not outcome.is_prose
