"""The benchmark of overload, in short: what it promises must hold on any machine."""

import pytest

from benchmarks.overload import QUEUE_S, measure


@pytest.mark.timeout(180)
async def test_at_twice_the_capacity_goodput_stands_and_latency_is_bounded():
    _, (full, twice) = await measure(4.0, (1.0, 2.0))
    assert twice.goodput >= 0.9 * full.goodput
    assert max(twice.latencies) < 2 * QUEUE_S + 2
    assert full.how.total() == len(full.latencies) + len(full.refusals)


@pytest.mark.timeout(180)
async def test_where_no_review_may_give_way_goodput_stands_too_and_the_rest_is_refused():
    _, (full, twice) = await measure(4.0, (1.0, 2.0), minimum_mode="standard")
    assert twice.goodput >= 0.9 * full.goodput
    assert max(twice.latencies) < 2 * QUEUE_S + 2
    assert not any("fast" in how or "draft" in how for how in twice.how)
