"""Whether each judge passes the known answers: asked in the background, once for each.

An answer never waits for it. A judge that fails is told in the log, in a metric, by `/readyz` and
by `doctor`; whether its verdicts are used nevertheless is the operator's to say (ADR 0017).
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from models.errors import ModelError, ModelOverloaded
from models.protocols import ChatModel
from revision.known_answers import Outcome, ask_known
from server.admitted import Admitted
from server.errors import ApiError
from server.services import Services

RETRY_S = 15.0
"""Pause after a judge could not be asked, or a model server did not say what it offers."""

TENANT = "known answers"
"""No client's name: those are hashes, or `anonymous`."""

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
            outcome = await _ask(services, judge)
            services.judges.outcomes[judge.name] = outcome
            _tell(services, judge, outcome)


async def _ask(services: Services, judge: ChatModel) -> Outcome:
    """Ask one judge, in slots as for any request.

    Raises:
        ModelError: it could not be asked, or there is no room now.

    """
    try:
        ticket = await services.admission.enter(TENANT)
    except ApiError as refused:
        raise ModelOverloaded(refused.message) from None
    try:
        admitted = Admitted(model=judge, ticket=ticket)
        return await ask_known(admitted, parallel=services.judgements_at_once)
    finally:
        ticket.close()


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
