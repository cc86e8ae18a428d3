"""`clinalign-serve doctor`: what works, what does not, and what mends it."""

import asyncio
import sys

import orjson
import typer
from rich.console import Console

from server.cli.options import Config, Engine, JudgeModel, JudgeUpstream, UpstreamModel, Upstreams
from server.cli.principles import AsJson
from server.doctor import Finding, examine
from server.log import configure
from server.settings import Settings, load_settings

STYLES = {"ok": "green", "warn": "yellow", "fail": "red"}


def doctor(
    upstream: Upstreams = None,
    upstream_model: UpstreamModel = None,
    engine: Engine = None,
    judge_upstream: JudgeUpstream = None,
    judge_model: JudgeModel = None,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Check configuration, principles, embedder and model server."""
    settings = load_settings(
        config,
        upstream=upstream,
        upstream_model=upstream_model,
        engine=engine,
        judge_upstream=judge_upstream,
        judge_model=judge_model,
    )
    configure("error")
    if not asyncio.run(_run(settings, as_json=as_json)):
        raise typer.Exit(1)


async def _run(settings: Settings, *, as_json: bool) -> bool:
    console = Console(highlight=False, soft_wrap=True)
    well = True
    async for finding in examine(settings):
        well = well and finding.level != "fail"
        if as_json:
            sys.stdout.write(orjson.dumps(finding).decode() + "\n")
        else:
            _show(finding, console)
    return well


def _show(finding: Finding, console: Console) -> None:
    console.print(f"{finding.level:<5}", style=STYLES[finding.level], end="")
    console.print(f"{finding.subject}: {finding.text}", markup=False)
