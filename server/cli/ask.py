"""`clinalign-serve ask`: one question through the loop, without a server."""

import asyncio
import os
import sys
from contextlib import aclosing
from typing import Annotated

import orjson
import typer
from rich.console import Console

from revision.events import Decided, Event, Found, RubricReady, StageBegan, Stopped
from revision.policy import MODES, Mode
from revision.review import Review
from server.catalog import Choice
from server.cli.difference import difference
from server.cli.options import Config, Engine, JudgeModel, JudgeUpstream, UpstreamModel, Upstreams
from server.job import Plan, mode_of, open_job, review_in
from server.log import configure
from server.metrics import Metrics
from server.replies import completion_body
from server.schemas import ChatRequest, RevisionOptions
from server.services import Services, open_services
from server.settings import Settings, load_settings
from server.turns import ChatMessage

STAGES = {
    "draft": "drafting",
    "retrieve": "retrieving {} principles",
    "rubric": "wording the rubric",
    "critique": "checking {} criteria",
    "revise": "revising {} unmet criteria",
    "merge": "merging {} drafts",
    "recheck": "re-checking {} criteria",
}


def ask(
    question: Annotated[str, typer.Argument(help="The question; - reads standard input.")],
    mode: Annotated[str, typer.Option("--mode", help=f"One of {', '.join(MODES)}.")] = "standard",
    as_json: Annotated[bool, typer.Option("--json", help="Print the whole response.")] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", help="Show criteria and what the revision changed.")
    ] = False,
    upstream: Upstreams = None,
    upstream_model: UpstreamModel = None,
    engine: Engine = None,
    judge_upstream: JudgeUpstream = None,
    judge_model: JudgeModel = None,
    config: Config = None,
) -> None:
    """Answer one question, telling each stage on standard error."""
    if mode not in MODES:
        raise typer.BadParameter(f"{mode!r} is not one of {', '.join(MODES)}", param_hint="--mode")
    text = _read(question)
    if not text.strip():
        raise typer.BadParameter("the question is empty", param_hint="question")
    settings = load_settings(
        config,
        upstream=upstream,
        upstream_model=upstream_model,
        engine=engine,
        judge_upstream=judge_upstream,
        judge_model=judge_model,
        log_level="error",
    )
    configure(settings.log_level)
    told = Console(stderr=True, highlight=False)
    asyncio.run(_ask(settings, text, mode, told, as_json=as_json, verbose=verbose))


def _read(question: str) -> str:
    given = sys.stdin.buffer.read() if question == "-" else os.fsencode(question)
    try:
        return given.decode("utf-8")
    except UnicodeDecodeError:
        raise typer.BadParameter("the question is not UTF-8", param_hint="question") from None


async def _ask(
    settings: Settings, text: str, mode: Mode, told: Console, *, as_json: bool, verbose: bool
) -> None:
    if settings.is_demo:
        told.print("demo model: far too small for medicine; not for patients", style="yellow")
    async with open_services(settings, Metrics()) as services:
        body = await _body(services, text, mode)
        choice = await services.catalog.resolve(body.model)
        plan = Plan(choice=choice, mode=mode_of(services, body, choice))
        job = await open_job(services, body, plan)
        seen: list[Event] = []
        async with aclosing(job.events()) as events:
            async for event in events:
                seen.append(event)
                _tell(event, told)
        review = review_in(seen)
        if verbose:
            _explain(review, told)
        if as_json:
            response = completion_body(job, review, seen)
            sys.stdout.write(orjson.dumps(response, option=orjson.OPT_INDENT_2).decode() + "\n")
        else:
            sys.stdout.write(review.best.answer.text.strip() + "\n")


async def _body(services: Services, text: str, mode: Mode) -> ChatRequest:
    cards = await services.catalog.cards()
    return ChatRequest(
        model=Choice(model=cards[0].id, mode=mode).model,
        messages=(ChatMessage(role="user", content=text),),
        revision=RevisionOptions(mode=mode, include=("trace",)),
    )


def _tell(event: Event, told: Console) -> None:
    match event:
        case StageBegan():
            told.print(STAGES[event.stage].format(event.count), style="dim")
        case Found():
            titles = ", ".join(hit.principle.title for hit in event.retrieved.principles)
            told.print(f"  principles: {titles}", style="dim")
        case RubricReady():
            how = "worded" if event.rubric.made_by == "synthesis" else "as retrieved"
            told.print(f"  rubric: {len(event.rubric.criteria)} criteria, {how}", style="dim")
        case Decided():
            verdict = "accepted" if event.accepted else f"rejected: {event.objection}"
            told.print(f"  revision {event.round}: {verdict}", style="dim")
        case Stopped():
            told.print(f"{event.review.status} ({event.review.stop_reason})", style="bold")
        case _:
            pass


def _explain(review: Review, told: Console) -> None:
    if review.rubric is not None and review.draft.critique and review.best.critique:
        pairs = zip(
            review.rubric.criteria,
            review.draft.critique.judgements,
            review.best.critique.judgements,
            strict=True,
        )
        for criterion, draft, final in pairs:
            mark = "must not: " if criterion.kind == "forbid" else ""
            verdicts = f"{draft.verdict.value:>7} -> {final.verdict.value:<7}"
            told.print(f"{verdicts} {mark}{criterion.text}", markup=False)
    told.print(difference(review.draft.answer.text, review.best.answer.text))
