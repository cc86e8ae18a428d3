"""`clinalign-serve ask`: the answer on standard output, everything else on standard error."""

import asyncio
import json

import pytest

from tests.cli.program import run
from tests.fakes.vllm import DRAFT, MODEL, Status, lacks

pytestmark = pytest.mark.timeout(300)  # the first to need the index waits for it to be built


async def test_a_draft_is_the_answer_and_nothing_else(empty, vllm):
    outcome = await asyncio.to_thread(
        run, "ask", "--mode", "draft", "--upstream", vllm.url, "hi", data=empty
    )
    assert (outcome.status, outcome.out) == (0, f"{DRAFT}\n")
    assert [one.body["messages"][-1]["content"] for one in vllm.of("draft")] == ["hi"]


async def test_a_dash_reads_the_question_from_standard_input(empty, vllm):
    question = "Warum habe ich Kopfweh? 頭痛"
    outcome = await asyncio.to_thread(
        run,
        *("ask", "--mode", "draft", "--upstream", vllm.url, "-"),
        data=empty,
        stdin=question.encode(),
    )
    assert outcome.status == 0, outcome.err
    assert vllm.of("draft")[0].body["messages"][-1]["content"] == question


async def test_each_stage_is_told_on_standard_error(built, vllm):
    outcome = await asyncio.to_thread(
        run, "ask", "--upstream", vllm.url, "I have a headache", data=built
    )
    assert (outcome.status, outcome.out) == (0, f"{DRAFT}\n")
    for stage in ("drafting", "retrieving", "wording the rubric", "checking", "clean (all_met)"):
        assert stage in outcome.err


async def test_the_json_is_the_response_with_its_trace(built, vllm):
    outcome = await asyncio.to_thread(
        run, "ask", "--mode", "fast", "--json", "--upstream", vllm.url, "I feel ill", data=built
    )
    assert outcome.status == 0, outcome.err
    body = json.loads(outcome.out)
    assert body["object"] == "chat.completion"
    assert body["model"] == f"{MODEL}"
    assert body["choices"][0]["message"]["content"] == DRAFT
    revision = body["revision"]
    assert (revision["mode"], revision["status"]) == ("fast", "clean")
    assert revision["trace"]["draft"] == DRAFT
    prompt, completion = vllm.usage()
    assert body["usage"]["prompt_tokens"] == prompt
    assert body["usage"]["completion_tokens"] == completion


async def test_verbose_shows_criteria_and_what_the_revision_changed(built, vllm):
    question = ("ask", "--mode", "fast", "--upstream", vllm.url, "--json", "I feel ill")
    first = json.loads((await asyncio.to_thread(run, *question, data=built)).out)
    wanted = next(one for one in first["revision"]["criteria"] if one["kind"] == "require")[
        "criterion"
    ]
    vllm.script["judge"] = lacks(wanted, unless="stiff neck")
    outcome = await asyncio.to_thread(
        run, "ask", "--mode", "fast", "--upstream", vllm.url, "--verbose", "I feel ill", data=built
    )
    assert outcome.status == 0, outcome.err
    assert "stiff neck" in outcome.out
    told = " ".join(outcome.err.split())
    assert "revised" in told
    assert f"unmet -> met {wanted}" in told
    assert "{+" in told


async def test_the_weakest_link_is_named_when_the_draft_fails(empty, vllm):
    vllm.script["draft"] = Status(status=400)
    outcome = await asyncio.to_thread(
        run, "ask", "--mode", "draft", "--upstream", vllm.url, "canary question", data=empty
    )
    assert (outcome.status, outcome.out) == (1, "")
    assert "canary" not in outcome.err


@pytest.mark.parametrize("way", ["argument", "standard input"])
async def test_a_question_that_is_no_utf8_is_wrong_usage(empty, vllm, way):
    bad = b"caf\xe9"
    question, stdin = (
        (bad.decode("utf-8", "surrogateescape"), b"") if way == "argument" else ("-", bad)
    )
    outcome = await asyncio.to_thread(
        run, "ask", "--mode", "draft", "--upstream", vllm.url, question, data=empty, stdin=stdin
    )
    assert outcome.status == 2
    assert "UTF-8" in outcome.error
