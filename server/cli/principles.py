"""`clinalign-serve principles`: the library and its index."""

import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import orjson
import typer

from models.embedder import SentenceEmbedder
from retrieval import principles as library_file
from retrieval.document import document
from retrieval.errors import RetrievalError
from retrieval.near_copies import near_copies
from retrieval.open import build_indexes
from retrieval.principles import Library, Principle, load_library
from server.cli.alone import alone
from server.cli.distill import distill_principles
from server.cli.options import Config
from server.routes.principles import principle_body
from server.services import built_library, open_library, places
from server.settings import load_settings

app = typer.Typer(
    help="The principle library and its index.", no_args_is_help=True, rich_markup_mode=None
)

app.command("distill")(distill_principles)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("list")
def list_all(as_json: AsJson = False, config: Config = None) -> None:
    """List the principles in use."""
    for principle in _library(config):
        _print(principle, as_json=as_json)


@app.command("show")
def show(
    principle_id: Annotated[str, typer.Argument(metavar="ID")],
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Show one principle in full."""
    principle = _library(config).find(principle_id)
    if principle is None:
        raise RetrievalError(
            f"there is no principle {principle_id!r}; `clinalign-serve principles list` shows all"
        )
    if as_json:
        _print(principle, as_json=True)
        return
    lines = [principle.id, principle.title, "", principle.text, ""]
    lines += [f"{name}: {', '.join(of)}" for name, of in principle.dimensions.items() if of]
    lines += ["applies always"] if principle.always else []
    for check in principle.criteria:
        kind = "must" if check.kind == "require" else "must not"
        critical = ", critical" if check.critical else ""
        lines.append(f"- [{kind}, {check.points} points{critical}] {check.criterion}")
    lines += [f"source: {source.label} {source.url}".rstrip() for source in principle.sources]
    _write("\n".join(lines))


@app.command("search")
def search(
    text: Annotated[str, typer.Argument(help="What to search for.")],
    k: Annotated[int, typer.Option("-k", min=1, max=100, help="How many.")] = 8,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Find the principles nearest to a text."""
    if not text.strip():
        raise typer.BadParameter("the text is empty", param_hint="text")
    if not text.isprintable() and any("\ud800" <= one <= "\udfff" for one in text):
        raise typer.BadParameter("the text is not UTF-8", param_hint="text")
    for hit in open_library(load_settings(config)).search(text, limit=k):
        if as_json:
            body = {**principle_body(hit.principle), "score": round(hit.score, 4)}
            _write(orjson.dumps(body).decode())
        else:
            _write(f"{hit.score:.3f}  {hit.principle.id}  {hit.principle.title}")


@app.command("validate")
def validate(
    file: Annotated[Path, typer.Argument(help="A principle file.")] = library_file.DEFAULT_FILE,
) -> None:
    """Check a principle file; the first fault is named by line and field."""
    library = load_library(file)
    criteria = sum(len(principle.criteria) for principle in library)
    _write(f"{file.name}: {len(library)} principles, {criteria} criteria, no faults")


@app.command("document")
def document_library(
    file: Annotated[Path, typer.Argument(help="A principle file.")] = library_file.DEFAULT_FILE,
) -> None:
    """Print a principle file as a Markdown page."""
    shown = "retrieval/data/principles.jsonl" if file == library_file.DEFAULT_FILE else file.name
    sys.stdout.write(document(load_library(file), shown))


@app.command("duplicates")
def duplicates(
    file: Annotated[Path, typer.Argument(help="A principle file.")] = library_file.DEFAULT_FILE,
    config: Config = None,
) -> None:
    """List principles, and criteria of different principles, that say nearly the same."""
    embedder = SentenceEmbedder(load_settings(config).embedder)
    found = near_copies(load_library(file), embedder)
    for pair in found:
        _write(f"{pair.similarity:.3f}  {pair.kind}  {pair.one}  {pair.other}")
        for text in pair.texts:
            _write(f"       {text}")
    if found:
        raise typer.Exit(1)
    _write(f"{file.name}: no two principles say nearly the same")


@app.command("build")
def build(
    file: Annotated[
        Path | None, typer.Argument(help="A principle file to put into use; else the bundled one.")
    ] = None,
    in_use: Annotated[
        bool, typer.Option("--in-use", help="Build for the library in use, whichever it is.")
    ] = False,
    config: Config = None,
) -> None:
    """Build the indexes, unless those there are fit; with FILE, put that library into use.

    Without FILE the bundled library is put back into use, unless `--in-use` is given.
    """
    settings = load_settings(config)
    if in_use and file is None:
        file = built_library(settings)
    if file is not None and settings.principles is not None:
        raise RetrievalError(
            "the setting `principles` names the library; unset it to put another into use"
        )
    source = file or settings.principles or library_file.DEFAULT_FILE
    load_library(source)
    with alone(settings.data_dir):
        wanted = replace(places(settings), principles=source)
        library, bank = build_indexes(wanted, SentenceEmbedder(settings.embedder))
        _put_into_use(file, settings.index_dir / "principles.jsonl")
    _write(f"{len(library)} principles and {len(bank)} rubrics indexed in {settings.index_dir}")


def _put_into_use(file: Path | None, copy: Path) -> None:
    """Keep a copy of the library that the index was built from; none for the bundled one."""
    if file is None:
        copy.unlink(missing_ok=True)
    elif not copy.exists() or not file.samefile(copy):
        new = copy.with_suffix(".new")
        shutil.copyfile(file, new)
        new.replace(copy)


def _library(config: Path | None) -> Library:
    return load_library(places(load_settings(config)).principles)


def _print(principle: Principle, *, as_json: bool) -> None:
    if as_json:
        _write(orjson.dumps(principle_body(principle)).decode())
    else:
        _write(f"{principle.id}  {principle.title}")


def _write(line: str) -> None:
    sys.stdout.write(line + "\n")
