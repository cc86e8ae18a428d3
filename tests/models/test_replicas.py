from collections import Counter

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from models.fuse import Fuse
from models.replica import COOLDOWN_S, FAILURES, FIRST_PAUSE_S, LONGEST_PAUSE_S, Replica
from models.replicas import SILENCE_S, Replicas

URLS = ("http://a/v1", "http://b/v1", "http://c/v1")


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def replicas(clock: Clock) -> Replicas:
    return Replicas(URLS, clock=clock)


def call_on(replica: Replica) -> Fuse:
    call = Fuse()
    replica.began(call)
    return call


def test_one_conversation_stays_on_one_replica_whatever_their_order():
    orders = (URLS, URLS[::-1], URLS[1:] + URLS[:1])
    assert len({Replicas(order).choose("talk").url for order in orders}) == 1


def test_conversations_spread_over_all_replicas(replicas: Replicas):
    counts = Counter(replicas.choose(f"talk-{number}").url for number in range(600))
    assert min(counts[url] for url in URLS) > 130


def test_a_replica_that_leaves_moves_only_its_own_conversations():
    talks = [f"talk-{number}" for number in range(100)]
    before = {talk: Replicas(URLS).choose(talk).url for talk in talks}
    after = {talk: Replicas(URLS[:2]).choose(talk).url for talk in talks}
    assert all(after[talk] == before[talk] for talk in talks if before[talk] in URLS[:2])


def test_a_request_begins_where_the_fewest_calls_are_open(replicas: Replicas):
    for number in range(9):
        call_on(replicas.choose(f"talk-{number}"))
    assert [len(one.calls) for one in replicas.all] == [3, 3, 3]


def test_the_later_calls_of_a_request_follow_the_first_one_however_busy_its_replica(
    replicas: Replicas,
):
    home = replicas.choose("talk")
    for _ in range(50):
        call_on(home)
    assert replicas.choose("talk") is home
    assert replicas.choose("other talk") is not home


def test_a_request_whose_replica_went_out_moves_once_and_stays_there(
    replicas: Replicas, clock: Clock
):
    home = replicas.choose("talk")
    home.failed(refused=True)
    second = replicas.choose("talk")
    assert second is not home
    home.probe_began()
    home.probe_ended(well=True)
    clock.now += COOLDOWN_S
    assert replicas.choose("talk") is second


def test_a_retry_goes_to_another_replica(replicas: Replicas):
    tried: list[str] = []
    for _ in URLS:
        tried.append(replicas.choose("talk", tried=tried).url)
    assert sorted(tried) == sorted(URLS)


def test_one_failure_makes_others_preferred_for_a_while_and_puts_nobody_out(
    replicas: Replicas, clock: Clock
):
    first = replicas.choose("talk")
    first.failed()
    assert not first.is_out
    assert replicas.choose("") is not first
    for other in replicas.all:
        if other is not first:
            call_on(other)
    clock.now += COOLDOWN_S + 0.01
    assert replicas.choose("") is first


def test_failures_in_a_row_put_a_replica_out_and_a_byte_in_between_does_not(replicas: Replicas):
    one = replicas.all[0]
    for _ in range(FAILURES - 1):
        one.failed()
    one.heard()
    for _ in range(FAILURES - 1):
        one.failed()
    assert not one.is_out
    one.failed()
    assert one.is_out


def test_a_refused_connection_puts_a_replica_out_at_once(replicas: Replicas):
    replicas.all[0].failed(refused=True)
    assert replicas.all[0].is_out


def test_silence_alone_puts_no_replica_out_but_asks_for_a_probe(replicas: Replicas, clock: Clock):
    one = replicas.all[0]
    clock.now += 10 * SILENCE_S
    assert not one.wants_probe()  # nothing is open, so nothing can be silent
    call_on(one)
    assert not one.wants_probe()
    clock.now += SILENCE_S
    assert one.wants_probe()
    assert not one.is_out


def test_a_failed_probe_counts_for_nothing_when_bytes_came_meanwhile(
    replicas: Replicas, clock: Clock
):
    one = replicas.all[0]
    call_on(one)
    clock.now += SILENCE_S
    one.probe_began()
    clock.now += 1
    one.heard()
    one.probe_ended(well=False)
    assert not one.is_out


def test_silence_and_a_failed_probe_put_a_replica_out(replicas: Replicas, clock: Clock):
    one = replicas.all[0]
    call_on(one)
    clock.now += SILENCE_S
    one.probe_began()
    clock.now += 1
    one.probe_ended(well=False)
    assert one.is_out


def test_old_bytes_bring_no_replica_in_again_only_a_probe_does(replicas: Replicas):
    one = replicas.all[0]
    one.failed(refused=True)
    one.heard()
    assert one.is_out
    one.probe_began()
    one.probe_ended(well=True)
    assert not one.is_out


def test_the_pause_between_probes_doubles_up_to_a_limit(replicas: Replicas, clock: Clock):
    one = replicas.all[0]
    one.failed(refused=True)
    pauses = []
    for _ in range(8):
        began = clock.now
        while not one.wants_probe():
            clock.now += 0.5
        pauses.append(clock.now - began)
        one.probe_began()
        assert not one.wants_probe()
        one.probe_ended(well=False)
    assert pauses[0] == FIRST_PAUSE_S
    assert pauses == sorted(pauses)
    assert pauses[-1] == LONGEST_PAUSE_S


def test_a_replica_without_the_model_is_the_last_to_be_asked(replicas: Replicas):
    home = replicas.choose("talk", model="m")
    home.models = frozenset({"another"})
    assert replicas.choose("talk", model="m") is not home
    for other in replicas.all:
        if other is not home:
            other.failed(refused=True)
    assert replicas.choose("talk", model="m") is not home


def test_a_replica_that_asked_for_rest_is_spared_until_then(replicas: Replicas, clock: Clock):
    home = replicas.choose("talk")
    home.asked_for_rest(3)
    assert replicas.choose("talk") is not home
    assert home.rest() == 3
    clock.now += 3
    assert home.rest() == 0


def test_when_all_are_out_one_is_tried_anyway(replicas: Replicas):
    for one in replicas.all:
        one.failed(refused=True)
    assert replicas.choose("talk") in replicas.all


def test_a_single_replica_is_never_probed(clock: Clock):
    alone = Replicas(URLS[:1], clock=clock)
    alone.all[0].failed(refused=True)
    clock.now += 100
    assert alone.due() == ()


def test_a_slash_at_the_end_makes_no_difference():
    assert Replicas(["http://a/v1/", "http://a/v1"]).all[0].url == "http://a/v1"
    assert len(Replicas(["http://a/v1/", "http://a/v1"]).all) == 1


def test_no_replica_at_all_is_refused():
    with pytest.raises(ValueError, match="at least one"):
        Replicas([])


numbers = st.integers(0, len(URLS) - 1)


class Ejection(RuleBasedStateMachine):
    """Beside the replicas a plain account of what happened to each."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.replicas = Replicas(URLS, clock=self.clock)
        self.out = [False] * len(URLS)
        self.failures = [0] * len(URLS)
        self.open: list[list[Fuse]] = [[] for _ in URLS]
        self.probed: dict[int, bool] = {}  # whether a byte has come since the probe began

    def leave(self, number: int) -> None:
        self.out[number] = True

    @rule(number=numbers)
    def open_a_call(self, number: int) -> None:
        self.open[number].append(call_on(self.replicas.all[number]))

    @rule(number=numbers)
    def end_a_call(self, number: int) -> None:
        if self.open[number]:
            self.replicas.all[number].ended(self.open[number].pop())

    @rule(number=numbers)
    def hear(self, number: int) -> None:
        self.clock.now += 0.01
        self.replicas.all[number].heard()
        if not self.out[number]:
            self.failures[number] = 0
        if number in self.probed:
            self.probed[number] = True

    @rule(number=numbers, refused=st.booleans())
    def fail(self, number: int, *, refused: bool) -> None:
        self.replicas.all[number].failed(refused=refused)
        self.failures[number] += 1
        if refused or self.failures[number] >= FAILURES:
            self.leave(number)

    @rule(seconds=st.sampled_from([0.5, 3.0, SILENCE_S, 40.0]))
    def wait(self, seconds: float) -> None:
        self.clock.now += seconds

    @rule()
    def probe_all_that_are_due(self) -> None:
        for number, one in enumerate(self.replicas.all):
            if one.wants_probe():
                assert number not in self.probed
                assert self.out[number] or self.open[number]
                one.probe_began()
                self.probed[number] = False

    @precondition(lambda self: self.probed)
    @rule(data=st.data(), well=st.booleans())
    def end_a_probe(self, data: st.DataObject, *, well: bool) -> None:
        number = data.draw(st.sampled_from(sorted(self.probed)))
        heard = self.probed.pop(number)
        self.replicas.all[number].probe_ended(well=well)
        if well:
            self.out[number] = False
            self.failures[number] = 0
        elif not heard:
            self.leave(number)

    @rule(talk=st.sampled_from(["a", "b", "c"]))
    def choose(self, talk: str) -> None:
        chosen = self.replicas.choose(talk)
        if not all(self.out):
            assert not chosen.is_out
        assert self.replicas.choose(talk) is chosen

    @invariant()
    def a_replica_is_out_exactly_when_it_should_be(self) -> None:
        assert [one.is_out for one in self.replicas.all] == self.out

    @invariant()
    def every_open_call_is_known(self) -> None:
        for calls, one in zip(self.open, self.replicas.all, strict=True):
            assert one.calls == set(calls)

    @invariant()
    def one_that_is_out_is_probed_before_long(self) -> None:
        for number, one in enumerate(self.replicas.all):
            if self.out[number] and number not in self.probed:
                later = Clock()
                later.now = self.clock.now + LONGEST_PAUSE_S
                one._clock = later
                assert one.wants_probe()
                one._clock = self.clock


TestEjection = Ejection.TestCase
