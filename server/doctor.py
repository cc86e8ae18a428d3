"""Checks of everything an answer needs, each with what mends it."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Literal

from models import embedded
from models.engine_floor import FLOOR, known_holes
from models.errors import EmbedderError, ModelError
from models.exposure import Exposure, exposure
from models.messages import Call, JsonSchema, Message
from models.protocols import ChatModel
from models.yes_no import TOP_LOGPROBS, yes_probability
from retrieval.errors import RetrievalError
from retrieval.retriever import Retriever
from revision.known_answers import ask_known
from server.known_answers import MEND
from server.metrics import Metrics
from server.services import Services, open_library, open_services
from server.settings import Settings

Level = Literal["ok", "warn", "fail"]
SMALL_CONTEXT = 8192
PROBE_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The outcome of one check."""

    level: Level
    subject: str
    text: str


async def examine(settings: Settings) -> AsyncIterator[Finding]:
    """Yield findings as they are made."""
    yield await asyncio.to_thread(_library, settings)
    if settings.is_demo:
        yield Finding(level="warn", subject="engine", text=embedded.WARNING)
    else:
        async for finding in _wall(settings):
            yield finding
    try:
        async with open_services(settings, Metrics()) as services:
            async for finding in _upstream(services):
                yield finding
    except ModelError as error:
        yield Finding(level="fail", subject="engine", text=str(error))


def _library(settings: Settings) -> Finding:
    try:
        retriever = open_library(settings)
    except (RetrievalError, EmbedderError) as error:
        return Finding(level="fail", subject="principles", text=str(error))
    counts = f"{len(retriever.library)} principles, {len(retriever.bank)} rubrics"
    text = f"{counts}; {described(retriever)}; embedder {retriever.embedder.id}"
    return Finding(level="ok", subject="principles", text=text)


def described(retriever: Retriever) -> str:
    """Say which FAISS structure holds each index, of how many rows, and where it is searched."""
    kinds = {"flat": "flat (exact)", "ivf": "IVF (approximate)"}
    indexes = {"principles": retriever.principle_index, "rubrics": retriever.bank_index}
    told = ", ".join(
        f"{name} {kinds[index.kind]} with {index.manifest.count} rows on the {index.device}"
        for name, index in indexes.items()
    )
    return f"FAISS: {told}"


async def _wall(settings: Settings) -> AsyncIterator[Finding]:
    """Yield what others than this gateway can do with the engines."""
    judge = (settings.judge_upstream,) if settings.judge_upstream else ()
    for number, url in enumerate((*settings.upstream, *judge), start=1):
        subject = f"engine {number}"
        seen = await exposure(url)
        if not seen.answers:
            continue  # what is down is told below
        found = [Finding(level="warn", subject=subject, text=text) for text in _openings(seen)]
        for finding in found or [Finding(level="ok", subject=subject, text="no way by the wall")]:
            yield finding


def _openings(seen: Exposure) -> Iterator[str]:
    if seen.unguarded:
        paths = ", ".join(seen.unguarded)
        yield (
            f"answers {paths} without a key; give it one (--api-key), and let nothing but this "
            "gateway reach it: a key does not guard all of its routes"
        )
    if seen.developer_mode:
        yield "runs in developer mode; unset VLLM_SERVER_DEV_MODE"
    if seen.is_public:
        yield "can be reached from outside; have it listen on loopback or a private address"
    if seen.version is not None and (holes := known_holes(seen.version)):
        floor = ".".join(map(str, FLOOR))
        yield f"version {seen.version} has {', '.join(holes)}; use {floor} or newer"


async def _upstream(services: Services) -> AsyncIterator[Finding]:
    try:
        cards = await services.catalog.cards()
    except ModelError as error:
        text = f"{error}; is it running, and is --upstream its base URL with /v1?"
        yield Finding(level="fail", subject="upstream", text=text)
        return
    for card in cards:
        context = card.context_length()
        told = f"context {context} tokens" if context else "does not tell its context length"
        small = context is not None and context < SMALL_CONTEXT
        mend = f"; below {SMALL_CONTEXT}, long conversations cannot be reviewed" if small else ""
        yield Finding(level="warn" if small else "ok", subject=f"model {card.id}", text=told + mend)
    model = services.writer(cards[0].id)
    yield await _probability(services.judge_of(model.name))
    yield await _schema(model)
    for card in cards if services.judge is None else cards[:1]:
        yield await _known_answers(services, services.judge_of(card.id))


async def _probability(model: ChatModel) -> Finding:
    question = "Is ice frozen water? Reply with one word: yes or no."
    call = _probe(question, max_tokens=1, top_logprobs=TOP_LOGPROBS, thinks=False)
    try:
        completion = await model.complete(call)
    except ModelError as error:
        return Finding(level="fail", subject="judgements", text=f"judge {model.name}: {error}")
    if not completion.first_token:
        text = "no log-probabilities; each judgement costs a second call and is never unclear"
        return Finding(level="warn", subject="judgements", text=text)
    if yes_probability(completion) is None:
        text = "the model says neither yes nor no at once; each judgement costs a second call"
        return Finding(level="warn", subject="judgements", text=text)
    return Finding(level="ok", subject="judgements", text=f"{model.name} answers in one token")


async def _known_answers(services: Services, judge: ChatModel) -> Finding:
    subject = f"judge {judge.name}"
    try:
        outcome = await ask_known(judge, parallel=services.judgements_at_once)
    except ModelError as error:
        return Finding(level="fail", subject=subject, text=f"could not be asked: {error}")
    if outcome.passed:
        return Finding(level="ok", subject=subject, text=str(outcome))
    used = services.settings.failed_judge == "tell"
    follows = "its verdicts are used nevertheless" if used else "answers go out unreviewed"
    return Finding(level="warn", subject=subject, text=f"{outcome}; {follows}; {MEND}")


async def _schema(model: ChatModel) -> Finding:
    schema = JsonSchema(
        name="probe",
        schema={
            "type": "object",
            "properties": {"ok": {"type": "boolean"}},
            "required": ["ok"],
            "additionalProperties": False,
        },
    )
    try:
        completion = await model.complete(_probe("Say that all is well.", 40, schema=schema))
    except ModelError as error:
        return Finding(level="fail", subject="json schema", text=str(error))
    if '"ok"' not in completion.text:
        text = "response_format is ignored; rubrics and critiques may be unreadable"
        return Finding(level="warn", subject="json schema", text=text)
    return Finding(level="ok", subject="json schema", text="response_format is honoured")


def _probe(
    question: str,
    max_tokens: int,
    *,
    schema: JsonSchema | None = None,
    top_logprobs: int | None = None,
    thinks: bool = True,
) -> Call:
    return Call(
        step="probe",
        messages=(Message(role="user", content=question),),
        max_tokens=max_tokens,
        temperature=0.0,
        schema=schema,
        top_logprobs=top_logprobs,
        thinks=thinks,
        deadline=asyncio.get_running_loop().time() + PROBE_S,
    )
