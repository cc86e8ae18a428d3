"""What nobody foresaw in a hidden step costs the review, not the answer, and is logged bare."""

import logging

import pytest

from revision import steps
from tests.fakes.library import SIGNS
from tests.fakes.vllm import DRAFT, REVISED, FakeVLLM, lacks
from tests.server.gateway import Gateway

SECRET = "my sister's rash"


def raising(*_: object, **__: object) -> None:
    raise ZeroDivisionError(SECRET)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(
    ("step", "status"),
    [
        ("prepare", "unreviewed"),
        ("judge", "unreviewed"),
        ("explain", "kept_draft"),
        ("revise", "kept_draft"),
        ("merge", "kept_draft"),
        ("inspect", "kept_draft"),
        ("doubt", "kept_draft"),
    ],
)
async def test_a_mistake_of_ours_costs_the_review_and_not_the_answer(  # noqa: PLR0913, PLR0917  # fixtures
    step: str,
    status: str,
    stream: bool,  # noqa: FBT001
    gateway: Gateway,
    vllm: FakeVLLM,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
):
    vllm.script["judge"] = lacks(SIGNS, unless=REVISED)
    monkeypatch.setattr(steps, step, raising)
    mode = "thorough" if step == "merge" else "standard"
    caplog.set_level(logging.ERROR, "clinalign")
    reply = await (gateway.stream if stream else gateway.chat)(mode)
    assert (reply.status, reply.text) == (200, DRAFT)
    assert reply.revision["status"] == status
    assert reply.revision["stop_reason"] == "model_error"
    (line,) = caplog.messages
    assert "ZeroDivisionError" in line
    assert SECRET not in caplog.text


async def test_without_a_draft_a_mistake_of_ours_is_told_as_one(
    gateway: Gateway, vllm: FakeVLLM, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(steps, "draft", raising)
    reply = await gateway.chat("fast")
    assert (reply.status, reply.error["code"]) == (500, "internal_error")
