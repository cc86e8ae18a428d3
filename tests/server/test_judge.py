"""Who judges, and how: through the gateway, on real sockets."""

from collections.abc import AsyncIterator

import pytest

from tests.fakes.library import SIGNS
from tests.fakes.vllm import MODEL, REVISED, Answer, FakeVLLM, Rule, Status, lacks, proposal
from tests.server.conftest import Opener
from tests.server.gateway import Gateway

KWARGS = "chat_template_kwargs"
OFF = {"enable_thinking": False, "thinking": False}
SIGNED = lacks(SIGNS, unless="stiff neck")


@pytest.fixture
async def other() -> AsyncIterator[FakeVLLM]:
    async with FakeVLLM() as server:
        server.models = ["judge-model"]
        yield server
    assert server.complaints == []


async def answered(gateway: Gateway) -> tuple[str, str, dict]:
    """Return status, text and usage; asked whole and streamed, which must agree."""
    whole, stream = await gateway.chat(), await gateway.stream()
    assert (stream.revision["status"], stream.text) == (whole.revision["status"], whole.text)
    assert stream.revision["usage"] == whole.revision["usage"]
    return whole.revision["status"], whole.text, whole.revision["usage"]


async def test_a_judge_of_its_own_gives_every_verdict_and_nothing_else(
    open_gateway: Opener, vllm: FakeVLLM, other: FakeVLLM
):
    other.script["judge"] = SIGNED
    gateway = await open_gateway(
        judge_upstream=other.url, judge_model="judge-model", judge_api_key="judge-key"
    )
    status, text, usage = await answered(gateway)
    assert (status, text) == ("revised", REVISED)
    assert {one.step for one in other.requests} == {"judge"}
    assert {one.body["model"] for one in other.requests} == {"judge-model"}
    assert {one.headers["authorization"] for one in other.requests} == {"Bearer judge-key"}
    assert {one.step for one in vllm.requests} == {"draft", "rubric", "critique", "revise"}
    assert not any("authorization" in one.headers for one in vllm.requests)
    spent = [one.prompt for one in (*other.served, *vllm.served)]
    assert sum(step["prompt_tokens"] for step in usage.values()) * 2 == sum(spent)


@pytest.mark.parametrize("fault", [Status(status=500), Answer(text="Well")])
async def test_a_judge_of_its_own_that_fails_is_not_replaced_by_the_writer(
    open_gateway: Opener, vllm: FakeVLLM, other: FakeVLLM, fault: Rule
):
    other.script = {"judge": fault, "judge-retry": fault}
    gateway = await open_gateway(judge_upstream=other.url, judge_model="judge-model")
    status, _, _ = await answered(gateway)
    assert status == "unreviewed"
    assert not vllm.of("judge")


async def test_a_judge_of_its_own_that_is_down_costs_the_review_and_not_the_answer(
    open_gateway: Opener, vllm: FakeVLLM, other: FakeVLLM
):
    gateway = await open_gateway(judge_upstream=other.url, judge_model="judge-model")
    await other.stop()
    reply = await gateway.chat()
    assert (reply.status, reply.outcome) == (200, ("unreviewed", "model_error"))


async def test_what_is_hidden_is_asked_for_without_thinking_and_answers_as_the_operator_wants(
    open_gateway: Opener, vllm: FakeVLLM
):
    vllm.script["judge"] = SIGNED
    gateway = await open_gateway(
        upstream_options={KWARGS: {"enable_thinking": True}, "top_k": 20},
        judge_options={"top_k": 1, "reasoning_effort": "low"},
    )
    assert (await answered(gateway))[0] == "revised"
    for one in vllm.requests:
        judging = one.step == "judge"
        is_answer = one.step in {"draft", "revise"}
        assert one.body[KWARGS] == ({"enable_thinking": True} if is_answer else OFF)
        assert one.body["top_k"] == (1 if judging else 20)
        assert one.body.get("reasoning_effort") == ("low" if judging else None)


async def test_a_server_that_refuses_the_switch_still_judges(gateway: Gateway, vllm: FakeVLLM):
    judge = SIGNED
    vllm.script |= {
        step: lambda body, rule=rule: Status(status=400) if KWARGS in body else rule(body)
        for step, rule in {"judge": judge, "rubric": proposal}.items()
    }
    assert (await answered(gateway))[0] == "revised"
    asked = [KWARGS in one.body for one in vllm.of("judge")]
    later = asked[len(asked) // 2 :]
    assert not any(later), "learned once, not for each request"


@pytest.mark.parametrize("mass", [0.89, 0.5, 0.0])
async def test_below_nine_tenths_of_yes_and_no_the_schema_s_verdict_counts(
    gateway: Gateway, vllm: FakeVLLM, mass: float
):
    shares = {"yes": mass, "no": 0.0, "It": 1 - mass}
    vllm.script = {
        "judge": Answer(text="yes", finish_reason="length", first_token=shares),
        "judge-retry": '{"verdict": "no"}',
    }
    reply = await gateway.chat()
    assert reply.revision["status"] == "kept_draft"
    assert len(vllm.of("judge-retry")) == len(vllm.of("judge"))
    assert all(one.body[KWARGS] == OFF for one in vllm.of("judge-retry"))
    assert {one.body["model"] for one in vllm.requests} == {MODEL}
