"""Admission by itself: slots, the queue, and a state machine of both."""

import asyncio
from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from models.errors import ModelUnavailable
from server.admission import Admission, Ticket
from server.errors import Overloaded, ShareUsedUp, Stopping


async def settle() -> None:
    for _ in range(8):
        await asyncio.sleep(0)


def entering(admission: Admission, tenant: str) -> asyncio.Task[Ticket]:
    return asyncio.create_task(admission.enter(tenant))


async def test_a_request_enters_at_once_while_there_is_room():
    admission = Admission(calls_at_once=2)
    tickets = [await admission.enter("a") for _ in range(2)]
    assert admission.running == 2
    for ticket in tickets:
        ticket.close()
        ticket.close()
    assert admission.running == 0


async def test_calls_of_a_request_that_has_begun_come_before_new_requests():
    admission = Admission(calls_at_once=1)
    ticket = await admission.enter("a")
    async with ticket.slot():
        new = entering(admission, "b")
        await settle()
        order = []

        async def later() -> None:
            async with ticket.slot():
                order.append("later")

        call = asyncio.create_task(later())
        await settle()
        new.add_done_callback(lambda _: order.append("new"))
    await call
    await new
    await settle()
    assert order == ["later", "new"]


async def test_the_request_that_began_first_is_finished_first():
    admission = Admission(calls_at_once=2)
    old, young = await admission.enter("a"), await admission.enter("b")
    order: list[str] = []

    async def call(ticket: Ticket, name: str) -> None:
        async with ticket.slot():
            order.append(name)

    async with old.slot(), young.slot():
        calls = [
            asyncio.create_task(call(ticket, name))
            for ticket, name in [(young, "young"), (young, "young"), (old, "old"), (old, "old")]
        ]
        await settle()
    await asyncio.gather(*calls)
    assert order == ["old", "old", "young", "young"]


async def test_tenants_take_turns_in_the_queue():
    admission = Admission(calls_at_once=1, queue_length=10)
    first = await admission.enter("greedy")
    order: list[str] = []
    tasks = []
    for tenant in ["greedy"] * 6 + ["modest"] * 2:
        task = entering(admission, tenant)
        task.add_done_callback(
            lambda task, name=tenant: (order.append(name), task.result().close())
        )
        tasks.append(task)
        await settle()
    first.close()
    await asyncio.gather(*tasks)
    await settle()
    assert order[:4] == ["greedy", "modest", "greedy", "modest"]


async def test_a_full_queue_refuses_who_is_alone_with_503():
    admission = Admission(calls_at_once=1, queue_length=2)
    await admission.enter("a")
    waiting = [entering(admission, "a") for _ in range(2)]
    await settle()
    with pytest.raises(Overloaded) as caught:
        await admission.enter("a")
    assert (caught.value.status, caught.value.code) == (503, "overloaded")
    await _end(waiting)


async def test_who_has_its_share_of_a_full_queue_gets_429():
    admission = Admission(calls_at_once=1, queue_length=4)
    await admission.enter("a")
    waiting = [entering(admission, tenant) for tenant in "aabb"]
    await settle()
    with pytest.raises(ShareUsedUp) as caught:
        await admission.enter("a")
    assert (caught.value.status, caught.value.code) == (429, "rate_limit_exceeded")
    await _end(waiting)


async def test_who_has_less_takes_the_place_of_the_newest_of_who_has_most():
    admission = Admission(calls_at_once=1, queue_length=4)
    await admission.enter("greedy")
    waiting = [entering(admission, "greedy") for _ in range(4)]
    await settle()
    modest = entering(admission, "modest")
    await settle()
    assert [task.done() for task in waiting] == [False, False, False, True]
    assert isinstance(waiting[-1].exception(), ShareUsedUp)
    assert not modest.done()
    await _end([*waiting[:3], modest])


@pytest.mark.parametrize("within_s", [0.05, 10.0])
async def test_nobody_waits_longer_than_the_queue_or_the_request_allows(within_s: float):
    admission = Admission(calls_at_once=1, queue_s=0.05 if within_s > 1 else 10)
    await admission.enter("a")
    with pytest.raises(Overloaded):
        await admission.enter("a", within_s=within_s)
    assert admission.waiting == 0
    assert admission.outcomes["too_late"] == 1


async def test_who_is_turned_away_is_told_when_to_come_back_and_not_all_at_once():
    admission = Admission(calls_at_once=1, queue_length=0)
    await admission.enter("a")
    waits = set()
    for _ in range(20):
        with pytest.raises(Overloaded) as caught:
            await admission.enter("a")
        assert int(caught.value.to_response().headers["retry-after"]) >= 1
        waits.add(caught.value.retry)
    assert len(waits) > 10


async def test_the_fuller_the_queue_the_less_review_a_new_request_gets():
    admission = Admission(calls_at_once=1, queue_length=8)
    ticket = await admission.enter("a")
    assert ticket.rung is None
    waiting = [entering(admission, "a") for _ in range(8)]
    rungs = []
    for task in waiting:
        await settle()
        ticket.close()
        ticket = await task
        rungs.append(ticket.rung)
    assert rungs == ["draft"] * 2 + ["fast"] * 2 + ["fewer_rounds"] * 2 + [None] * 2


async def test_closing_turns_away_what_waits_and_what_comes_and_lets_go_on_what_has_begun():
    admission = Admission(calls_at_once=1)
    ticket = await admission.enter("a")
    waiting = entering(admission, "a")
    await settle()
    admission.close()
    for entrance in (waiting, entering(admission, "b")):
        with pytest.raises(Stopping):
            await entrance
    async with ticket.slot():
        pass
    async with ticket.slot():
        pass
    assert admission.running == 0


async def test_handing_back_ends_calls_and_later_ones_do_not_begin():
    admission = Admission(calls_at_once=4)
    ticket = await admission.enter("a")

    async def hang() -> None:
        async with ticket.slot(), ticket.fuse.waiting():
            await asyncio.Event().wait()

    call = asyncio.create_task(hang())
    await settle()
    admission.hand_back()
    with pytest.raises(ModelUnavailable):
        await call
    with pytest.raises(ModelUnavailable):
        await hang()
    assert admission.running == 0


async def _end(tasks: list[asyncio.Task[Ticket]]) -> None:
    for task in tasks:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


class Slots(RuleBasedStateMachine):
    """Requests come, call, leave and are done in any order."""

    LIMIT, QUEUE = 3, 5

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.admission = Admission(calls_at_once=self.LIMIT, queue_length=self.QUEUE, queue_s=1000)
        self.entering: list[tuple[str, asyncio.Task[Ticket]]] = []
        self.tickets: list[Ticket] = []
        self.ends: list[asyncio.Event] = []
        self.calls: list[asyncio.Task[None]] = []
        self.begun: set[asyncio.Task[None]] = set()

    def turn(self, act: Callable[[], None] = lambda: None) -> None:
        async def run() -> None:
            act()
            await settle()
            for entry in tuple(self.entering):
                if entry[1].done():
                    self.entering.remove(entry)
                    if not entry[1].cancelled() and entry[1].exception() is None:
                        self.tickets.append(entry[1].result())
            self.calls = [call for call in self.calls if not call.done()]

        self.loop.run_until_complete(run())

    @rule(tenant=st.sampled_from("abc"))
    def come(self, tenant: str) -> None:
        def act() -> None:
            self.entering.append((tenant, entering(self.admission, tenant)))

        self.turn(act)

    @precondition(lambda self: self.entering)
    @rule(data=st.data())
    def leave_the_queue(self, data: st.DataObject) -> None:
        _, task = data.draw(st.sampled_from(self.entering))
        self.turn(task.cancel)

    @precondition(lambda self: self.entering and self.begun_calls())
    @rule(data=st.data())
    def leave_the_queue_as_a_slot_comes_free(self, data: st.DataObject) -> None:
        _, task = data.draw(st.sampled_from(self.entering))
        call = data.draw(st.sampled_from(self.begun_calls()))

        def act() -> None:
            call.cancel()
            self.loop.call_soon(task.cancel)

        self.turn(act)

    @precondition(lambda self: self.tickets)
    @rule(data=st.data())
    def call(self, data: st.DataObject) -> None:
        ticket = data.draw(st.sampled_from(self.tickets))

        async def work() -> None:
            task = asyncio.current_task()
            assert task is not None
            async with ticket.slot():
                self.begun.add(task)
                try:
                    await asyncio.Event().wait()
                finally:
                    self.begun.discard(task)

        self.turn(lambda: self.calls.append(asyncio.create_task(work())))

    @precondition(lambda self: self.calls)
    @rule(data=st.data())
    def end_a_call(self, data: st.DataObject) -> None:
        self.turn(data.draw(st.sampled_from(self.calls)).cancel)

    @precondition(lambda self: self.tickets)
    @rule(data=st.data())
    def end_a_request(self, data: st.DataObject) -> None:
        ticket = data.draw(st.sampled_from(self.tickets))
        self.tickets.remove(ticket)
        self.turn(ticket.close)

    def begun_calls(self) -> list[asyncio.Task[None]]:
        return [call for call in self.calls if call in self.begun]

    @invariant()
    def a_slot_is_held_by_a_call_or_an_unused_ticket_and_by_nothing_else(self) -> None:
        unused = sum(ticket._holds_first for ticket in self.tickets)
        assert self.admission.running == len(self.begun) + unused <= self.LIMIT

    @invariant()
    def the_queue_is_bounded_and_counted(self) -> None:
        assert self.admission.waiting == len(self.entering) <= self.QUEUE

    @invariant()
    def nothing_waits_while_a_slot_is_free(self) -> None:
        waiting = self.entering or len(self.calls) > len(self.begun)
        assert not waiting or self.admission.running == self.LIMIT

    def teardown(self) -> None:
        def act() -> None:
            for task in [*self.calls, *(task for _, task in self.entering)]:
                task.cancel()
            for ticket in self.tickets:
                ticket.close()

        self.turn(act)
        self.turn(lambda: [ticket.close() for ticket in self.tickets])
        assert self.admission.running == 0
        assert self.admission.waiting == 0
        self.loop.close()


TestSlots = Slots.TestCase
TestSlots.settings = settings(max_examples=60, stateful_step_count=40)
