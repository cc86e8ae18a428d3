"""`clinalign-serve rubrics`: the bank, and rubric data of one's own in it."""

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from models.embedder import SentenceEmbedder
from retrieval import bank as bank_file
from retrieval.bank import load_bank, load_banks
from retrieval.errors import RetrievalError
from retrieval.importing import HELD_OUT_FILE, Import, read_hashes, read_import, to_line
from retrieval.open import Places, put_bank
from server.cli.alone import alone
from server.cli.options import Config
from server.services import places
from server.settings import Settings, load_settings

app = typer.Typer(
    help="The rubric bank: what physicians demanded of answers to similar questions.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

LONGEST_NAME = 32

Name = Annotated[str, typer.Argument(metavar="NAME", help="As `rubrics list` shows it.")]


@app.command("list")
def list_banks(config: Config = None) -> None:
    """List the bank's files with the number of their entries."""
    for path in places(load_settings(config)).banks:
        _write(f"{len(load_bank(path)):6}  {path.stem}  {path}")


@app.command("validate")
def validate(
    file: Annotated[Path, typer.Argument(help="A bank file.")] = bank_file.DEFAULT_FILE,
) -> None:
    """Check a bank file; the first fault is named by line and field."""
    bank = load_bank(file)
    criteria = sum(len(entry.rubric) for entry in bank)
    _write(f"{file.name}: {len(bank)} entries, {criteria} criteria, no faults")


@app.command("import")
def import_rubrics(
    file: Annotated[
        Path, typer.Argument(help="HealthBench's form or rubric lines, JSON lines; .gz too.")
    ],
    name: Annotated[
        str | None, typer.Option("--name", help="What to call it; else the file's name.")
    ] = None,
    source: Annotated[
        str, typer.Option("--source", help="Where the data are from; kept in every entry.")
    ] = "",
    licence: Annotated[str, typer.Option("--licence", help="Likewise, their licence.")] = "",
    exclude: Annotated[
        list[Path] | None,
        typer.Option(
            "--exclude",
            help="A file of evaluation items (rubric data, or hashes) that must not get in.",
        ),
    ] = None,
    config: Config = None,
) -> None:
    """Add rubric data to the bank and build the index; an earlier import of that name goes.

    Lines that cannot be used are named and left out, and the exit status then is 1. The beginning
    of an imported question, and its criteria, are shown to the model when a similar one is asked,
    and criteria may stand in the response: import nothing that users must not see.
    """
    settings = load_settings(config)
    called = _name(name if name is not None else _stem(file))
    with alone(settings.data_dir):
        _import(file, called, source, licence, exclude or [], settings)


def _import(  # what an import consists of
    file: Path,
    called: str,
    source: str,
    licence: str,
    exclude: Sequence[Path],
    settings: Settings,
) -> None:
    where = places(settings)
    target = settings.imported_dir / f"{called}.jsonl"
    others = load_banks([path for path in where.banks if path != target])
    found = read_import(
        file,
        name=called,
        source=source or file.name,
        licence=licence,
        known=others.entries,
        evaluated=read_hashes(HELD_OUT_FILE).union(*map(read_hashes, exclude)),
    )
    earlier = _count(target)
    if found.entries:
        _put(target, found, where, settings)
    _tell(found, target, earlier)
    if found.left_out:
        raise typer.Exit(1)


@app.command("remove")
def remove(name: Name, config: Config = None) -> None:
    """Take an import out of the bank and build the index without it."""
    settings = load_settings(config)
    target = settings.imported_dir / f"{_name(name)}.jsonl"
    if not target.is_file():
        raise RetrievalError(
            f"there is no import {name!r}; `clinalign-serve rubrics list` shows all"
        )
    with alone(settings.data_dir):
        put_bank(places(settings), target, None, SentenceEmbedder(settings.embedder))
    _write(f"{name} removed; the index is built without it")


def _put(target: Path, found: Import, where: Places, settings: Settings) -> None:
    """Write the bank file, for its owner alone, and the index that fits it."""
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    new = target.with_suffix(".new")
    try:
        new.unlink(missing_ok=True)
        new.touch(mode=0o600)
        new.write_text("".join(f"{to_line(entry)}\n" for entry in found.entries), "utf-8")
        put_bank(where, target, new, SentenceEmbedder(settings.embedder))
    finally:
        new.unlink(missing_ok=True)


def _count(target: Path) -> int:
    """Return the entries of an earlier import; none of one that is missing or broken."""
    try:
        return len(load_bank(target)) if target.is_file() else 0
    except RetrievalError:
        return 0


def _tell(found: Import, target: Path, earlier: int) -> None:
    criteria = sum(len(entry.rubric) for entry in found.entries)
    if not found.entries:
        stays = f"; the earlier import of {earlier} entries stays" if earlier else ""
        _write(f"nothing taken{stays}")
    else:
        instead = f", in place of an earlier import of {earlier} entries" if earlier else ""
        _write(
            f"{len(found.entries)} entries with {criteria} criteria taken into {target}{instead}"
        )
    if found.shortened:
        _write(f"{found.shortened} criteria left out of them: too long, too many or without points")
    for reason, lines in found.by_reason().items():
        told = f"{len(lines)} left out: {reason}: line{'s' * (len(lines) > 1)} {_ranges(lines)}"
        sys.stderr.write(f"{told}\n")


def _ranges(lines: Sequence[int]) -> str:
    """Return line numbers as 1, 3-5, 9."""
    runs: list[list[int]] = []
    for line in sorted(lines):
        if runs and line == runs[-1][1] + 1:
            runs[-1][1] = line
        else:
            runs.append([line, line])
    return ", ".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)


def _stem(file: Path) -> str:
    name = file.name
    for suffix in (".gz", ".jsonl", ".json"):
        name = name.removesuffix(suffix)
    return name


def _name(wanted: str) -> str:
    name = "-".join(re.findall(r"[a-z0-9]+", wanted.lower()))
    if not 1 <= len(name) <= LONGEST_NAME:
        raise typer.BadParameter(
            f"must have 1 to {LONGEST_NAME} letters a-z or digits", param_hint="--name"
        )
    return name


def _write(line: str) -> None:
    sys.stdout.write(line + "\n")
