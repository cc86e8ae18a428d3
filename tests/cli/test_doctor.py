"""`clinalign-serve doctor`: a finding says what it is about and, if it is bad, what mends it."""

import asyncio
import json

import pytest

from revision.known_answers import GOOD
from tests.cli.program import NOWHERE, run
from tests.fakes.vllm import MODEL, Status, verdicts

pytestmark = pytest.mark.timeout(300)  # the first to need the index waits for it to be built


def findings(out: str) -> dict[str, tuple[str, str]]:
    """Return subject -> (level, text)."""
    found = {}
    for line in out.splitlines():
        level, rest = line[:5].strip(), line[5:]
        subject, text = rest.split(": ", 1)
        found[subject] = (level, text)
    return found


def test_without_an_index_and_an_upstream_both_are_told_with_what_mends_them(empty):
    outcome = run("doctor", "--upstream", NOWHERE, data=empty)
    assert (outcome.status, outcome.err) == (1, "")
    found = findings(outcome.out)
    assert found["principles"][0] == "fail"
    assert "clinalign-serve principles build" in found["principles"][1]
    assert found["upstream"][0] == "fail"
    assert "--upstream" in found["upstream"][1]


def test_an_upstream_that_is_down_does_not_hide_that_the_principles_are_well(built):
    outcome = run("doctor", "--upstream", NOWHERE, "--json", data=built)
    assert (outcome.status, outcome.err) == (1, "")
    levels = {one["subject"]: one["level"] for one in map(json.loads, outcome.out.splitlines())}
    assert levels == {"principles": "ok", "upstream": "fail"}


def test_a_damaged_index_is_told(built):
    (built / "index" / "rubrics.faiss").write_bytes(b"damaged")
    outcome = run("doctor", "--upstream", NOWHERE, data=built)
    assert outcome.status == 1
    level, text = findings(outcome.out)["principles"]
    assert level == "fail"
    assert "rubrics" in text
    assert "principles build" in text


def test_an_embedder_that_is_not_there_is_told(built, tmp_path):
    settings = {"EMBEDDER": str(tmp_path / "no-such-model")}
    outcome = run("doctor", "--upstream", NOWHERE, data=built, settings=settings)
    assert outcome.status == 1
    level, text = findings(outcome.out)["principles"]
    assert level == "fail"
    assert "no-such-model" in text


async def test_a_judge_that_is_down_is_told(built, vllm):
    judge = ("--judge-upstream", NOWHERE, "--judge-model", "judge")
    outcome = await asyncio.to_thread(run, "doctor", "--upstream", vllm.url, *judge, data=built)
    assert outcome.status == 1
    assert any(line.startswith("fail") and "judge" in line for line in outcome.out.splitlines())


async def test_a_gateway_that_can_answer_has_no_failing_finding(built, vllm):
    vllm.script["probe"] = '{"ok": true}'
    outcome = await asyncio.to_thread(run, "doctor", "--upstream", vllm.url, data=built)
    assert (outcome.status, outcome.err) == (0, "")
    found = findings(outcome.out)
    assert found["principles"][0] == "ok"
    assert found[f"model {MODEL}"] == ("ok", "context 32768 tokens")
    assert found["json schema"][0] == "ok"
    level, text = found[f"judge {MODEL}"]  # the fake's judge says yes to everything
    assert level == "warn"
    assert "5 of 10 known answers" in text
    assert "--judge-upstream" in text
    assert "fail" not in {level for level, _ in found.values()}


async def test_a_judge_that_knows_what_is_known_is_told_to(built, vllm):
    vllm.script["judge"] = verdicts(lambda answer, _: answer == GOOD)
    outcome = await asyncio.to_thread(run, "doctor", "--upstream", vllm.url, data=built)
    told = findings(outcome.out)[f"judge {MODEL}"]
    assert told == ("ok", "10 of 10 known answers judged rightly")


@pytest.mark.parametrize("status", [401, 404, 500])
async def test_an_upstream_that_refuses_is_told_in_its_own_line(empty, vllm, status):
    vllm.models_reply = Status(status=status)
    outcome = await asyncio.to_thread(run, "doctor", "--upstream", vllm.url, data=empty)
    assert (outcome.status, outcome.err) == (1, "")
    assert findings(outcome.out)["upstream"][0] == "fail"


async def test_a_model_that_the_upstream_lacks_is_told(empty, vllm):
    outcome = await asyncio.to_thread(
        run, "doctor", "--upstream", vllm.url, "--upstream-model", "other", data=empty
    )
    assert outcome.status == 1
    level, text = findings(outcome.out)["upstream"]
    assert level == "fail"
    assert "does not offer the model" in text


async def test_an_engine_that_anybody_can_ask_is_told(built, vllm):
    vllm.script["probe"] = '{"ok": true}'
    outcome = await asyncio.to_thread(run, "doctor", "--upstream", vllm.url, data=built)
    level, text = findings(outcome.out)["engine 1"]
    assert level == "warn"
    assert "/v1/models" in text
    assert "without a key" in text
