"""`clinalign-serve principles distill`: it takes up where it stopped, and says what failed."""

import asyncio
import json
from pathlib import Path

import pytest

from tests.cli.program import Outcome, run
from tests.fakes.vllm import FakeVLLM

pytestmark = pytest.mark.timeout(300)

CHECK = {"criterion": "States the daily limit", "points": 8, "kind": "require", "critical": True}
WORDING = {
    "title": "Whole doses",
    "text": "Give dose, interval and daily limit, since each alone can mislead.",
    "criteria": [CHECK, {**CHECK, "criterion": "Leaves out the unit", "kind": "forbid"}],
    "dimensions": {},
}
GOOD = json.dumps(WORDING)
TOPICS = ("daily dose of paracetamol", "call an ambulance", "explain the word", "cost of care")


@pytest.fixture
def rubrics(tmp_path: Path) -> Path:
    path = tmp_path / "rubrics.jsonl"
    lines = [
        {
            "id": f"q{number}",
            "messages": [{"role": "user", "content": "?"}],
            "rubric": [{"criterion": f"{topic} {number}", "points": 5} for topic in TOPICS],
        }
        for number in range(3)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


async def distilled(vllm: FakeVLLM, rubrics: Path, *more: str) -> Outcome:
    out = str(rubrics.with_name("drafts.jsonl"))
    command = ("principles", "distill", str(rubrics), "--out", out, "--count", "4")
    upstream = ("--upstream", vllm.url)
    return await asyncio.to_thread(run, *command, *upstream, *more, data=rubrics.parent / "data")


def drafts(rubrics: Path) -> list[dict]:
    path = rubrics.with_name("drafts.jsonl")
    return [json.loads(line) for line in path.read_text().splitlines()]


async def test_what_failed_is_told_and_taken_up_again(vllm, rubrics):
    vllm.script["distill"] = [GOOD, "no", "no", GOOD, GOOD]
    first = await distilled(vllm, rubrics, "--config", str(_in_a_row(rubrics)))
    assert first.status == 1
    assert "1 could not be worded: Unparsable (1); run again" in " ".join(first.err.split())
    assert len(drafts(rubrics)) == 3

    # Killed while writing: half a line is left behind.
    path = rubrics.with_name("drafts.jsonl")
    path.write_text(path.read_text() + '{"run": "half')
    vllm.script["distill"] = GOOD
    before = len(vllm.of("distill"))
    second = await distilled(vllm, rubrics)
    assert second.status == 0, second.err
    assert len(vllm.of("distill")) - before == 1
    assert sorted(draft["cluster"] for draft in drafts(rubrics)) == [0, 1, 2, 3]
    assert all(draft["support"] for draft in drafts(rubrics))


async def test_drafts_of_another_run_are_left_alone(vllm, rubrics):
    vllm.script["distill"] = GOOD
    assert (await distilled(vllm, rubrics)).status == 0
    kept = drafts(rubrics)
    other = await distilled(vllm, rubrics, "--seed", "1")
    assert other.status == 1
    assert "another run" in other.err
    assert drafts(rubrics) == kept


async def test_a_file_of_something_else_is_left_alone(vllm, rubrics):
    rubrics.with_name("drafts.jsonl").write_text("my notes\n")
    outcome = await distilled(vllm, rubrics)
    assert outcome.status == 1
    assert "line 1: is no draft" in outcome.err
    assert rubrics.with_name("drafts.jsonl").read_text() == "my notes\n"


def _in_a_row(rubrics: Path) -> Path:
    path = rubrics.with_name("settings.yaml")
    path.write_text("judgements_at_once: 1\n")
    return path
