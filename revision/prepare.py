"""Step: retrieve what matters and make the rubric. Runs beside the draft and never raises."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress

from models.errors import EmbedderError, ModelError
from retrieval.errors import RetrievalError
from retrieval.retriever import Retriever
from revision.case import Case
from revision.errors import RevisionError, ShareSpent
from revision.events import Event, Found, PreparationFailed, RubricReady, StageBegan
from revision.restate import restate
from revision.select import as_they_are
from revision.synthesis import synthesize


async def prepare(case: Case, retriever: Retriever) -> AsyncGenerator[Event, None]:
    """Yield `Found`, then `RubricReady`; or `PreparationFailed` where nothing can be found.

    A rubric that no model could word is made of the retrieved criteria as they are.
    """
    yield StageBegan(stage="retrieve", count=case.policy.top_k)
    turns = case.conversation.turns
    try:
        async with asyncio.timeout_at(case.calls.time.ends_by("retrieve")):
            foreign = await asyncio.to_thread(retriever.needs_english, turns)
            # Without the line, the search goes by the words as they are: worse, but not nothing.
            restated = await restate(case) if foreign else None
            retrieved = await asyncio.to_thread(
                retriever.retrieve, turns, top_k=case.policy.top_k, restated=restated
            )
    except TimeoutError:
        yield PreparationFailed(error=ShareSpent("the search took too long"))
        return
    except (RetrievalError, EmbedderError) as error:
        yield PreparationFailed(error=error)
        return
    yield Found(retrieved=retrieved)

    rubric = as_they_are(retrieved)
    if case.policy.words_rubric:
        yield StageBegan(stage="rubric", count=len(rubric.criteria))
        # Where that fails, the retrieved criteria serve, and `made_by` says so.
        with suppress(ModelError, RevisionError):
            rubric = await synthesize(case, retrieved)
    yield RubricReady(rubric=rubric)
