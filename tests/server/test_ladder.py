"""Under pressure a request gets less review, and says so."""

import asyncio
import hashlib
import itertools
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

import pytest
from starlette.datastructures import Headers

from revision.policy import MODES, Mode, policy_for
from server.admission import Admission
from server.errors import ApiError
from server.ladder import Rung, lowered, rung_for
from server.settings import Settings
from server.tenant import ANONYMOUS, named_by
from tests.fakes.library import SIGNS
from tests.fakes.vllm import DRAFT, FakeVLLM, Hang, Slow, lacks
from tests.server.conftest import Opener
from tests.server.gateway import Gateway

Result = TypeVar("Result")
RUNGS: tuple[Rung, ...] = ("fewer_rounds", "fast", "draft")


@pytest.mark.parametrize("mode", MODES)
def test_each_rung_asks_for_no_more_than_the_one_before(mode: Mode):
    asked = policy_for(mode)
    policies = [asked, *(lowered(asked, rung, floor="draft") for rung in RUNGS)]
    for more, less in itertools.pairwise(policies):
        assert MODES.index(less.mode) <= MODES.index(more.mode)
        assert less.max_rounds <= more.max_rounds
        assert less.drafts <= more.drafts
    assert policies[-1].mode == "draft"


@pytest.mark.parametrize("floor", ["fast", "standard"])
@pytest.mark.parametrize("rung", RUNGS)
def test_nothing_falls_below_the_floor(floor: Mode, rung: Rung):
    policy = lowered(policy_for("thorough"), rung, floor=floor)
    assert MODES.index(policy.mode) >= MODES.index(floor)


def test_the_rungs_come_one_by_one():
    assert [rung_for(share / 10) for share in range(0, 11, 2)] == [
        *(None, None),
        *("fewer_rounds", "fast"),
        *("draft", "draft"),
    ]


def test_a_tenant_is_told_by_a_hash_of_its_token_and_never_by_the_token():
    name = named_by(Headers({"authorization": "Bearer sk-secret"}))
    assert name == hashlib.sha256(b"sk-secret").hexdigest()[:16]
    assert named_by(Headers({"authorization": "bearer  sk-secret "})) == name
    assert named_by(Headers({"authorization": "Basic abc"})) == ANONYMOUS
    assert named_by(Headers({})) == ANONYMOUS


async def passing(admission: Admission, tenant: str) -> None:
    """Wait for a slot and give it back at once."""
    with suppress(ApiError):
        (await admission.enter(tenant)).close()


async def under(gateway: Gateway, others: int, ask: Callable[[], Awaitable[Result]]) -> Result:
    """Ask while the only slot is held; so many others wait behind when the request gets in."""
    admission = gateway.services.admission
    holder = await admission.enter("holder")
    reply = asyncio.create_task(ask())
    await waiting_are(gateway, 1)
    behind = [asyncio.create_task(passing(admission, f"other-{n}")) for n in range(others)]
    await waiting_are(gateway, others + 1)
    holder.close()
    result = await reply
    await asyncio.gather(*behind)
    return result


async def waiting_are(gateway: Gateway, count: int) -> None:
    async with asyncio.timeout(2):
        while gateway.services.admission.waiting != count:  # noqa: ASYNC110  # it tells nobody
            await asyncio.sleep(0.001)


def crowded(**wishes: object) -> dict[str, object]:
    return {"calls_at_once": 1, "queue_length": 8, **wishes}


@pytest.mark.parametrize(
    ("others", "mode", "outcome"),
    [
        (0, "standard", ("kept_draft", "no_gain")),
        (2, "standard", ("kept_draft", "overload")),
        (4, "fast", ("kept_draft", "overload")),
        (6, "draft", ("unreviewed", "overload")),
    ],
)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_the_fuller_the_queue_the_less_review_and_the_answer_says_overload(
    open_gateway: Opener,
    vllm: FakeVLLM,
    others: int,
    mode: str,
    outcome: tuple[str, str],
    stream: bool,  # noqa: FBT001
):
    gateway = await open_gateway(**crowded())
    vllm.script["judge"] = lacks(SIGNS)
    reply = await under(gateway, others, gateway.stream if stream else gateway.chat)
    assert reply.status == 200
    assert reply.revision["mode"] == mode
    assert (reply.revision["status"], reply.revision["stop_reason"]) == outcome
    assert reply.text == DRAFT


async def test_what_the_cut_did_not_change_is_told_as_it_was(open_gateway: Opener):
    gateway = await open_gateway(**crowded())
    assert (await under(gateway, 2, gateway.chat)).outcome == ("clean", "all_met")
    assert (await under(gateway, 4, gateway.chat)).outcome == ("clean", "overload")


async def test_a_draft_under_overload_costs_one_call_and_is_marked_unreviewed(
    open_gateway: Opener, vllm: FakeVLLM
):
    gateway = await open_gateway(**crowded())
    reply = await under(gateway, 7, gateway.chat)
    assert reply.outcome == ("unreviewed", "overload")
    assert reply.text == DRAFT
    assert [one.step for one in vllm.requests] == ["draft"]


@pytest.mark.parametrize("wish", [{"minimum_mode": "standard"}, {"on_degraded": "error"}])
async def test_the_operator_s_wish_for_review_holds_under_any_pressure(
    open_gateway: Opener, wish: dict[str, str]
):
    gateway = await open_gateway(**crowded(**wish))
    reply = await under(gateway, 7, gateway.chat)
    assert reply.status == 200
    assert reply.revision["mode"] == ("standard" if "minimum_mode" in wish else "fast")


async def test_a_full_queue_is_503_with_retry_after_streamed_or_not(open_gateway: Opener):
    gateway = await open_gateway(**crowded(queue_length=0))
    await gateway.services.admission.enter("holder")
    for stream in (False, True):
        reply = await gateway.chat(stream=stream)
        assert reply.status == 503
        assert reply.error["code"] == "overloaded"
        assert int(reply.headers["retry-after"]) >= 1
        assert reply.headers["x-should-retry"] == "true"


async def test_a_client_with_its_share_of_the_queue_gets_429_and_others_still_get_in(
    open_gateway: Opener,
):
    gateway = await open_gateway(**crowded(queue_length=3))
    holder = await gateway.services.admission.enter("holder")
    greedy = [
        asyncio.create_task(
            gateway.request(
                "POST",
                "/v1/chat/completions",
                json={"model": "clinic-model", "messages": [{"role": "user", "content": "Hi"}]},
                headers={"authorization": "Bearer greedy"},
            )
        )
        for _ in range(3)
    ]
    await waiting_are(gateway, 3)
    modest = asyncio.create_task(gateway.chat())
    ends = await asyncio.wait(greedy, return_when=asyncio.FIRST_COMPLETED)
    (refused,) = (task.result() for task in ends[0])
    assert refused.status == 429
    assert refused.error["type"] == "rate_limit_error"
    assert int(refused.headers["retry-after"]) >= 1
    holder.close()
    assert (await modest).status == 200
    assert sorted(reply.status for reply in await asyncio.gather(*greedy)) == [200, 200, 429]


async def test_a_client_that_leaves_the_queue_leaves_no_call_and_no_place(
    open_gateway: Opener, vllm: FakeVLLM
):
    gateway = await open_gateway(**crowded())
    holder = await gateway.services.admission.enter("holder")
    task = asyncio.create_task(gateway.chat())
    await waiting_are(gateway, 1)
    task.cancel()
    await waiting_are(gateway, 0)
    holder.close()
    assert gateway.services.admission.running == 0
    assert vllm.requests == []


async def test_calls_in_flight_never_exceed_the_bound_and_all_slots_come_back(
    open_gateway: Opener, vllm: FakeVLLM
):
    gateway = await open_gateway(calls_at_once=3)
    most = 0

    def watched(body):
        nonlocal most
        most = max(most, vllm.in_flight)
        return Slow(seconds=0.01, reply=DRAFT)

    vllm.script["draft"] = watched
    replies = await asyncio.gather(
        *(gateway.chat() for _ in range(4)),
        *(gateway.chat("draft") for _ in range(4)),
        gateway.stream(),
        gateway.stream("draft"),
    )
    assert {reply.status for reply in replies} == {200}
    assert 1 < most <= 3
    async with asyncio.timeout(1):
        while gateway.services.admission.running:  # noqa: ASYNC110  # it tells nobody
            await asyncio.sleep(0.001)


async def test_time_in_the_queue_counts_against_the_deadline(open_gateway: Opener, vllm: FakeVLLM):
    gateway = await open_gateway(**crowded())
    vllm.script["draft"] = Hang()
    holder = await gateway.services.admission.enter("holder")
    clock = asyncio.get_running_loop().time
    started = clock()
    reply = asyncio.create_task(gateway.chat(revision={"deadline_ms": 800}))
    await asyncio.sleep(0.5)
    holder.close()
    assert (await reply).status == 504
    assert clock() - started < 1.1


def test_the_bounds_are_settings():
    settings = Settings(calls_at_once=7, queue_length=3, queue_s=2)
    assert (settings.calls_at_once, settings.queue_length, settings.queue_s) == (7, 3, 2)
