"""Reviewed answers over HTTP: each status, each stop reason, the extension, what it cost."""

import json

import pytest

from tests.fakes.library import CAUSE, DIRECT, DOCTOR, HARM, QUESTION, SIGNS
from tests.fakes.vllm import (
    DRAFT,
    MODEL,
    REVISED,
    Answer,
    Cut,
    FakeVLLM,
    Hang,
    Rule,
    Slow,
    Status,
    lacks,
    verdicts,
    yes_no,
)
from tests.server.conftest import Opener
from tests.server.gateway import Gateway

KEYS = {
    "id",
    "status",
    "stop_reason",
    "mode",
    "rounds",
    "changed",
    "score",
    "principles",
    "criteria",
    "limits",
    "usage",
}
CRITERION_KEYS = {"criterion", "principle", "points", "critical", "draft", "final"}
STEPS = {"draft", "rubric", "critique", "revise"}
TOOL = {
    "id": "call_1",
    "type": "function",
    "function": {"name": "dose", "arguments": '{"drug": "paracetamol"}'},
}
TOOLS = [{"type": "function", "function": {"name": "dose", "parameters": {"type": "object"}}}]
TOOL_DRAFT = Answer(tool_calls=(TOOL,), finish_reason="tool_calls")
REFUSING = {"judge": Status(status=400), "judge-retry": Status(status=400)}
NOT_SAYING = Answer(text="Well", finish_reason="length", first_token={"Well": 0.99, "yes": 0.01})


OUTCOMES = {
    "all met by the draft": ({}, {}, "clean", "all_met", DRAFT, 0),
    "mended": (
        {"judge": lacks(SIGNS, unless="stiff neck")},
        {},
        "revised",
        "all_met",
        REVISED,
        1,
    ),
    "mended in part": (
        {"judge": verdicts(lambda a, c: c != CAUSE and (c != SIGNS or "stiff neck" in a))},
        {},
        "revised",
        "max_rounds",
        REVISED,
        1,
    ),
    "mended in part, a second round in vain": (
        {"judge": verdicts(lambda a, c: c != CAUSE and (c != SIGNS or "stiff neck" in a))},
        {"max_rounds": 2},
        "revised",
        "no_gain",
        REVISED,
        2,
    ),
    "not mended": ({"judge": lacks(SIGNS)}, {}, "kept_draft", "no_gain", DRAFT, 1),
    "a gain that loses something": (
        {"judge": verdicts(lambda a, c: c != (DIRECT if "stiff neck" in a else SIGNS))},
        {},
        "kept_draft",
        "no_gain",
        DRAFT,
        1,
    ),
    "a revision that is half the length": (
        {"judge": lacks(SIGNS, unless="neck"), "revise": "Mind your neck."},
        {},
        "kept_draft",
        "no_gain",
        DRAFT,
        1,
    ),
    "no round allowed": (
        {"judge": lacks(SIGNS)},
        {"max_rounds": 0},
        "kept_draft",
        "max_rounds",
        DRAFT,
        0,
    ),
    "merely unclear": (
        {"judge": verdicts(lambda _, c: 0.5 if c == SIGNS else True)},
        {},
        "kept_draft",
        "no_gain",
        DRAFT,
        0,
    ),
    "the judge is never there in time": (
        {"judge": Hang()},
        {"deadline_ms": 500},
        "unreviewed",
        "deadline",
        DRAFT,
        0,
    ),
    "the revision is never there in time": (
        {"judge": lacks(SIGNS), "revise": Hang()},
        {"deadline_ms": 700},
        "kept_draft",
        "deadline",
        DRAFT,
        1,
    ),
    "a judge without probabilities says its verdict": (
        {"judge": Status(status=400)},
        {},
        "clean",
        "all_met",
        DRAFT,
        0,
    ),
    "the judge refuses": (
        REFUSING,
        {},
        "unreviewed",
        "model_error",
        DRAFT,
        0,
    ),
    "the revision breaks off": (
        {"judge": lacks(SIGNS), "revise": Status(status=400)},
        {},
        "kept_draft",
        "model_error",
        DRAFT,
        1,
    ),
    "the judge says neither yes nor no": (
        {"judge": NOT_SAYING, "judge-retry": "Well, it depends."},
        {},
        "unreviewed",
        "unparsable",
        DRAFT,
        0,
    ),
    "the judge says it only when asked again": (
        {"judge": NOT_SAYING},
        {},
        "clean",
        "all_met",
        DRAFT,
        0,
    ),
    "an unreadable rubric gives way to the retrieved criteria": (
        {"rubric": ["no JSON", "still none"]},
        {},
        "clean",
        "all_met",
        DRAFT,
        0,
    ),
    "an unreadable written critique gives way to the criteria": (
        {"judge": lacks(SIGNS, unless="stiff neck"), "critique": ["no JSON", "still none"]},
        {},
        "revised",
        "all_met",
        REVISED,
        1,
    ),
    "the draft calls tools": ({"draft": TOOL_DRAFT}, {}, "off", "bypass", None, 0),
}


@pytest.mark.parametrize(
    ("script", "wishes", "status", "reason", "text", "rounds"), OUTCOMES.values(), ids=OUTCOMES
)
async def test_each_outcome_is_told_the_same_whole_and_streamed(  # noqa: PLR0913, PLR0917
    gateway: Gateway,
    vllm: FakeVLLM,
    script: dict[str, Rule],
    wishes: dict[str, int],
    status: str,
    reason: str,
    text: str | None,
    rounds: int,
):
    vllm.script = dict(script)
    whole = await gateway.chat("standard", revision=wishes)
    assert (whole.status, *whole.outcome, whole.text) == (200, status, reason, text)
    assert whole.revision["rounds"] == rounds
    assert whole.revision["changed"] == (status == "revised")
    assert whole.headers["x-revision-status"] == status
    assert whole.headers["x-revision-id"] == whole.revision["id"]

    vllm._used.clear()
    stream = await gateway.stream("standard", revision=wishes)
    assert stream.text == (text or "")
    assert stream.headers["x-revision-id"] == stream.revision["id"]
    assert _told(stream.revision) == _told(whole.revision)


def _told(revision: dict) -> dict:
    return {key: value for key, value in revision.items() if key not in {"id", "usage"}}


@pytest.mark.parametrize("seconds", [0.0, 1.0], ids=["before the rubric", "after the rubric"])
async def test_a_draft_that_calls_tools_names_no_basis(
    gateway: Gateway, vllm: FakeVLLM, seconds: float
):
    vllm.script["draft"] = Slow(seconds=seconds, reply=TOOL_DRAFT)
    reply = await gateway.chat("standard")
    assert reply.outcome == ("off", "bypass")
    assert (reply.revision["principles"], reply.revision["criteria"]) == ([], [])


async def test_draft_mode_is_off(gateway: Gateway):
    reply = await gateway.chat("draft")
    assert (reply.outcome, reply.text) == (("off", "off"), DRAFT)
    assert reply.headers["x-revision-status"] == "off"
    assert reply.headers["x-revision-id"] == reply.revision["id"]
    assert set(reply.revision) == KEYS


async def test_the_extension_has_exactly_the_promised_keys(gateway: Gateway, vllm: FakeVLLM):
    vllm.script["judge"] = lacks(SIGNS, unless="stiff neck")
    revision = (await gateway.chat()).revision
    assert set(revision) == KEYS
    assert revision["id"].startswith("rev_")
    assert revision["score"] == {"draft": pytest.approx(40 / 49, abs=1e-4), "final": 1.0}
    assert set(revision["usage"]) == STEPS
    assert {"id": "safe-and-direct", "title": "Safe and direct"} in revision["principles"]
    told = {one["criterion"]: one for one in revision["criteria"]}
    assert all(set(one) >= CRITERION_KEYS for one in told.values())
    assert (told[SIGNS]["draft"], told[SIGNS]["final"]) == ("unmet", "met")
    assert (told[HARM]["draft"], told[HARM]["critical"]) == ("met", True)
    assert told[CAUSE]["principle"] is None
    assert (told[CAUSE]["origin"], told[CAUSE]["bank_entry"]) == ("bank", "bank-headache")
    assert (told[SIGNS]["origin"], told[SIGNS]["bank_entry"]) == ("principle", None)
    assert told[SIGNS]["principle"] == "headache-warning-signs"


# See docs/adr/0008: the promised keys, and three that tell how to read them.
async def test_a_criterion_has_exactly_the_promised_keys(gateway: Gateway):
    revision = (await gateway.chat()).revision
    assert {frozenset(one) for one in revision["criteria"]} == {
        frozenset(CRITERION_KEYS | {"kind", "origin", "bank_entry"})
    }


@pytest.mark.parametrize("mode", ["fast", "standard", "thorough"])
@pytest.mark.parametrize("expose", [None, "reasoning"])
async def test_usage_is_what_the_model_server_counted_whole_and_streamed(
    gateway: Gateway, vllm: FakeVLLM, mode: str, expose: str | None
):
    vllm.script["judge"] = lacks(SIGNS, unless="stiff neck")
    wishes = {"expose": expose}
    whole = await gateway.chat(mode, revision=wishes)
    assert _tokens(whole.json["usage"]) == vllm.usage()
    assert _sum(whole.revision["usage"]) == vllm.usage()
    spent = vllm.usage()

    vllm.served.clear()
    stream = await gateway.stream(mode, revision=wishes, stream_options={"include_usage": True})
    assert _tokens(stream.chunks[-1]["usage"]) == vllm.usage() == spent
    assert stream.chunks[-1]["choices"] == []
    assert stream.revision["usage"] == whole.revision["usage"]


def _tokens(usage: dict) -> tuple[int, int]:
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    return usage["prompt_tokens"], usage["completion_tokens"]


def _sum(steps: dict) -> tuple[int, int]:
    return tuple(
        sum(spent.get(name, 0) for spent in steps.values())
        for name in ("prompt_tokens", "completion_tokens")
    )


async def test_usage_counts_the_replies_that_could_not_be_used(gateway: Gateway, vllm: FakeVLLM):
    vllm.script = {"rubric": ["no JSON", "still none"], "judge": NOT_SAYING, "draft": ["", DRAFT]}
    reply = await gateway.chat()
    assert reply.outcome == ("clean", "all_met")
    assert len(vllm.of("rubric")) == len(vllm.of("draft")) == 2
    assert _tokens(reply.json["usage"]) == vllm.usage()


async def test_the_calls_stay_within_the_bound(gateway: Gateway, vllm: FakeVLLM):
    vllm.script["judge"] = lacks(SIGNS)
    revision = (await gateway.chat("thorough")).revision
    criteria, rounds = len(revision["criteria"]), revision["rounds"]
    assert len(vllm.requests) <= 3 + 1 + 1 + 1 + 1 + (1 + rounds) * (criteria + 1) + rounds
    assert rounds == 2


async def test_fast_makes_no_rubric_and_no_written_critique(gateway: Gateway, vllm: FakeVLLM):
    vllm.script["judge"] = lacks(SIGNS, unless="stiff neck")
    reply = await gateway.chat("fast")
    assert reply.outcome == ("revised", "all_met")
    assert {one.step for one in vllm.requests} == {"draft", "judge", "revise"}
    assert reply.revision["usage"]["rubric"] == {}


async def test_thorough_merges_several_drafts(gateway: Gateway, vllm: FakeVLLM):
    vllm.script["judge"] = lacks(DOCTOR, unless="Sleep enough and eat something")
    reply = await gateway.chat("thorough")
    assert reply.outcome == ("revised", "all_met")
    assert "Sleep enough and eat something" in reply.text
    assert not vllm.of("revise")


@pytest.mark.parametrize(
    ("model", "wish", "mode"),
    [
        (MODEL, None, "standard"),
        (f"{MODEL}-fast", None, "fast"),
        (f"{MODEL}-thorough", None, "thorough"),
        (f"{MODEL}-draft", None, "draft"),
        (f"{MODEL}-draft", "fast", "fast"),
        (f"{MODEL}-thorough", "draft", "draft"),
    ],
)
async def test_the_mode_is_read_from_the_model_and_the_extension_beats_it(
    gateway: Gateway, vllm: FakeVLLM, model: str, wish: str | None, mode: str
):
    reply = await gateway.chat(wish, model=model)
    assert reply.revision["mode"] == mode
    assert {one.body["model"] for one in vllm.requests} == {MODEL}


async def test_top_k_bounds_the_principles(gateway: Gateway):
    for top_k, found in ((1, 1), (2, 2), (3, 3), (20, 3)):
        revision = (await gateway.chat("fast", revision={"top_k": top_k})).revision
        assert len(revision["principles"]) == found


async def test_a_client_s_wishes_go_up_with_the_draft_and_not_with_the_judge(
    gateway: Gateway, vllm: FakeVLLM
):
    await gateway.chat(
        max_tokens=77, temperature=0.3, top_p=0.9, seed=5, user="somebody", stop=["END"]
    )
    (draft,) = vllm.of("draft")
    sent = {name: draft.body.get(name) for name in ("max_tokens", "temperature", "top_p", "seed")}
    assert sent == {"max_tokens": 77, "temperature": 0.3, "top_p": 0.9, "seed": 5}
    assert draft.body["stop"] == ["END"]
    assert "user" not in draft.body
    assert "revision" not in draft.body
    judge = vllm.of("judge")[0].body
    assert (judge["max_tokens"], judge["temperature"]) == (1, 0.0)
    assert "stop" not in judge


async def test_the_re_check_sees_neither_critique_nor_earlier_verdicts(
    gateway: Gateway, vllm: FakeVLLM
):
    vllm.script["judge"] = lacks(SIGNS, unless="stiff neck")
    await gateway.chat()
    rechecks = [
        one.body for one in vllm.of("judge") if one.body["messages"][-2]["content"] == REVISED
    ]
    assert rechecks
    assert not any("It is not there." in json.dumps(body) for body in rechecks)
    assert all(len(body["messages"]) == 3 for body in rechecks)


async def test_instructions_amid_the_conversation_reach_the_model_first(
    gateway: Gateway, vllm: FakeVLLM
):
    messages = [
        {"role": "developer", "content": "Be kind."},
        {"role": "user", "content": [{"type": "text", "text": QUESTION}]},
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Well?"},
    ]
    for mode in ("fast", "draft"):
        assert (await gateway.chat(mode, messages=messages)).status == 200
    for draft in vllm.of("draft"):
        assert draft.body["messages"][0] == {"role": "system", "content": "Be kind.\n\nBe brief."}


ASKED_TOOLS = [
    {"role": "user", "content": QUESTION},
    {"role": "assistant", "content": None, "tool_calls": [TOOL, {**TOOL, "id": "call_2"}]},
    {"role": "tool", "tool_call_id": "call_2", "content": "at most 3 g a day"},
    {"role": "tool", "tool_call_id": "call_1", "content": "up to 4 g a day"},
]


@pytest.mark.parametrize("mode", ["fast", "standard", "thorough"])
async def test_prose_after_tool_results_is_reviewed_and_every_step_sees_the_results(
    gateway: Gateway, vllm: FakeVLLM, mode: str
):
    vllm.script["judge"] = lacks(SIGNS, unless="stiff neck")
    asked = {
        "messages": ASKED_TOOLS,
        "tools": TOOLS,
        "tool_choice": "auto",
        "parallel_tool_calls": False,
    }
    whole = await gateway.chat(mode, **asked)
    assert whole.outcome == ("revised", "all_met")
    assert (await gateway.stream(mode, **asked)).revision["status"] == "revised"
    steps = {one.step for one in vllm.requests}
    assert {"draft", "judge", "merge" if mode == "thorough" else "revise"} <= steps
    for request in vllm.requests:
        assert request.body["messages"][: len(ASKED_TOOLS)] == ASKED_TOOLS, request.step
    assert all(one.body["tools"] == TOOLS for one in vllm.of("draft"))


@pytest.mark.parametrize("step", ["revise", "merge"])
async def test_a_revision_is_asked_for_without_any_of_the_tool_options(
    gateway: Gateway, vllm: FakeVLLM, step: str
):
    vllm.script["judge"] = lacks(SIGNS, unless="stiff neck")
    options = {"tools": TOOLS, "tool_choice": "auto", "parallel_tool_calls": True, "top_p": 0.9}
    await gateway.chat("thorough" if step == "merge" else "standard", **options)
    sent = vllm.of(step)[0].body
    assert not {"tools", "tool_choice", "parallel_tool_calls"} & sent.keys()
    assert sent["top_p"] == 0.9
    assert vllm.of("draft")[0].body.items() >= options.items()


async def test_a_draft_that_calls_tools_waits_for_no_other(gateway: Gateway, vllm: FakeVLLM):
    vllm.script |= {"draft": TOOL_DRAFT, "draft-2": Hang(), "draft-3": Hang()}
    reply = await gateway.chat("thorough", tools=TOOLS, revision={"deadline_ms": 5000})
    assert reply.outcome == ("off", "bypass")
    await vllm.idle(within=1)


async def test_a_draft_that_calls_tools_is_handed_on_whole(gateway: Gateway, vllm: FakeVLLM):
    vllm.script["draft"] = TOOL_DRAFT
    reply = await gateway.chat(tools=TOOLS)
    (choice,) = reply.json["choices"]
    assert (choice["finish_reason"], choice["message"]["tool_calls"]) == ("tool_calls", [TOOL])
    stream = await gateway.stream(tools=TOOLS)
    (delta,) = [one for one in stream.deltas if "tool_calls" in one]
    assert delta["tool_calls"] == [{"index": 0, **TOOL}]
    assert stream.finishing[0]["choices"][0]["finish_reason"] == "tool_calls"
    assert not vllm.of("judge")


async def test_the_trace_has_the_draft_every_critique_and_every_edit(
    gateway: Gateway, vllm: FakeVLLM
):
    vllm.script["judge"] = lacks(SIGNS, unless="stiff neck")
    for revision in (
        (await gateway.chat(revision={"include": ["trace"]})).revision,
        (await gateway.stream(revision={"include": ["trace"]})).revision,
    ):
        trace = revision["trace"]
        assert trace["draft"] == DRAFT
        assert [one["round"] for one in trace["critiques"]] == [0, 1]
        assert [one["answer"] for one in trace["edits"]] == [REVISED]
        assert trace["edits"][0]["accepted"] is True
        (finding,) = trace["findings"]
        assert revision["criteria"][finding["criterion"]]["criterion"] == SIGNS


async def test_the_trace_says_of_each_edit_where_it_is_and_for_which_criterion(
    gateway: Gateway, vllm: FakeVLLM
):
    long = f"{DRAFT} Keep a diary of when it begins and of what you had eaten. " + " ".join(
        f"Sentence {name} makes this answer long enough to be edited." for name in ("one", "two")
    )
    warned = "See a doctor at once for a stiff neck."
    added = {"insert_after": "S0", "for": [1], "text": warned}
    lost = {"delete": "S40", "for": []}
    vllm.script |= {
        "draft": long,
        "judge": lacks(SIGNS, unless="stiff neck"),
        "edit": json.dumps({"edits": [added, lost]}),
    }
    reply = await gateway.chat(revision={"include": ["trace"]})
    assert reply.text == f"{warned}\n\n{long}"
    (edit,) = reply.revision["trace"]["edits"]
    assert (edit["by"], edit["accepted"]) == ("edits", True)
    done, dropped = edit["changes"]
    (served,) = done["criteria"]
    assert reply.revision["criteria"][served]["criterion"] == SIGNS
    assert (done["op"], done["segments"], done["text"]) == ("insert_after", "S0", warned)
    assert (dropped["op"], dropped["dropped"]) == ("delete", "unknown segment")
    assert reply.revision["usage"]["revise"]["completion_tokens"] > 0
    assert not vllm.of("revise")


DEGRADED = {
    "unreviewed": (REFUSING, "unreviewed", "The reviewing step failed."),
    "out of time": ({"judge": Hang()}, "unreviewed", "There was not enough time."),
    "a critical criterion unmet": ({"judge": lacks(HARM)}, "kept_draft", "criterion"),
}


@pytest.mark.parametrize(("script", "status", "why"), DEGRADED.values(), ids=DEGRADED)
async def test_a_degraded_answer_is_marked_noted_or_withheld(
    open_gateway: Opener, vllm: FakeVLLM, script: dict[str, Rule], status: str, why: str
):
    vllm.script = dict(script)
    # Short only where time is to run out: a busy machine needs more for the other reasons.
    wishes = {"revision": {"deadline_ms": 600 if "time" in why else 20_000}}
    mark = await (await open_gateway(on_degraded="mark")).chat(**wishes)
    assert (mark.revision["status"], mark.text) == (status, DRAFT)

    noting = await open_gateway(on_degraded="notice")
    notice = await noting.chat(**wishes)
    assert notice.text.startswith(DRAFT)
    assert why in notice.text
    assert (await noting.stream(**wishes)).text == notice.text

    withholding = await open_gateway(on_degraded="error")
    refused = await withholding.chat(**wishes)
    assert (refused.status, refused.error["code"]) == (502, "review_degraded")
    assert refused.headers["x-revision-id"].startswith("rev_")
    assert DRAFT.encode() not in refused.body
    stream = await withholding.stream(**wishes)
    assert stream.text == ""
    assert stream.chunks[-1]["error"]["code"] == "review_degraded"
    assert stream.data[-1] == b"[DONE]"


async def test_a_notice_is_never_added_to_json(open_gateway: Opener, vllm: FakeVLLM):
    vllm.script = {"draft": '{"advice": "Rest."}', **REFUSING}
    gateway = await open_gateway(on_degraded="notice")
    reply = await gateway.chat(response_format={"type": "json_object"})
    assert json.loads(reply.text) == {"advice": "Rest."}
    assert reply.revision["status"] == "unreviewed"


ADVICE_SCHEMA = {
    "type": "object",
    "properties": {"advice": {"type": "string"}},
    "required": ["advice"],
    "additionalProperties": False,
}
ANY_OBJECT = {"type": "json_object"}
ADVICE = {"type": "json_schema", "json_schema": {"name": "advice", "schema": ADVICE_SCHEMA}}
JSON_DRAFT, JSON_REVISED = (json.dumps({"advice": words}) for words in (DRAFT, REVISED))
FENCED = f"```json\n{JSON_REVISED}\n```"


@pytest.mark.parametrize(
    ("wanted", "draft", "candidate", "objection"),
    [
        (ANY_OBJECT, JSON_DRAFT, JSON_REVISED, None),
        (ANY_OBJECT, JSON_DRAFT, REVISED, "not JSON"),
        (ANY_OBJECT, JSON_DRAFT, FENCED, "not JSON"),
        (ANY_OBJECT, JSON_DRAFT, json.dumps([REVISED]), "not JSON"),
        (ADVICE, JSON_DRAFT, JSON_REVISED, None),
        (ADVICE, JSON_DRAFT, FENCED, "not JSON"),
        (ADVICE, JSON_DRAFT, json.dumps({"said": REVISED}), "breaks the schema"),
        (ADVICE, FENCED, JSON_REVISED, None),
        (ADVICE, DRAFT, json.dumps({"said": REVISED}), "breaks the schema"),
    ],
)
async def test_json_that_was_asked_for_is_still_json_after_a_revision_or_the_draft_stands(
    gateway: Gateway,
    vllm: FakeVLLM,
    wanted: dict,
    draft: str,
    candidate: str,
    objection: str | None,
):
    vllm.script = {
        "judge": lacks(SIGNS, unless="stiff neck"),
        "draft": draft,
        "revise": candidate,
    }
    wishes = {"response_format": wanted, "revision": {"include": ["trace"]}}
    reply, stream = await gateway.chat(**wishes), await gateway.stream(**wishes)
    for text, revision in ((reply.text, reply.revision), (stream.text, stream.revision)):
        taken = (candidate, "revised") if objection is None else (draft, "kept_draft")
        assert (text, revision["status"]) == taken
        assert [edit["objection"] for edit in revision["trace"]["edits"]] == [objection]
    assert {one.body["response_format"]["type"] for one in vllm.of("revise")} == {wanted["type"]}
    instruction = vllm.of("revise")[0].body["messages"][-1]["content"]
    assert instruction.endswith("no fence around it, no word before or after it.")


async def test_a_form_that_no_reply_has_costs_no_more_than_the_rounds_allow(
    gateway: Gateway, vllm: FakeVLLM
):
    vllm.script = {"revise": DRAFT + " Sleep."}
    for reply in (
        await gateway.chat(response_format=ADVICE),
        await gateway.chat(response_format=ADVICE, revision={"max_rounds": 3}),
    ):
        assert reply.outcome == ("kept_draft", "no_gain")
        assert (reply.text, reply.revision["rounds"]) == (DRAFT, 1)
        assert reply.revision["score"] == {"draft": 1.0, "final": 1.0}


@pytest.mark.parametrize("setting", ["mark", "notice", "error"])
async def test_a_sound_answer_is_the_same_whatever_is_done_with_degraded_ones(
    open_gateway: Opener, setting: str
):
    reply = await (await open_gateway(on_degraded=setting)).chat()
    assert (reply.status, reply.text) == (200, DRAFT)


async def test_a_draft_without_words_is_asked_for_again_and_then_refused(
    gateway: Gateway, vllm: FakeVLLM
):
    vllm.script["draft"] = ""
    reply = await gateway.chat()
    assert (reply.status, reply.error["code"]) == (502, "empty_completion")
    assert len(vllm.of("draft")) == 2


async def test_a_draft_cut_short_says_so(gateway: Gateway, vllm: FakeVLLM):
    vllm.script["draft"] = Answer(text=DRAFT, finish_reason="length")
    assert (await gateway.chat()).json["choices"][0]["finish_reason"] == "length"


async def test_a_finish_reason_that_no_client_knows_becomes_stop(gateway: Gateway, vllm: FakeVLLM):
    vllm.script["draft"] = Answer(text=DRAFT, finish_reason="eos")
    assert (await gateway.chat()).json["choices"][0]["finish_reason"] == "stop"


@pytest.mark.parametrize("expose", [None, "reasoning"])
async def test_a_draft_that_the_model_server_gave_up_on_is_no_answer(
    gateway: Gateway, vllm: FakeVLLM, expose: str | None
):
    vllm.script["draft"] = Answer(text="Take two of the", finish_reason="abort")
    whole = await gateway.chat(revision={"expose": expose})
    assert (whole.status, whole.error["code"]) == (503, "upstream_unavailable")
    stream = await gateway.stream("thorough", revision={"expose": expose})
    assert stream.text == f"{DRAFT} Sleep enough.", "another draft serves"


@pytest.mark.parametrize("reason", ["length", "content_filter", "stop", "tool_calls"])
async def test_tool_calls_keep_the_reason_that_they_ended_with(
    gateway: Gateway, vllm: FakeVLLM, reason: str
):
    vllm.script["draft"] = Answer(tool_calls=(TOOL,), finish_reason=reason)
    reply = await gateway.chat(tools=TOOLS)
    assert reply.json["choices"][0]["finish_reason"] == reason
    assert reply.outcome == ("off", "bypass")
    stream = await gateway.stream(tools=TOOLS)
    assert stream.finishing[0]["choices"][0]["finish_reason"] == reason


async def test_a_revision_that_a_filter_cut_is_not_taken(gateway: Gateway, vllm: FakeVLLM):
    vllm.script["judge"] = lacks(SIGNS, unless="stiff neck")
    vllm.script["revise"] = Answer(text=REVISED, finish_reason="content_filter")
    reply = await gateway.chat(revision={"include": ["trace"]})
    assert (reply.text, reply.outcome) == (DRAFT, ("kept_draft", "no_gain"))
    assert reply.revision["trace"]["edits"][0]["objection"] == "cut by a filter"


async def test_a_cut_draft_is_made_again(gateway: Gateway, vllm: FakeVLLM):
    vllm.script["draft"] = [Cut(), DRAFT]
    assert (await gateway.chat()).outcome == ("clean", "all_met")


async def test_one_judgement_that_fails_makes_the_review_incomplete(
    gateway: Gateway, vllm: FakeVLLM
):
    def judge(body: dict) -> Answer | Status:
        return Status(status=400) if SIGNS in body["messages"][-1]["content"] else yes_no(0.98)

    vllm.script = {"judge": judge, "judge-retry": Status(status=400)}
    reply = await gateway.chat()
    assert reply.outcome == ("unreviewed", "model_error")
    (failed,) = [one for one in reply.revision["criteria"] if one["criterion"] == SIGNS]
    assert (failed["draft"], failed["final"]) == ("unclear", "unclear")
