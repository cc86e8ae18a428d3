"""A key uses what it may: requests and tokens a minute, requests at once; what is owed is paid."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from server.errors import RateLimited
from server.keys.key import Key, KeyLimits, new_key
from server.rates import minutes, rates
from server.rates.counts import open_counts
from server.rates.minutes import MINUTE_S, minute_of, told
from server.rates.rates import Rates, Spending
from tests.server.services import running_redis

LIMIT = 1000


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Keep the clock at the start of a minute of any key's; return what moves it on."""
    at = {"number": 1000, "passed": 0.0}

    def now_of(key_id: str, now: float | None = None) -> minutes.Minute:
        whole, passed = divmod(at["passed"], MINUTE_S)
        return minutes.Minute(number=at["number"] + int(whole), left_s=MINUTE_S - passed)

    def move(seconds: float) -> None:
        at["passed"] += seconds

    monkeypatch.setattr(rates, "minute_of", now_of)
    return move


@pytest.fixture(params=["own", "redis"])
async def use(request: pytest.FixtureRequest) -> AsyncIterator[Rates]:
    if request.param == "own":
        yield Rates()
        return
    async with running_redis() as redis, open_counts(redis.url) as counts:
        yield Rates(counts)


def key_with(**limits: int) -> Key:
    return new_key(frozenset({"chat"}), limits=KeyLimits(**limits))[0]


async def begun(use: Rates, key: Key, *, least: int = 1) -> Spending:
    return await use.begin(key, least=least)


async def test_a_minutes_requests_are_counted_and_then_refused(use: Rates, clock):
    key = key_with(requests_per_minute=3)
    left = [(await use.count(key))["x-ratelimit-remaining-requests"] for _ in range(3)]
    assert left == ["2", "1", "0"]
    clock(20)
    with pytest.raises(RateLimited) as refused:
        await use.count(key)
    assert refused.value.retry == 40
    assert refused.value.headers["x-ratelimit-reset-requests"] == "40s"
    clock(40)
    assert (await use.count(key))["x-ratelimit-remaining-requests"] == "2"


async def test_a_key_without_limits_is_not_counted(use: Rates):
    key = key_with()
    for _ in range(50):
        assert await use.count(key) == {}
        spending = await begun(use, key)
        assert spending.headers == {}
        await spending.end(10**9)


async def test_one_keys_use_is_not_anothers(use: Rates):
    one, other = (key_with(requests_per_minute=1, tokens_per_minute=1) for _ in range(2))
    await use.count(one)
    await (await begun(use, one)).end(5)
    with pytest.raises(RateLimited):
        await use.count(one)
    with pytest.raises(RateLimited):
        await begun(use, one)
    await use.count(other)
    await begun(use, other)


async def left(use: Rates, key: Key) -> int:
    """Return how many tokens the key has left, by what a request is told that costs one."""
    spending = await begun(use, key)
    await spending.end(0)
    return int(spending.headers["x-ratelimit-remaining-tokens"]) + 1


async def test_what_was_set_aside_too_much_is_given_back(use: Rates):
    key = key_with(tokens_per_minute=LIMIT)
    spending = await begun(use, key, least=600)
    assert spending.headers["x-ratelimit-remaining-tokens"] == "400"
    await spending.end(100)
    use._usual.clear()
    assert await left(use, key) == 900


async def test_what_was_set_aside_too_little_is_charged(use: Rates):
    key = key_with(tokens_per_minute=LIMIT)
    await (await begun(use, key)).end(700)
    use._usual.clear()
    assert await left(use, key) == 300


async def test_nothing_is_given_back_to_a_minute_that_is_over(use: Rates, clock):
    key = key_with(tokens_per_minute=LIMIT)
    spending = await begun(use, key, least=600)
    clock(MINUTE_S)
    await spending.end(100)
    use._usual.clear()
    assert await left(use, key) == LIMIT


async def test_a_cost_that_comes_in_the_next_minute_is_charged_there(use: Rates, clock):
    key = key_with(tokens_per_minute=LIMIT)
    spending = await begun(use, key, least=100)
    clock(MINUTE_S)
    await spending.end(500)
    use._usual.clear()
    assert await left(use, key) == LIMIT - 400


async def test_what_is_owed_is_taken_from_the_minutes_that_follow(use: Rates, clock):
    key = key_with(tokens_per_minute=LIMIT)
    await (await begun(use, key)).end(3 * LIMIT + 200)
    use._usual.clear()
    for minute in range(3):
        with pytest.raises(RateLimited) as refused:
            await begun(use, key)
        assert refused.value.retry == (3 - minute) * MINUTE_S
        clock(MINUTE_S)
    assert await left(use, key) == LIMIT - 200


async def test_over_time_a_key_uses_what_it_may_and_no_more(use: Rates, clock):
    key = key_with(tokens_per_minute=LIMIT)
    spent = 0
    for _ in range(30):
        for _ in range(4):
            try:
                spending = await begun(use, key)
            except RateLimited:
                break
            await spending.end(700)
            spent += 700
        clock(MINUTE_S)
    assert 29 * LIMIT <= spent <= 30 * LIMIT + 700


async def test_many_that_begin_together_set_aside_what_such_requests_cost(use: Rates):
    key = key_with(tokens_per_minute=LIMIT)
    await (await begun(use, key)).end(400)
    let_in = await asyncio.gather(*(begun(use, key) for _ in range(20)), return_exceptions=True)
    running = [one for one in let_in if isinstance(one, Spending)]
    assert len(running) == 2  # 400 are spent, and 400 set aside for each
    assert all(isinstance(one, RateLimited) for one in let_in if one not in running)


async def test_what_is_settled_twice_is_charged_once(use: Rates):
    key = key_with(tokens_per_minute=LIMIT)
    spending = await begun(use, key, least=50)
    for spent in (100, 100, 250, 250):
        await spending.end(spent)
    use._usual.clear()
    assert await left(use, key) == LIMIT - 250


async def test_requests_at_once_are_bounded_and_a_place_is_given_back(use: Rates):
    key = key_with(at_once=2)
    one, other = await begun(use, key), await begun(use, key)
    with pytest.raises(RateLimited, match="2 requests at once"):
        await begun(use, key)
    await one.end(0)
    await one.end(0)  # once more gives no second place
    third = await begun(use, key)
    with pytest.raises(RateLimited):
        await begun(use, key)
    for spending in (other, third):
        await spending.end(0)
    assert not use._running


async def test_a_request_that_tokens_keep_out_holds_no_place(use: Rates):
    key = key_with(at_once=1, tokens_per_minute=1)
    await (await begun(use, key)).end(9)
    with pytest.raises(RateLimited, match="tokens a minute"):
        await begun(use, key)
    assert not use._running


def test_keys_minutes_begin_at_different_seconds():
    begins = {round(minute_of(new_key(frozenset())[0].id, 1e9).left_s) for _ in range(200)}
    assert len(begins) > 30
    one = minute_of("a" * 12, 1e9)
    assert minute_of("a" * 12, 1e9 + one.left_s).number == one.number + 1


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.1, "1s"), (7, "7s"), (7.01, "8s"), (60, "1m0s"), (3599.5, "60m0s")]
)
def test_a_time_to_wait_is_written_as_openai_writes_it(seconds: float, text: str):
    assert told(seconds) == text


async def test_several_gateways_share_one_count():
    key = key_with(requests_per_minute=10, tokens_per_minute=LIMIT)
    async with running_redis() as redis, open_counts(redis.url) as a, open_counts(redis.url) as b:
        one, other = Rates(a), Rates(b)
        results = await asyncio.gather(
            *((one, other)[number % 2].count(key) for number in range(30)), return_exceptions=True
        )
        assert len([result for result in results if isinstance(result, dict)]) == 10
        await (await begun(one, key)).end(LIMIT)
        with pytest.raises(RateLimited):
            await begun(other, key)


async def test_a_gateway_whose_redis_is_away_counts_alone_says_so_and_comes_back(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr("server.rates.counts.RETRY_S", 0.2)
    key = key_with(requests_per_minute=3)
    async with running_redis() as redis, open_counts(redis.url) as counts:
        use = Rates(counts)
        await use.count(key)
        redis.stop()
        for _ in range(3):
            await use.count(key)
        assert counts.is_local
        with pytest.raises(RateLimited):
            await use.count(key)
        await redis.start()
        await asyncio.sleep(0.25)
        told = await use.count(key)
        assert told["x-ratelimit-remaining-requests"] == "2"  # the new Redis knows nothing yet
        assert not counts.is_local
    lines = [record.getMessage() for record in caplog.records if record.name == "clinalign"]
    assert [line.partition("(")[0].strip() for line in lines] == [
        "limits: the shared counters do not answer",
        "limits: the shared counters answer again",
    ]
    assert redis.url not in caplog.text


async def test_a_redis_that_does_not_answer_costs_half_a_second_and_then_nothing():
    async with running_redis() as redis, open_counts(redis.url) as counts:
        await counts.add("x", 1, lasts_s=60)
        assert redis.child is not None
        redis.child.send_signal(19)  # SIGSTOP: connected, and silent
        clock = asyncio.get_running_loop().time
        began = clock()
        await counts.add("x", 1, lasts_s=60)
        assert clock() - began < 2
        began = clock()
        for _ in range(100):
            await counts.add("x", 1, lasts_s=60)
        assert clock() - began < 1
        redis.child.send_signal(18)


async def test_tokens_set_aside_in_a_redis_that_went_away_are_no_credit():
    key = key_with(tokens_per_minute=LIMIT)
    async with running_redis() as redis, open_counts(redis.url) as counts:
        use = Rates(counts)
        spending = await begun(use, key, least=900)
        redis.stop()
        await spending.end(100)
        use._usual.clear()
        assert await left(use, key) <= LIMIT


async def test_a_wrong_address_is_away_as_well():
    async with open_counts("redis://127.0.0.1:9/0") as counts:
        assert await counts.add("x", 2, lasts_s=60) == 2
        assert await counts.read("x") == 2
        assert counts.is_local
