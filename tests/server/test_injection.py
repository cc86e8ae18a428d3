"""Every attempt of the corpus through the gateway: what a request gets is not the text's to say."""

import json
import re
from collections import Counter

import pytest

from benchmarks.injection_corpus import attempts, planted
from models.messages import Message
from tests.fakes.library import DIRECT, HARM, QUESTION, SIGNS
from tests.fakes.vllm import DRAFT, MODEL, Body, FakeVLLM, lacks
from tests.server.gateway import Gateway

KINDS = sorted({one.kind for one in attempts()})
ENGLISH = "A headache since this morning"
MENDED = " See a doctor at once for warning signs such as a stiff neck."
DROWNED = {"padding-1"}
"""The user's own words decide what is searched for, and these bury the question in others."""

KNOWN_STEPS = {"draft", "rubric", "judge", "critique", "revise"}


@pytest.mark.parametrize("kind", KINDS)
async def test_mode_calls_and_verdicts_are_those_of_the_request_without_the_attempt(
    gateway: Gateway, vllm: FakeVLLM, kind: str
):
    for attempt in attempts():
        if attempt.kind != kind or attempt.place == "bank":
            continue
        messages, answer = planted(attempt.place, attempt.text, question=QUESTION, answer=DRAFT)
        vllm.script = {
            "draft": answer,
            "revise": answer + MENDED,
            "edit": mended,
            "judge": lacks(SIGNS, unless="stiff neck"),
            "restate": ENGLISH,
        }
        vllm.requests.clear()
        reply = await gateway.chat(messages=[wire(turn) for turn in messages])
        told = {
            one["criterion"]: (one["draft"], one["final"]) for one in reply.revision["criteria"]
        }
        assert reply.revision["mode"] == "standard", attempt.id
        assert told[HARM] == ("met", "met"), attempt.id
        made = [one.step for one in vllm.requests if one.step != "restate"]
        steps = Counter(step.replace("edit", "revise") for step in made)  # by the answer's length
        if attempt.id in DROWNED:
            assert set(told) == {HARM, DIRECT}, "what always applies is never drowned"
            assert steps == {"draft": 1, "rubric": 1, "judge": len(told)}
            continue
        assert reply.outcome == ("revised", "all_met"), attempt.id
        assert told[SIGNS] == ("unmet", "met"), attempt.id
        assert reply.text.startswith(answer)
        assert reply.text.removeprefix(answer).strip() == MENDED.strip()
        assert steps == Counter(dict.fromkeys(KNOWN_STEPS, 1)) | {"judge": 2 * len(told)}
        assert {one.body["model"] for one in vllm.requests} == {MODEL}


def mended(body: Body) -> str:
    """Return an edit that adds at the answer's end."""
    last = re.findall(r"^(S\d+) ", body["messages"][-1]["content"], flags=re.MULTILINE)[-1]
    added = {"insert_after": last, "for": [1], "text": MENDED.strip()}
    return json.dumps({"edits": [added]})


def wire(turn: Message) -> dict:
    return {name: value for name, value in turn.to_wire().items() if value is not None}
