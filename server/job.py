"""One request as the gateway runs it: from the parsed body to the loop's steps and its events."""

import asyncio
import secrets
import time
from collections.abc import AsyncGenerator, Awaitable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import TypeVar

from starlette.datastructures import Headers

from models.messages import Json, Message
from models.openai_chat import OpenAIChatModel
from models.protocols import ChatModel
from retrieval.retriever import Retriever
from revision.calls import Calls
from revision.case import Case
from revision.control_tokens import harmless_turn
from revision.conversation import AnswerOptions, Conversation
from revision.errors import DeadlinePassed
from revision.events import Event, Stopped
from revision.loop import self_revise
from revision.policy import Mode, Policy, at_least, policy_for
from revision.review import Review, StopReason
from revision.room import Room
from revision.steps import ModelSteps
from server.admission import Ticket
from server.admitted import Admitted
from server.catalog import Choice
from server.contained import Contained
from server.deadline import Limits, limits
from server.errors import InvalidRequest
from server.ladder import lowered, told
from server.schemas import AnswerRequest, Asked, ChatRequest
from server.services import Services
from server.side_requests import HEADER, is_side_prompt, says_side_request
from server.version import system_fingerprint

Result = TypeVar("Result")

OURS = frozenset(
    {
        "model",
        "messages",
        "revision",
        "stream",
        "stream_options",
        "max_tokens",
        "max_completion_tokens",
        "temperature",
        "seed",
        "n",
        "logprobs",
        "top_logprobs",
    }
)
"""Fields that the gateway itself acts on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """What a reply goes out under, known before its request is let in, and what it is reviewed by.

    `model` is the id the client named, `created` in Unix seconds, `started` by performance counter.
    """

    id: str
    revision_id: str
    model: str
    created: int
    started: float
    fingerprint: str
    retriever: Retriever | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A request under way. `asked` is the policy it would have without load."""

    opening: Opening
    policy: Policy
    calls: Calls
    steps: ModelSteps
    services: Services
    asked: Policy
    ping_s: float
    trace: bool = False
    exposes_reasoning: bool = False
    tells_status: bool = False
    cites: bool = False

    @property
    def revision_id(self) -> str:
        """The review's id."""
        return self.opening.revision_id

    def first_token(self) -> None:
        """Note that the first token of the final answer goes out now."""
        seconds = time.perf_counter() - self.opening.started
        self.services.metrics.first_token_seconds.labels(self.policy.mode).observe(seconds)

    async def events(self) -> AsyncGenerator[Event, None]:
        """Run the loop; the metrics see every event."""
        watch = self.services.metrics.watch()
        try:
            async with aclosing(self_revise(Contained(self.steps), self.policy)) as loop:
                async for event in loop:
                    watch.see(event)
                    if isinstance(event, Stopped):
                        event = Stopped(review=told(event.review, self.asked, self.policy))  # noqa: PLW2901
                        self.services.metrics.finished(event.review, self.calls.records)
                    yield event
        finally:
            watch.end()


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a chat request gets: the loop in `mode`, or one plain call, `relayed` for `reason`."""

    choice: Choice
    mode: Mode
    relayed: bool = False
    reason: StopReason = "off"


async def plan_chat(services: Services, body: ChatRequest, headers: Headers) -> Plan:
    """Return what the request gets; `revision.mode` beats the id's suffix.

    The operator's minimum beats both, and side requests of chat frontends too.

    Raises:
        UnknownModel, InvalidRequest, ModelError: it cannot be served.

    """
    choice = await services.catalog.resolve(body.model)
    mode = mode_of(services, body, choice)
    if mode == "draft":
        return Plan(choice=choice, mode=mode, relayed=True)
    if services.settings.minimum_mode == "draft" and _is_side_request(services, body, headers):
        return Plan(choice=choice, mode=mode, relayed=True, reason="bypass")
    if body.n is not None and body.n > 1:
        raise _only_in_drafts("n", "must be 1")
    for name in ("logprobs", "top_logprobs"):
        if getattr(body, name):
            raise _only_in_drafts(name, "must be left out")
    return Plan(choice=choice, mode=mode)


def _only_in_drafts(name: str, said: str) -> InvalidRequest:
    return InvalidRequest(
        f"{name} {said} unless the mode is draft", param=name, code="invalid_combination"
    )


def mode_of(services: Services, body: Asked, choice: Choice) -> Mode:
    """Return the mode that the request names, or the operator's minimum where that is more."""
    return at_least(services.settings.minimum_mode, body.revision.mode or choice.mode)


def _is_side_request(services: Services, body: ChatRequest, headers: Headers) -> bool:
    told_by = services.settings.side_requests
    if told_by == "off":
        return False
    by_prompt = told_by == "header_and_prompts" and is_side_prompt(body.turns())
    return by_prompt or says_side_request(headers.get(HEADER))


async def begin(
    services: Services, body: ChatRequest | AnswerRequest, plan: Plan, deadline: float
) -> Opening:
    """Return what is known of a reviewed request before it is let in.

    Raises:
        NotReady: there are no principles to review by.
        DeadlinePassed: it was not known in time whether there are.

    """
    started = time.perf_counter()
    retriever = None
    if plan.mode != "draft":
        retriever = await in_time(services.shelf.retriever(), deadline)
    return Opening(
        id=f"chatcmpl-{secrets.token_hex(14)}",
        revision_id=f"rev_{secrets.token_hex(16)}",
        model=body.model,
        created=int(time.time()),
        started=started,
        fingerprint=_fingerprint(services, plan.choice.model, retriever),
        retriever=retriever,
    )


async def open_job(  # noqa: PLR0913  # what a job is made of
    services: Services,
    body: ChatRequest | AnswerRequest,
    plan: Plan,
    *,
    within: Limits | None = None,
    rounds: int | None = None,
    wanted: ChatRequest | None = None,
    ticket: Ticket | None = None,
    opening: Opening | None = None,
) -> Job:
    """Return the job of a reviewed request; without a ticket its calls are not counted.

    `within` are its limits, which began when it came; `wanted` says how an answer is to be
    written where the body itself is no chat's; `opening` is what has been told of it already.

    Raises:
        NotReady: there are no principles to review by.
        DeadlinePassed: it was not known in time whether there are.

    """
    wishes = body.revision
    within = within or limits(services.settings, wishes)
    opening = opening or await begin(services, body, plan, within.deadline)
    asked = policy_for(
        plan.mode,
        max_rounds=wishes.max_rounds if rounds is None else rounds,
        top_k=wishes.top_k,
        live_draft=wishes.expose == "reasoning" and isinstance(body, ChatRequest) and body.stream,
    )
    rung = ticket.rung if ticket else None
    policy = lowered(asked, rung, floor=_floor(services, body))
    if isinstance(body, ChatRequest):
        options = _options(services, body)
    else:
        options = _options(services, wanted, ours=OURS | {"answer"})
    turns = body.turns()
    calls = _open_calls(
        services,
        plan,
        within,
        turns,
        seed=options.seed,
        affinity=opening.revision_id,
        ticket=ticket,
    )
    case = Case(
        conversation=Conversation(messages=turns),
        options=options,
        policy=policy,
        calls=calls,
    )
    return Job(
        opening=opening,
        policy=policy,
        calls=calls,
        steps=ModelSteps(
            case=case,
            retriever=opening.retriever,
            given=body.answer if isinstance(body, AnswerRequest) else None,
            unfit=_is_unfit(services, plan),
        ),
        services=services,
        asked=asked,
        ping_s=within.ping_s,
        trace="trace" in wishes.include,
        exposes_reasoning=wishes.expose == "reasoning",
        tells_status="status" in wishes.include,
        cites="citations" in wishes.include,
    )


def _open_calls(  # noqa: PLR0913  # by name, and no two of a kind
    services: Services,
    plan: Plan,
    within: Limits,
    turns: tuple[Message, ...],
    *,
    seed: int | None,
    affinity: str,
    ticket: Ticket | None,
) -> Calls:
    """Return the request's calls, with room for its hidden prompts at the writer and the judge."""
    writer = services.writer(plan.choice.model)
    writer.context.tell(plan.choice.context)
    shown = tuple(map(harmless_turn, turns))  # as the hidden prompts begin
    room = Room(writer, shown, affinity=affinity)
    judge = services.judge_of(plan.choice.model)
    return Calls(
        writer=_admitted(writer, ticket),
        judge=_admitted(judge, ticket),
        deadline=within.deadline,
        review_by=within.review_by,
        seed=seed,
        affinity=affinity,
        salt=services.cache_salt(ticket.tenant) if ticket else "",
        parallel=services.judgements_at_once,
        room=room,
        judge_room=Room(
            judge if isinstance(judge, OpenAIChatModel) else None,
            shown,
            affinity=affinity,
            guess=None if services.judge else room.guess,
        ),
    )


def _is_unfit(services: Services, plan: Plan) -> bool:
    """Say whether nothing may be judged, since the judge has not passed the known answers."""
    # Asked whatever the setting: a judge that nobody has asked yet is asked because of this.
    passed = services.judges.has_passed(services.judge_of(plan.choice.model).name)
    return services.settings.failed_judge == "unreviewed" and not passed


def _floor(services: Services, body: ChatRequest | AnswerRequest) -> Mode:
    """Return the mode below which no load takes the request.

    A draft is no review of an answer, and where the operator wants no unreviewed ones it would only
    be thrown away.
    """
    useless = isinstance(body, AnswerRequest) or services.settings.on_degraded == "error"
    return at_least(services.settings.minimum_mode, "fast" if useless else "draft")


def _admitted(model: ChatModel, ticket: Ticket | None) -> ChatModel:
    return model if ticket is None else Admitted(model=model, ticket=ticket)


async def in_time(work: Awaitable[Result], deadline: float) -> Result:
    """Return what the work returns, if that is before the deadline.

    Raises:
        DeadlinePassed: it is not.

    """
    try:
        async with asyncio.timeout_at(deadline):
            return await work
    except TimeoutError:
        raise DeadlinePassed("the request's time is up") from None


async def run(job: Job) -> tuple[Review, tuple[Event, ...]]:
    """Run the job to its end and return the review, with all that happened.

    Raises:
        ModelError, RevisionError: there is no draft.

    """
    async with aclosing(job.events()) as events:
        seen = [event async for event in events]
    return review_in(seen), tuple(seen)


def review_in(events: Sequence[Event]) -> Review:
    """Return the review that the loop's events end with."""
    return next(event.review for event in reversed(events) if isinstance(event, Stopped))


def _options(
    services: Services, body: ChatRequest | None, *, ours: frozenset[str] = OURS
) -> AnswerOptions:
    if body is None:
        return AnswerOptions(max_tokens=services.answer_max_tokens)
    sent: dict[str, Json] = body.model_dump(mode="json", exclude_unset=True)
    return AnswerOptions(
        max_tokens=body.answer_length() or services.answer_max_tokens,
        temperature=body.temperature,
        seed=body.seed,
        other={name: value for name, value in sent.items() if name not in ours},
    )


def _fingerprint(services: Services, model: str, retriever: Retriever | None) -> str:
    corpus = retriever.library.sha256 if retriever else ""
    return system_fingerprint(model, corpus, demo=services.settings.is_demo)
