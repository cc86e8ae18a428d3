"""How long a request may take: its own word, the operator's and the client's patience."""

import asyncio

import pytest
from starlette.datastructures import Headers

from server.deadline import limits, patience_of
from server.schemas import RevisionOptions
from server.settings import Settings

SETTINGS = Settings(deadline_ms=60_000, ping_s=10)
PYTHON, OTHERS = "x-stainless-read-timeout", "X-Stainless-Timeout"


def seconds(wished_ms=None, *, stream=False, **headers):
    wishes = RevisionOptions(deadline_ms=wished_ms)
    now = asyncio.get_running_loop().time()
    sent = Headers({name.replace("_", "-"): value for name, value in headers.items()})
    found = limits(SETTINGS, wishes, sent, stream=stream)
    return found.review_by - now, found.ping_s


async def test_the_operators_setting_serves_where_the_request_says_nothing():
    assert seconds()[0] == pytest.approx(59.8, abs=0.05)


async def test_the_requests_own_deadline_beats_the_setting_either_way():
    assert seconds(1000)[0] == pytest.approx(0.95, abs=0.05)
    assert seconds(500_000)[0] == pytest.approx(499.8, abs=0.05)


@pytest.mark.parametrize("header", [PYTHON, OTHERS])
async def test_an_answer_leaves_before_the_client_gives_up(header: str):
    assert seconds(**{header: "20"})[0] == pytest.approx(18.8, abs=0.05)
    assert seconds(600_000, **{header: "20"})[0] == pytest.approx(18.8, abs=0.05)
    assert 0.8 < seconds(**{header: "1.0"})[0] < 0.9


async def test_a_clients_patience_ends_the_review_and_not_the_draft():
    now = asyncio.get_running_loop().time()
    found = limits(SETTINGS, RevisionOptions(), Headers({PYTHON: "20"}))
    assert found.review_by - now == pytest.approx(18.8, abs=0.05)
    assert found.deadline - now == pytest.approx(59.8, abs=0.05)


async def test_a_patient_client_changes_nothing():
    assert seconds(**{PYTHON: "600"})[0] == pytest.approx(59.8, abs=0.05)
    assert seconds(1000, **{OTHERS: "600"})[0] == pytest.approx(0.95, abs=0.05)


async def test_of_a_stream_patience_bounds_the_silence_and_not_the_whole():
    total, ping_s = seconds(stream=True, **{PYTHON: "6"})
    assert total == pytest.approx(59.8, abs=0.05)
    assert ping_s == 2.0
    assert seconds(stream=True, **{PYTHON: "600"})[1] == 10


@pytest.mark.parametrize(
    "value",
    ["", "soon", "nan", "inf", "-inf", "-5", "0", "0.001", "1e9", "10;20", "12 s"],
)
def test_an_absurd_patience_is_not_heeded(value: str):
    assert patience_of(Headers({PYTHON: value})) is None


def test_the_shorter_of_two_patiences_counts():
    assert patience_of(Headers({PYTHON: "30", OTHERS: "20"})) == 20
    assert patience_of(Headers({PYTHON: "nonsense", OTHERS: "20"})) == 20
