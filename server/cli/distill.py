"""`clinalign-serve principles distill`: drafts of principles from rubrics, resumable."""

import asyncio
import hashlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.progress import Progress

from models.embedder import SentenceEmbedder
from retrieval.clusters import Group, groups_of
from retrieval.errors import LibraryInvalid
from retrieval.rubric_lines import read_rubrics
from revision.distill import Draft, distill
from server.cli.options import Config, Engine, UpstreamModel, Upstreams
from server.log import configure
from server.metrics import Metrics
from server.services import open_services
from server.settings import Settings, load_settings

AT_ONCE = 8


def distill_principles(
    rubrics: Annotated[Path, typer.Argument(help="Rubric lines, or HealthBench's form; .gz too.")],
    out: Annotated[Path, typer.Option("--out", help="Where the drafts go; what is there stays.")],
    count: Annotated[int, typer.Option("--count", min=1, max=2000, help="How many.")] = 119,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Same seed, same clusters.")] = 0,
    upstream: Upstreams = None,
    upstream_model: UpstreamModel = None,
    engine: Engine = None,
    config: Config = None,
) -> None:
    """Cluster the criteria of rubrics and have the model word a principle for each cluster."""
    settings = load_settings(
        config, upstream=upstream, upstream_model=upstream_model, engine=engine, log_level="error"
    )
    configure(settings.log_level)
    told = Console(stderr=True, highlight=False)
    if settings.is_demo:
        told.print("demo model: its drafts show the machinery, not medicine", style="yellow")
    file = read_rubrics(rubrics)
    embedder = SentenceEmbedder(settings.embedder)
    run = hashlib.sha256(f"{file.sha256} {embedder.id} {count} {seed}".encode()).hexdigest()[:16]
    done = _drafted(out, run)
    with Progress(console=told) as bar:
        embedding = bar.add_task("embedding criteria", total=None)
        groups = groups_of(
            file.lines,
            embedder,
            count=count,
            seed=seed,
            progress=lambda now, of: bar.update(embedding, completed=now, total=of),
        )
        missing = [group for group in groups if group.cluster.number not in done]
        wording = bar.add_task("wording principles", total=len(groups), completed=len(done))
        failed = asyncio.run(_word(settings, missing, out, run, seed, bar, wording))
    told.print(f"{len(groups) - sum(failed.values())} of {len(groups)} drafts in {out}")
    if failed:
        why = ", ".join(f"{name} ({number})" for name, number in failed.most_common())
        told.print(f"{sum(failed.values())} could not be worded: {why}; run again to retry them")
        raise typer.Exit(1)


async def _word(  # what a run consists of
    settings: Settings,
    groups: Sequence[Group],
    out: Path,
    run: str,
    seed: int,
    bar: Progress,
    task: int,
) -> Counter[str]:
    failed: Counter[str] = Counter()
    if not groups:
        return failed
    async with open_services(settings, Metrics()) as services:
        model = services.writer((await services.catalog.cards())[0].id)
        at_once = min(AT_ONCE, services.judgements_at_once)
        with out.open("a", encoding="utf-8") as file:
            async for outcome in distill(groups, model, run=run, seed=seed, at_once=at_once):
                if isinstance(outcome, Draft):
                    file.write(outcome.model_dump_json() + "\n")
                    file.flush()
                else:
                    failed[type(outcome[1]).__name__] += 1
                bar.advance(task)  # type: ignore[arg-type]  # rich's TaskID is an int
    return failed


def _drafted(out: Path, run: str) -> frozenset[int]:
    """Return the clusters that the file has drafts of; a line that was cut short is dropped.

    Raises:
        LibraryInvalid: the file holds something else, or drafts of another run.

    """
    try:
        content = out.read_text(encoding="utf-8")
    except FileNotFoundError:
        return frozenset()
    except UnicodeDecodeError:
        raise LibraryInvalid(out, "not UTF-8; name another file with --out") from None
    whole, newline, torn = content.rpartition("\n")
    done = set()
    for number, line in enumerate(whole.splitlines() if newline else (), start=1):
        try:
            draft = Draft.model_validate_json(line)
        except ValidationError:
            raise LibraryInvalid(out, "is no draft; name another file", line=number) from None
        if draft.run != run:
            problem = "is of another run (rubrics, count or seed); name another file with --out"
            raise LibraryInvalid(out, problem, line=number)
        done.add(draft.cluster)
    if torn:
        out.write_text(whole + newline, encoding="utf-8")
    return frozenset(done)
