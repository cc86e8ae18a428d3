"""`clinalign-serve keys`: API keys. A key is shown once, when it is made; only a hash is kept."""

import asyncio
import re
import sys
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, TypeVar

import orjson
import typer
from rich.console import Console
from rich.table import Table

from revision.policy import MODES
from server.cli.options import Config
from server.keys.entry import shown
from server.keys.key import SCOPES, Key, KeyLimits, new_key
from server.keys.open import open_store
from server.keys.store import KeyStore
from server.settings import load_settings

Choice = TypeVar("Choice", bound=str)

app = typer.Typer(help="API keys.", no_args_is_help=True, rich_markup_mode=None)

USUAL_SCOPES = ("chat", "critique")
LONGEST_NOTE = 200
_PERIOD = re.compile(r"(\d{1,5})([dh])")

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Limit = Annotated[int | None, typer.Option(min=1, max=10**12)]


@app.command("add")
def add(
    scope: Annotated[
        list[str] | None,
        typer.Option(help=f"What it opens: {', '.join(SCOPES)}; may come again. [chat, critique]"),
    ] = None,
    expires: Annotated[
        str | None,
        typer.Option(help="When it ends: 90d, 12h, 2027-01-31, or a time as 2027-01-31T12:00Z."),
    ] = None,
    note: Annotated[str, typer.Option(help="Whose it is and what for, to know it by.")] = "",
    requests_per_minute: Limit = None,
    tokens_per_minute: Limit = None,
    at_once: Annotated[
        int | None, typer.Option(min=1, max=10**6, help="Requests at once, by each gateway.")
    ] = None,
    mode: Annotated[
        list[str] | None,
        typer.Option(help=f"A mode it may use: {', '.join(MODES)}; may come again. [all]"),
    ] = None,
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Make a key, and print it: it is not shown again."""
    if len(note) > LONGEST_NOTE or not (note.isprintable()):
        raise typer.BadParameter("at most 200 printable characters", param_hint="--note")
    limits = KeyLimits(
        requests_per_minute=requests_per_minute,
        tokens_per_minute=tokens_per_minute,
        at_once=at_once,
        modes=frozenset(_chosen(mode or (), MODES, "--mode")),
    )
    key, text = new_key(
        frozenset(_chosen(scope or USUAL_SCOPES, SCOPES, "--scope")),
        expires=_end(expires) if expires is not None else None,
        note=note,
        limits=limits,
    )
    asyncio.run(_add(config, key))
    if as_json:
        _print_json({**shown(key), "key": text})
    else:
        sys.stdout.write(f"{text}\n")
        _tell(f"key {key.id}: keep it now, only its hash is kept here")


@app.command("list")
def list_all(as_json: AsJson = False, config: Config = None) -> None:
    """List the keys, those that are over included."""
    keys = asyncio.run(_read(config))
    now = datetime.now(UTC)
    if as_json:
        for key in keys:
            _print_json({**shown(key), "state": key.state(now)})
        return
    if not keys:
        _tell("there are no keys; make one with `clinalign-serve keys add`")
        return
    table = Table("ID", "STATE", "SCOPES", "LIMITS", "CREATED", "EXPIRES", "NOTE", box=None)
    for key in keys:
        expires = key.expires.strftime("%Y-%m-%d %H:%M") if key.expires else "never"
        created = key.created.strftime("%Y-%m-%d")
        scopes, limits = ",".join(sorted(key.scopes)), _limits(key.limits)
        table.add_row(key.id, key.state(now), scopes, limits, created, expires, key.note)
    Console(highlight=False, markup=False, soft_wrap=True, width=200).print(table)


@app.command("revoke")
def revoke(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="The key's id, as `list` shows it.")],
    as_json: AsJson = False,
    config: Config = None,
) -> None:
    """Refuse a key from now on; requests that run end as they would."""
    key = asyncio.run(_revoke(config, key_id))
    if as_json:
        _print_json({**shown(key), "state": "revoked"})
    else:
        sys.stdout.write(f"{key.id} is revoked\n")


async def _add(config: Path | None, key: Key) -> None:
    async with _store(config) as store:
        await store.add(key)


async def _read(config: Path | None) -> tuple[Key, ...]:
    async with _store(config) as store:
        return await store.read()


async def _revoke(config: Path | None, key_id: str) -> Key:
    async with _store(config) as store:
        return await store.revoke(key_id, datetime.now(UTC).replace(microsecond=0))


@asynccontextmanager
async def _store(config: Path | None) -> AsyncIterator[KeyStore]:
    store = open_store(load_settings(config))
    try:
        yield store
    finally:
        await store.close()


def _chosen(given: Collection[str], known: tuple[Choice, ...], option: str) -> list[Choice]:
    """Return the choices, each one of those known."""
    for value in given:
        if value not in known:
            raise typer.BadParameter(f"must be one of {', '.join(known)}", param_hint=option)
    return [choice for choice in known if choice in set(given)]


def _end(text: str) -> datetime:
    """Return the time that is meant: a period from now, a day's end, or a time."""
    now = datetime.now(UTC).replace(microsecond=0)
    if period := _PERIOD.fullmatch(text):
        number = int(period[1])
        end = now + (timedelta(days=number) if period[2] == "d" else timedelta(hours=number))
    else:
        try:
            end = datetime.fromisoformat(text)
        except ValueError:
            raise typer.BadParameter(
                "must be such as 90d, 12h, 2027-01-31 or 2027-01-31T12:00Z", param_hint="--expires"
            ) from None
        end = end if end.tzinfo else end.replace(tzinfo=UTC)
    if end <= now:
        raise typer.BadParameter("must be in the future", param_hint="--expires")
    return end


def _limits(limits: KeyLimits) -> str:
    told = [
        f"{limits.requests_per_minute} requests/min" if limits.requests_per_minute else "",
        f"{limits.tokens_per_minute} tokens/min" if limits.tokens_per_minute else "",
        f"{limits.at_once} at once" if limits.at_once else "",
        f"only {','.join(sorted(limits.modes))}" if limits.modes else "",
    ]
    return "; ".join(filter(None, told)) or "none"


def _print_json(value: object) -> None:
    sys.stdout.write(orjson.dumps(value).decode() + "\n")


def _tell(line: str) -> None:
    """Tell a person, beside the output that a program may read."""
    sys.stderr.write(line + "\n")
