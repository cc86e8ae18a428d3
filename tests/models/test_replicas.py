from collections import Counter

import pytest

from models.replicas import COOLDOWN_S, Replicas

URLS = ("http://a/v1", "http://b/v1", "http://c/v1")


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_one_conversation_stays_on_one_replica_whatever_their_order():
    chosen = {Replicas(order).choose("talk") for order in (URLS, URLS[::-1], URLS[1:] + URLS[:1])}
    assert len(chosen) == 1


def test_conversations_spread_over_all_replicas():
    replicas = Replicas(URLS)
    counts = Counter(replicas.choose(f"talk-{number}") for number in range(600))
    assert min(counts[url] for url in URLS) > 130


def test_a_replica_that_leaves_moves_only_its_own_conversations():
    talks = [f"talk-{number}" for number in range(100)]
    before = {talk: Replicas(URLS).choose(talk) for talk in talks}
    after = {talk: Replicas(URLS[:2]).choose(talk) for talk in talks}
    assert all(after[talk] == before[talk] for talk in talks if before[talk] in URLS[:2])


def test_a_retry_goes_to_another_replica():
    replicas = Replicas(URLS)
    tried: list[str] = []
    for _ in URLS:
        tried.append(replicas.choose("talk", tried=tried))
    assert sorted(tried) == sorted(URLS)
    assert replicas.choose("talk", tried=tried) == tried[0]


def test_a_replica_that_failed_is_passed_over_until_it_has_cooled_down():
    clock = Clock()
    replicas = Replicas(URLS, clock=clock)
    first = replicas.choose("talk")
    replicas.failed(first)
    assert replicas.choose("talk") != first
    clock.now += COOLDOWN_S - 0.01
    assert replicas.choose("talk") != first
    clock.now += 0.02
    assert replicas.choose("talk") == first


def test_a_replica_that_answers_again_is_taken_at_once():
    replicas = Replicas(URLS, clock=Clock())
    first = replicas.choose("talk")
    replicas.failed(first)
    replicas.answered(first)
    assert replicas.choose("talk") == first


def test_when_all_have_failed_the_preferred_one_is_tried_anyway():
    replicas = Replicas(URLS, clock=Clock())
    first = replicas.choose("talk")
    for url in URLS:
        replicas.failed(url)
    assert replicas.choose("talk") == first


def test_a_retry_prefers_an_untried_replica_that_cools_to_a_tried_one():
    replicas = Replicas(URLS[:2], clock=Clock())
    first = replicas.choose("talk")
    other = next(url for url in URLS[:2] if url != first)
    replicas.failed(other)
    assert replicas.choose("talk", tried=[first]) == other


def test_a_slash_at_the_end_makes_no_difference():
    assert Replicas(["http://a/v1/"]).choose("talk") == "http://a/v1"


def test_no_replica_at_all_is_refused():
    with pytest.raises(ValueError, match="at least one"):
        Replicas([])
