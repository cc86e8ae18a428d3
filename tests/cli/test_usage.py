"""Wrong usage ends with status 2, what fails with 1: one line on standard error, no traceback."""

import signal
import socket
import subprocess

import pytest

from tests.cli.program import NOWHERE, PROGRAM, environment, run

ANY = "0.0.0.0"  # noqa: S104  # what must be refused

WRONG_USAGE = {
    "unknown command": (["nonsense"], "nonsense"),
    "unknown subcommand": (["principles", "nonsense"], "nonsense"),
    "unknown option": (["principles", "list", "--bogus"], "--bogus"),
    "unknown option of serve": (["serve", "--bogus"], "--bogus"),
    "unknown mode": (["ask", "--mode", "bogus", "hi"], "standard"),
    "empty question": (["ask", ""], "empty"),
    "blank question": (["ask", " \n "], "empty"),
    "empty standard input": (["ask", "-"], "empty"),
    "no question": (["ask"], "question"),
    "two questions": (["ask", "one", "two"], "two"),
    "option without its value": (["serve", "--port"], "--port"),
    "port that is no number": (["serve", "--port", "abc"], "integer"),
    "search for nothing": (["principles", "search", " "], "empty"),
    "search for none": (["principles", "search", "-k", "0", "x"], "1"),
    "search for too many": (["principles", "search", "-k", "101", "x"], "100"),
    "no id": (["principles", "show"], "ID"),
}


@pytest.mark.parametrize(("arguments", "named"), WRONG_USAGE.values(), ids=WRONG_USAGE.keys())
def test_wrong_usage_is_told_in_one_line(empty, arguments, named):
    outcome = run(*arguments, data=empty)
    assert outcome.status == 2
    assert named in outcome.error
    assert outcome.out == ""


WRONG_SETTINGS = {
    "port beyond the range": (["serve", "--port", "70000"], {}, "port"),
    "upstream that is no URL": (["ask", "--upstream", "localhost", "hi"], {}, "upstream"),
    "unknown engine": (["ask", "--engine", "vllm", "hi"], {}, "engine"),
    "engine beside an upstream": (
        ["ask", "--upstream", NOWHERE, "--engine", "demo", "hi"],
        {},
        "exclude",
    ),
    "judge without its model": (["doctor", "--judge-upstream", NOWHERE], {}, "judge_model"),
    "configuration that is not there": (
        ["principles", "list", "--config", "none.yaml"],
        {},
        "none.yaml",
    ),
    "wrong variable": (["principles", "list"], {"PORT": "abc"}, "port"),
    "wrong choice in a variable": (["doctor"], {"ON_DEGRADED": "maybe"}, "on_degraded"),
    "open to the world": (["serve", "--host", ANY], {}, "--unprotected"),
    "open to the world by variable": (["serve"], {"HOST": ANY}, "--unprotected"),
    "open to the world in IPv6": (["serve", "--host", "::"], {}, "--unprotected"),
    "a name that may be anything": (["serve", "--host", "example.org"], {}, "--unprotected"),
}


@pytest.mark.parametrize(
    ("arguments", "settings", "named"), WRONG_SETTINGS.values(), ids=WRONG_SETTINGS.keys()
)
def test_a_wrong_setting_is_told_in_one_line(empty, arguments, settings, named):
    outcome = run(*arguments, data=empty, settings=settings)
    assert outcome.status == 2
    assert named in outcome.error
    assert outcome.out == ""


@pytest.mark.parametrize(
    ("content", "named"), [("nonsense: 1\n", "nonsense"), ("port: [\n", "configuration")]
)
def test_a_wrong_configuration_file_is_told_in_one_line(empty, tmp_path, content, named):
    (tmp_path / "settings.yaml").write_text(content)
    outcome = run("principles", "list", "--config", "settings.yaml", data=empty)
    assert outcome.status == 2
    assert named in outcome.error


@pytest.mark.parametrize("arguments", [[], ["principles"]])
def test_without_a_command_the_commands_are_told(empty, arguments):
    outcome = run(*arguments, data=empty)
    assert outcome.status in {0, 2}
    shown = outcome.out + outcome.err
    assert "Commands" in shown
    assert len(shown.splitlines()) > 5  # the help itself, not squeezed into an error line


@pytest.mark.parametrize(
    "arguments", [["--help"], ["serve", "--help"], ["ask", "--help"], ["principles", "--help"]]
)
def test_help_is_no_failure(empty, arguments):
    outcome = run(*arguments, data=empty)
    assert (outcome.status, outcome.err) == (0, "")
    assert "Usage" in outcome.out


def test_a_taken_port_is_told_before_anything_is_loaded(empty):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        outcome = run("serve", "--port", port, "--upstream", NOWHERE, data=empty)
    assert outcome.status == 1
    assert f"127.0.0.1:{port}" in outcome.error
    assert "in use" in outcome.error


def test_an_address_that_is_not_ours_is_told(empty):
    outcome = run("serve", "--host", "192.0.2.1", "--unprotected", "--port", "0", data=empty)
    assert outcome.status == 1
    assert "192.0.2.1" in outcome.error


@pytest.mark.parametrize("mode", ["draft", "fast", "standard", "thorough"])
def test_an_upstream_that_is_down_is_told_in_one_line(empty, mode):
    outcome = run("ask", "--mode", mode, "--upstream", NOWHERE, "hi", data=empty)
    assert outcome.status == 1
    assert "cannot be reached" in outcome.error
    assert outcome.out == ""


def test_a_reader_that_leaves_early_gets_no_traceback(empty):
    command = f"'{PROGRAM}' principles list --json | head -c 1"
    done = subprocess.run(
        ["/bin/sh", "-c", command],
        env=environment(empty),
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.stdout == b"{"
    assert b"Traceback" not in done.stderr
    assert b"Exception" not in done.stderr


def _heed_interrupts() -> None:
    """Undo what a shell's background job hands down: that interrupts are ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_an_interrupted_question_ends_quietly(empty):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(90)
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/v1"
        child = subprocess.Popen(
            [PROGRAM, "ask", "--upstream", url, "hi"],
            env=environment(empty),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            preexec_fn=_heed_interrupts,  # noqa: PLW1509  # one call, no lock, before exec
        )
        with silent.accept()[0] as connection:
            connection.settimeout(90)
            assert connection.recv(1), "the question waits for the model server now"
            child.send_signal(signal.SIGINT)
            _, err = child.communicate(timeout=90)
    assert child.returncode == 130
    assert err == b""
