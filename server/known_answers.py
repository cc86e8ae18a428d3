"""Whether each judge passes the known answers: asked in the background, once for each.

An answer never waits for it. A judge that fails is told in the log, in a metric, by `/readyz` and
by `doctor`; whether its verdicts are used nevertheless is the operator's to say (ADR 0017).
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from models.errors import ModelError
from models.protocols import ChatModel
from revision.known_answers import Outcome, ask_known
from server.services import Services

RETRY_S = 15.0
"""Pause after a judge could not be asked, or a model server did not say what it offers."""

MEND = "name another with --judge-upstream and --judge-model"

log = logging.getLogger("clinalign")


@asynccontextmanager
async def watching(services: Services) -> AsyncIterator[None]:
    """Ask judges what is known for as long as the block runs."""
    task = asyncio.create_task(_watch(services))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _watch(services: Services) -> None:
    """Ask every judge there is, then whichever a request finds unasked."""
    told: str | None = None
    while True:
        services.judges.unasked.clear()
        try:
            await _ask_new(services)
        except ModelError as error:
            if str(error) != told:
                told = str(error)
                log.warning("judge: the known answers could not be asked: %s", told)
            await asyncio.sleep(RETRY_S)
        else:
            await services.judges.unasked.wait()


async def _ask_new(services: Services) -> None:
    """Ask the judges of all models on offer that were not asked yet.

    Raises:
        ModelError: one could not be asked, or the model server does not answer.

    """
    for card in await services.catalog.cards():
        judge = services.judge_of(card.id)
        if judge.name not in services.judges.outcomes:
            outcome = await ask_known(judge, parallel=services.judgements_at_once)
            services.judges.outcomes[judge.name] = outcome
            _tell(services, judge, outcome)


def _tell(services: Services, judge: ChatModel, outcome: Outcome) -> None:
    for side in ("right", "wrong", "unread"):
        gauge = services.metrics.known_answers.labels(judge.name, side)
        gauge.set(getattr(outcome, side))
    if outcome.passed:
        log.info("judge %s: %s", judge.name, outcome)
    else:
        used = services.settings.failed_judge == "tell"
        follows = "its verdicts are used nevertheless" if used else "answers go out unreviewed"
        log.warning("judge %s: %s; %s; %s", judge.name, outcome, follows, MEND)
