"""Room: hidden prompts shrink until they fit, the user's own does not, and the answer says so."""

import re

import pytest

from tests.fakes.library import QUESTION
from tests.fakes.vllm import DRAFT, REVISED, FakeVLLM, Request, Status, tokens_of, verdicts
from tests.server.conftest import Opener
from tests.server.gateway import Gateway

SYSTEM = {"role": "system", "content": "You are a careful nurse."}
UNMET = verdicts(lambda answer, _: "stiff neck" in answer)
LONG = "unmistakable " * 400
"""A word is one token to the fake server and thirteen bytes to anyone who cannot ask it."""

TALK = [
    SYSTEM,
    *(
        turn
        for topic in ("first", "second", "third")
        for turn in (
            {"role": "user", "content": f"The {topic} matter. {LONG}"},
            {"role": "assistant", "content": f"Of the {topic} matter. {LONG}"},
        )
    ),
    {"role": "user", "content": QUESTION},
]
ALONE = [SYSTEM, {"role": "user", "content": LONG + QUESTION}]


def size(request: Request) -> int:
    """Return what the server sets aside for a request."""
    return tokens_of(request.body["messages"]) + (request.body.get("max_tokens") or 1)


def largest(vllm: FakeVLLM, step: str) -> int:
    return max(map(size, vllm.of(step)))


async def ask(gateway: Gateway, mode: str, messages: list, *, stream: bool = False, **fields):
    """Ask with what the fake has seen forgotten."""
    reply = await (gateway.stream if stream else gateway.chat)(mode, messages=messages, **fields)
    assert reply.status == 200, reply
    return reply


async def fresh(open_gateway: Opener, vllm: FakeVLLM, context: int) -> Gateway:
    """Serve in front of a model of that context; the catalog of an open gateway knows another."""
    vllm.context = context
    vllm.requests.clear()
    vllm.served.clear()
    vllm.counted.clear()
    return await open_gateway()


def words(request: Request) -> str:
    return " ".join(str(turn["content"]) for turn in request.body["messages"])


@pytest.mark.parametrize("counting", ["vllm", "llama.cpp"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_a_judges_prompt_that_just_fits_is_whole_and_one_token_more_drops_the_oldest_exchange(
    open_gateway: Opener,
    vllm: FakeVLLM,
    counting: str,
    stream: bool,  # noqa: FBT001
):
    vllm.counting = counting
    gateway = await open_gateway()
    await ask(gateway, "fast", TALK)
    exact = largest(vllm, "judge")

    gateway = await fresh(open_gateway, vllm, exact)
    reply = await ask(gateway, "fast", TALK, stream=stream)
    assert reply.revision["status"] == "clean"
    assert reply.revision["limits"] == []
    assert all("first matter" in words(one) for one in vllm.of("judge"))
    assert largest(vllm, "judge") == exact

    gateway = await fresh(open_gateway, vllm, exact - 1)
    reply = await ask(gateway, "fast", TALK, stream=stream)
    assert reply.revision["status"] == "clean"
    assert reply.revision["limits"] == ["history_shortened"]
    short = [one for one in vllm.of("judge") if "first matter" not in words(one)]
    assert short
    for one in short:
        roles = [turn["role"] for turn in one.body["messages"]]
        assert roles == ["system", "user", "assistant", "user", "assistant", *ENDING]
        assert "second matter" in words(one)
        assert QUESTION in words(one)
    assert len(vllm.served) == len(vllm.requests), "nothing was refused"


ENDING = ["user", "assistant", "user"]
"""The user's last turn, the answer, and our question about it."""


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_a_question_that_leaves_no_room_for_its_judging_is_answered_unreviewed(
    open_gateway: Opener,
    vllm: FakeVLLM,
    stream: bool,  # noqa: FBT001
):
    gateway = await open_gateway()
    await ask(gateway, "fast", ALONE)
    exact = min(map(size, vllm.of("judge")))

    gateway = await fresh(open_gateway, vllm, exact - 1)
    reply = await ask(gateway, "fast", ALONE, stream=stream)
    assert reply.text == DRAFT
    assert reply.revision["status"] == "unreviewed"
    assert reply.revision["stop_reason"] == "model_error"
    assert reply.revision["limits"] == ["review_skipped"]
    assert vllm.of("judge") == []
    assert len(vllm.served) == len(vllm.requests), "nothing was refused"


async def test_a_rubrics_prompt_that_just_fits_is_whole_and_one_token_more_shows_fewer_criteria(
    open_gateway: Opener, vllm: FakeVLLM
):
    gateway = await open_gateway()
    await ask(gateway, "standard", TALK)
    exact = largest(vllm, "rubric")
    shown = len(offered(vllm.of("rubric")[0]))

    gateway = await fresh(open_gateway, vllm, exact)
    reply = await ask(gateway, "standard", TALK)
    assert reply.revision["limits"] == []
    assert len(offered(vllm.of("rubric")[0])) == shown

    gateway = await fresh(open_gateway, vllm, exact - 1)
    reply = await ask(gateway, "standard", TALK)
    assert reply.revision["status"] == "clean"
    assert "principles_shortened" in reply.revision["limits"]
    assert 0 < largest(vllm, "rubric") < exact


def offered(request: Request) -> set[str]:
    return set(re.findall(r"^c\d+ ", words(request), re.MULTILINE))


async def test_principles_go_before_history_and_history_before_the_step(
    open_gateway: Opener, vllm: FakeVLLM
):
    gateway = await open_gateway()
    await ask(gateway, "standard", TALK)
    rubric, draft = largest(vllm, "rubric"), largest(vllm, "draft")
    told = []
    for context in (rubric, rubric - 1, rubric - 600, draft + 300, draft + 60):
        gateway = await fresh(open_gateway, vllm, context)
        reply = await ask(gateway, "standard", TALK)
        told.append(set(reply.revision["limits"]))
        assert reply.revision["status"] in {"clean", "unreviewed"}
        assert len(vllm.served) == len(vllm.requests), "nothing was refused"
    assert told[0] == set()
    assert told[1] == {"principles_shortened"}
    assert {"principles_shortened", "history_shortened"} <= told[2]
    assert told == sorted(told, key=len)


@pytest.mark.parametrize("mode", ["draft", "fast", "standard", "thorough"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_the_users_own_overflow_is_400_and_the_draft_is_asked_for_all_of_it(
    open_gateway: Opener,
    vllm: FakeVLLM,
    mode: str,
    stream: bool,  # noqa: FBT001
):
    gateway = await fresh(open_gateway, vllm, tokens_of(TALK))
    reply = await gateway.chat(mode, messages=TALK, stream=stream)
    assert (reply.status, reply.error["code"]) == (400, "context_length_exceeded")
    assert reply.error["type"] == "invalid_request_error"
    assert all(one.body["messages"] == TALK for one in vllm.of("draft"))

    gateway = await fresh(open_gateway, vllm, tokens_of(TALK) + 1)
    reply = await gateway.chat(mode, messages=TALK)
    assert (reply.status, reply.text) == (200, DRAFT)
    assert all(one.body["messages"] == TALK for one in vllm.of("draft"))


async def test_the_clients_own_length_is_never_cut_in_the_draft(
    open_gateway: Opener, vllm: FakeVLLM
):
    gateway = await fresh(open_gateway, vllm, tokens_of(TALK) + 100)
    reply = await gateway.chat("fast", messages=TALK, max_tokens=101)
    assert (reply.status, reply.error["code"]) == (400, "context_length_exceeded")


@pytest.mark.parametrize("left", [700, 2500])
async def test_a_revision_gets_what_is_left_and_no_refusal(
    open_gateway: Opener, vllm: FakeVLLM, left: int
):
    vllm.script["judge"] = UNMET
    gateway = await fresh(open_gateway, vllm, tokens_of(ALONE) + left)
    reply = await ask(gateway, "fast", ALONE, max_tokens=left)
    assert (reply.text, reply.revision["status"]) == (REVISED, "revised")
    (revise,) = vllm.of("revise")
    assert size(revise) <= vllm.context
    assert 200 <= revise.body["max_tokens"] < left
    assert len(vllm.served) == len(vllm.requests), "nothing was refused"


async def test_a_revision_without_room_is_skipped_and_the_critique_stands(
    open_gateway: Opener, vllm: FakeVLLM
):
    vllm.script["judge"] = UNMET
    gateway = await open_gateway()
    await ask(gateway, "fast", ALONE)
    gateway = await fresh(open_gateway, vllm, largest(vllm, "judge"))
    reply = await ask(gateway, "fast", ALONE)
    assert (reply.text, reply.revision["status"]) == (DRAFT, "kept_draft")
    assert reply.revision["limits"] == ["revision_skipped"]
    assert vllm.of("revise") == []


async def test_a_limit_that_only_a_refusal_tells_is_kept_to_from_then_on(
    open_gateway: Opener, vllm: FakeVLLM
):
    gateway = await open_gateway()
    await ask(gateway, "fast", TALK)
    exact = largest(vllm, "judge")
    vllm.tells_context = False
    gateway = await fresh(open_gateway, vllm, exact - 1)
    reply = await ask(gateway, "fast", TALK)
    assert reply.revision["status"] == "clean"
    assert reply.revision["limits"] == ["history_shortened"]


@pytest.mark.parametrize("counting", [None, "hang"])
@pytest.mark.parametrize("short_by", [1, 300, 900])
async def test_a_server_that_does_not_count_is_guessed_for_and_still_reviewed_by(
    open_gateway: Opener, vllm: FakeVLLM, counting: str | None, short_by: int
):
    gateway = await open_gateway()
    await ask(gateway, "fast", TALK)
    exact = largest(vllm, "judge")
    vllm.counting = counting
    gateway = await fresh(open_gateway, vllm, exact - short_by)
    reply = await ask(gateway, "fast", TALK[:1] + TALK[3:])
    assert reply.revision["status"] == "clean"


async def test_a_short_conversation_is_not_counted(gateway: Gateway, vllm: FakeVLLM):
    await gateway.chat("standard")
    assert vllm.counted == []


async def test_no_conversation_goes_to_a_route_that_is_not_known_to_be_there(
    open_gateway: Opener, vllm: FakeVLLM
):
    vllm.counting = None
    gateway = await fresh(open_gateway, vllm, 4000)
    await ask(gateway, "fast", TALK)
    assert vllm.counted
    assert "matter" not in str(vllm.counted)


async def test_a_refusal_in_spite_of_the_count_costs_one_more_try_and_not_the_review(
    open_gateway: Opener, vllm: FakeVLLM
):
    """The server sets more aside than it says, as with a draft model that guesses ahead."""
    honest = vllm._refusal

    def stricter(body) -> Status | None:
        is_judge = body.get("top_logprobs")
        return honest({**body, "max_tokens": 20} if is_judge else body)

    vllm._refusal = stricter
    gateway = await open_gateway()
    await ask(gateway, "fast", TALK)
    exact = largest(vllm, "judge")
    gateway = await fresh(open_gateway, vllm, exact)
    reply = await ask(gateway, "fast", TALK)
    assert reply.revision["status"] == "clean"
    assert reply.revision["limits"] == ["history_shortened"]


async def test_the_sentence_on_a_degraded_answer_names_the_length(
    open_gateway: Opener, vllm: FakeVLLM
):
    vllm.context = tokens_of(ALONE) + 30
    gateway = await open_gateway(on_degraded="notice")
    reply = await ask(gateway, "fast", ALONE)
    assert "The conversation is too long." in reply.text
