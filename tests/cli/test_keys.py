"""`keys`: a key is shown once, what is kept can be listed, and a revoked one stays revoked."""

import json
import re
import stat
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from server.cli import main
from server.keys.key import FORM
from tests.cli.program import Outcome, run

Here = Callable[..., Outcome]


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], empty: Path) -> Here:
    """Run commands in this process, which takes no second to start."""

    def run_here(*arguments: str, **settings: str) -> Outcome:
        with monkeypatch.context() as patch:
            patch.setattr(sys, "argv", ["clinalign-serve", "keys", *arguments])
            patch.setenv("CLINALIGN_DATA_DIR", str(empty))
            for name, value in settings.items():
                patch.setenv(f"CLINALIGN_{name}", value)
            with pytest.raises(SystemExit) as left:
                main()
        shown = capsys.readouterr()
        return Outcome(status=int(left.value.code or 0), out=shown.out, err=shown.err)

    return run_here


def added(here: Here, *options: str) -> dict[str, object]:
    outcome = here("add", "--json", *options)
    assert (outcome.status, outcome.err) == (0, "")
    return json.loads(outcome.out)


def listed(here: Here) -> list[dict[str, object]]:
    outcome = here("list", "--json")
    assert outcome.status == 0
    return [json.loads(line) for line in outcome.out.splitlines()]


def test_a_key_is_shown_once_and_kept_as_a_hash(empty: Path, here: Here):
    outcome = run("keys", "add", "--note", "ward 5", data=empty)
    assert outcome.status == 0
    shown = FORM.fullmatch(outcome.out.strip())
    assert shown
    assert "only its hash is kept" in outcome.err
    kept = (empty / "keys.json").read_text()
    assert shown[2] not in kept + outcome.err
    assert stat.S_IMODE((empty / "keys.json").stat().st_mode) == 0o600
    (told,) = listed(here)
    assert (told["id"], told["state"], told["note"]) == (shown[1], "active", "ward 5")
    assert told["scopes"] == ["chat", "critique"]
    assert not {"digest", "key"} & set(told)
    table = run("keys", "list", data=empty).out
    assert shown[1] in table
    assert shown[2] not in table


def test_all_that_was_asked_for_is_kept(here: Here):
    limits = ("--requests-per-minute", "60", "--tokens-per-minute", "90000", "--at-once", "3")
    more = ("--scope", "records", "--scope", "review", "--mode", "standard", "--expires", "90d")
    made = added(here, *limits, *more)
    assert FORM.fullmatch(str(made.pop("key")))
    (told,) = listed(here)
    assert told == {**made, "state": "active"}
    assert told["scopes"] == ["records", "review"]
    assert (told["requests_per_minute"], told["tokens_per_minute"], told["at_once"]) == (
        60,
        90000,
        3,
    )
    assert told["modes"] == ["standard"]
    left = datetime.fromisoformat(str(told["expires"])) - datetime.now(UTC)
    assert timedelta(days=89, hours=23) < left <= timedelta(days=90)


def test_a_revoked_key_stays_revoked_and_others_stay(here: Here):
    one, other = added(here), added(here)
    outcome = here("revoke", str(one["id"]))
    assert (outcome.status, outcome.out) == (0, f"{one['id']} is revoked\n")
    when = listed(here)[0]["revoked"]
    again = here("revoke", str(one["id"]), "--json")
    assert json.loads(again.out)["revoked"] == when
    assert {told["id"]: told["state"] for told in listed(here)} == {
        one["id"]: "revoked",
        other["id"]: "active",
    }


def test_a_key_that_is_not_there_is_told(here: Here):
    outcome = here("revoke", "nonsense")
    assert outcome.status == 1
    assert "there is no key 'nonsense'" in outcome.error


def test_no_keys_are_no_failure(here: Here):
    outcome = here("list")
    assert (outcome.status, outcome.out) == (0, "")
    assert "keys add" in outcome.err


WRONG = {
    "unknown scope": (["--scope", "zebra"], "--scope"),
    "unknown mode": (["--mode", "zebra"], "--mode"),
    "no number": (["--requests-per-minute", "many"], "integer"),
    "none at all": (["--tokens-per-minute", "0"], "equal to 1"),
    "in the past": (["--expires", "2020-01-01"], "future"),
    "no time": (["--expires", "soon"], "--expires"),
    "a period of nothing": (["--expires", "0d"], "future"),
    "a period beyond all calendars": (["--expires", "99999999d"], "--expires"),
    "a note of two lines": (["--note", "a\nb"], "--note"),
    "a long note": (["--note", "a" * 201], "--note"),
}


@pytest.mark.parametrize(("options", "named"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_option_makes_no_key(empty: Path, here: Here, options: list[str], named: str):
    outcome = here("add", *options)
    assert outcome.status == 2
    assert named in outcome.error
    assert outcome.out == ""
    assert not (empty / "keys.json").exists()


@pytest.mark.parametrize(
    ("settings", "status", "named"),
    [
        ({"KEYS_DATABASE": "mysql://h/n"}, 2, "postgresql://"),
        ({"KEYS_DATABASE": "postgresql://127.0.0.1:9/n"}, 1, "OperationalError"),
        ({"KEYS_DATABASE": "postgres://h/n", "KEYS_FILE": "x.json"}, 2, "exclude"),
        ({"KEYS_FILE": "/proc/nowhere/keys.json"}, 1, "/proc/nowhere/keys.json"),
    ],
)
def test_a_store_that_cannot_be_used_is_told(here: Here, settings, status: int, named: str):
    outcome = here("add", **settings)
    assert outcome.status == status
    assert named in outcome.error
    assert not re.search(FORM, outcome.out)


def test_a_broken_file_is_told_and_left_alone(empty: Path, here: Here):
    added(here)
    (empty / "keys.json").write_text("{")
    for command in (["add"], ["list"], ["revoke", "x"]):
        outcome = here(*command)
        assert outcome.status == 1
        assert "keys.json" in outcome.error
    assert (empty / "keys.json").read_text() == "{"
