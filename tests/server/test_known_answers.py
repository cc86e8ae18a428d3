"""A judge that fails what is known is told everywhere, and used only if the operator says so."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from revision.known_answers import CRITERIA, GOOD, QUESTION
from server import known_answers
from server.app import create_app
from server.known_answers import watching
from server.settings import Settings
from tests.fakes.vllm import DRAFT, MODEL, FakeVLLM, Status, verdicts, yes_no
from tests.server.conftest import Opener
from tests.server.gateway import Gateway

KNOWN = {one.text for one in CRITERIA}
sound = verdicts(lambda answer, criterion: criterion not in KNOWN or answer == GOOD)


@asynccontextmanager
async def watched(gateway: Gateway, *names: str) -> AsyncIterator[None]:
    """Run the watch until these judges are known."""
    async with watching(gateway.services):
        async with asyncio.timeout(10):
            while not gateway.services.judges.outcomes.keys() >= set(names or {MODEL}):  # noqa: ASYNC110  # what is awaited is not one event
                await asyncio.sleep(0.005)
        yield


async def gauge(gateway: Gateway, model: str = MODEL) -> dict[str, float]:
    text = (await gateway.get("/metrics")).body.decode()
    lines = [one for one in text.splitlines() if one.startswith("clinalign_judge_known_answers{")]
    return {
        side: float(line.split()[-1])
        for side in ("right", "wrong", "unread")
        for line in lines
        if f'model="{model}"' in line and f'outcome="{side}"' in line
    }


async def test_a_judge_that_passes_is_told_in_the_log_and_in_a_metric(
    gateway: Gateway, vllm: FakeVLLM, caplog: pytest.LogCaptureFixture
):
    vllm.script["judge"] = sound
    caplog.set_level(logging.INFO, "clinalign")
    async with watched(gateway):
        assert await gauge(gateway) == {"right": 10, "wrong": 0, "unread": 0}
        assert (await gateway.get("/readyz")).json == {"ready": True, "problems": {}}
    assert f"judge {MODEL}: 10 of 10 known answers judged rightly" in caplog.messages


async def test_a_judge_that_fails_is_told_in_the_log_in_a_metric_and_by_readiness(
    gateway: Gateway, vllm: FakeVLLM, caplog: pytest.LogCaptureFixture
):
    vllm.script["judge"] = yes_no(0.99)
    async with watched(gateway):
        assert await gauge(gateway) == {"right": 5, "wrong": 5, "unread": 0}
        ready = await gateway.get("/readyz")
        assert (ready.status, ready.json["ready"]) == (200, True)
        assert ready.json["problems"] == {"judge": f"{MODEL}: 5 of 10 known answers judged rightly"}
        reply = await gateway.chat()
        assert reply.revision["status"] == "kept_draft"  # used nevertheless, as the log says
    (told,) = [one for one in caplog.records if "known answers" in one.getMessage()]
    assert told.levelno == logging.WARNING
    assert "its verdicts are used nevertheless" in told.getMessage()
    assert "--judge-upstream" in told.getMessage()


@pytest.mark.parametrize("on_degraded", ["mark", "notice", "error"])
async def test_with_the_setting_a_judge_that_fails_leaves_answers_unreviewed(
    open_gateway: Opener, vllm: FakeVLLM, on_degraded: str
):
    vllm.script["judge"] = yes_no(0.99)
    gateway = await open_gateway(failed_judge="unreviewed", on_degraded=on_degraded)
    async with watched(gateway):
        vllm.requests.clear()
        whole, stream = await gateway.chat(), await gateway.stream()
    if on_degraded == "error":
        assert (whole.status, whole.error["code"]) == (502, "review_degraded")
        assert stream.chunks[-1]["error"]["code"] == "review_degraded"
    else:
        assert whole.outcome == ("unreviewed", "model_error")
        assert stream.revision["status"] == "unreviewed"
        assert whole.text == stream.text
        assert whole.text.startswith(DRAFT)
        assert (whole.text != DRAFT) is (on_degraded == "notice")
    assert {one.step for one in vllm.requests} == {"draft"}


async def test_with_the_setting_a_judge_that_passes_is_used(open_gateway: Opener, vllm: FakeVLLM):
    vllm.script["judge"] = sound
    gateway = await open_gateway(failed_judge="unreviewed")
    assert (await gateway.chat()).revision["status"] == "unreviewed", "not asked yet"
    async with watched(gateway):
        assert (await gateway.chat()).outcome == ("clean", "all_met")


async def test_a_model_that_appears_later_is_asked_once_a_request_names_it(
    open_gateway: Opener, vllm: FakeVLLM
):
    vllm.script["judge"] = sound
    gateway = await open_gateway(failed_judge="unreviewed")
    async with watched(gateway):
        vllm.models.append("new-model")
        await gateway.services.catalog.check()
        assert (await gateway.chat(model="new-model")).revision["status"] == "unreviewed"
        async with asyncio.timeout(10):
            while (await gateway.chat(model="new-model")).revision["status"] != "clean":
                pass


async def test_every_model_on_offer_is_asked_and_each_once(gateway: Gateway, vllm: FakeVLLM):
    vllm.script["judge"] = sound
    vllm.models.append("second")
    async with watched(gateway, MODEL, "second"):
        await gateway.chat()
    asked = [one.body["model"] for one in vllm.of("judge") if QUESTION in str(one.body)]
    assert {name: asked.count(name) for name in asked} == {MODEL: 10, "second": 10}


async def test_a_judge_of_its_own_is_asked_and_the_writer_is_not(
    open_gateway: Opener, vllm: FakeVLLM
):
    async with FakeVLLM({"judge": sound}) as other:
        other.models = ["judge-model"]
        vllm.models.append("second")
        gateway = await open_gateway(judge_upstream=other.url, judge_model="judge-model")
        async with watched(gateway, "judge-model"):
            assert await gauge(gateway, "judge-model") == {"right": 10, "wrong": 0, "unread": 0}
        assert len(other.requests) == 10
        assert not vllm.requests


@pytest.mark.parametrize("down", ["models", "judge"])
async def test_a_judge_that_cannot_be_asked_is_told_once_and_asked_again(
    gateway: Gateway,
    vllm: FakeVLLM,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    down: str,
):
    monkeypatch.setattr(known_answers, "RETRY_S", 0.01)
    if down == "models":
        vllm.models_reply = Status(status=404)
    vllm.script["judge"] = vllm.script["judge-retry"] = Status(status=404)
    async with watching(gateway.services):
        await asyncio.sleep(0.5)
        assert not gateway.services.judges.outcomes
        assert await gauge(gateway) == {}
        vllm.models_reply = None
        vllm.script["judge"] = sound
        async with watched(gateway):
            assert gateway.services.judges.outcomes[MODEL].passed
    told = [one for one in caplog.messages if "could not be asked" in one]
    assert len(told) in {1, 2}  # a listing and a judge may fail in different words
    assert not any(words in line for words in (QUESTION, GOOD) for line in caplog.messages)


async def test_requests_do_not_wait_for_the_known_answers(gateway: Gateway, vllm: FakeVLLM):
    known = asyncio.Event()

    def judge(body: dict) -> object:
        if QUESTION in str(body["messages"]):
            known.set()
            return Status(status=503, headers={"retry-after": "4"})
        return yes_no(0.99)

    vllm.script["judge"] = judge
    async with watching(gateway.services):
        await asyncio.wait_for(known.wait(), 5)
        assert (await gateway.chat()).status == 200


async def test_the_application_asks_by_itself_when_it_starts(vllm: FakeVLLM, tmp_path: Path):
    vllm.script["judge"] = sound
    app = create_app(Settings(upstream=(vllm.url,), data_dir=tmp_path))
    async with app.router.lifespan_context(app) as state, asyncio.timeout(10):
        while not state["services"].judges.outcomes:  # noqa: ASYNC110  # as above
            await asyncio.sleep(0.005)
    assert len(vllm.of("judge")) == 10


async def test_known_answers_wait_for_slots_like_anyone_and_give_them_back(
    open_gateway: Opener, vllm: FakeVLLM
):
    vllm.script["judge"] = sound
    gateway = await open_gateway(calls_at_once=1)
    admission = gateway.services.admission
    holder = await admission.enter("a client")
    async with watching(gateway.services):
        async with asyncio.timeout(2):
            while not admission.waiting:  # noqa: ASYNC110  # it tells nobody
                await asyncio.sleep(0.005)
        assert not vllm.requests
        holder.close()
        async with asyncio.timeout(10):
            while MODEL not in gateway.services.judges.outcomes:  # likewise
                assert admission.running <= 1
                await asyncio.sleep(0.005)
    assert admission.running == 0


async def test_a_full_queue_puts_the_known_answers_off_and_fails_no_judge(
    open_gateway: Opener, vllm: FakeVLLM, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(known_answers, "RETRY_S", 0.05)
    vllm.script["judge"] = sound
    gateway = await open_gateway(calls_at_once=1, queue_length=0)
    holder = await gateway.services.admission.enter("a client")
    async with watching(gateway.services):
        await asyncio.sleep(0.2)
        assert not gateway.services.judges.outcomes
        holder.close()
        async with asyncio.timeout(10):
            while MODEL not in gateway.services.judges.outcomes:  # noqa: ASYNC110  # one event
                await asyncio.sleep(0.005)
    assert gateway.services.judges.outcomes[MODEL].passed
