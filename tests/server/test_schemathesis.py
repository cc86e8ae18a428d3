"""schemathesis, which asks what no one thought of, finds no 500 and no undescribed answer."""

from pathlib import Path

import pytest

from tests.fakes.vllm import FakeVLLM
from tests.fuzz.run import WELL, failing, loose
from tests.server.conftest import Opener
from tests.server.described import document
from tests.server.gateway import CHAT, Gateway

pytestmark = pytest.mark.timeout(400)  # the first run makes schemathesis's environment

SEED = "20251125"
LIMIT_S = 150.0


def answered(metrics: str) -> set[tuple[str, str]]:
    """Return the routes and statuses that were answered."""
    lines = [line for line in metrics.splitlines() if "http_responses_total{" in line]
    return {(line.split('"')[1], line.split('"')[3]) for line in lines}


async def test_nothing_is_undescribed_while_the_model_server_is_well(
    gateway: Gateway, vllm: FakeVLLM, tmp_path: Path
):
    vllm.script |= WELL
    options = ("--seed", SEED, "--max-examples", "12")
    ended = await loose(gateway.url, tmp_path, *options, limit_s=LIMIT_S)
    assert ended.status == 0, ended.output
    seen = answered((await gateway.get("/metrics")).body.decode())
    described = {path.replace("{model_id}", "{model_id:path}") for path in document()["paths"]}
    assert {route for route, status in seen if status == "200"} >= described
    assert {status for _, status in seen} >= {"200", "400", "404"}
    assert not {status for _, status in seen} & {"500", "502", "503"}


async def test_nothing_is_undescribed_while_the_model_server_fails(
    open_gateway: Opener, vllm: FakeVLLM, tmp_path: Path
):
    vllm.script |= failing()
    gateway = await open_gateway()
    options = ("--seed", SEED, "--max-examples", "50", "--phases", "examples,fuzzing")
    ended = await loose(gateway.url, tmp_path, *options, limit_s=LIMIT_S)
    assert ended.status == 0, ended.output
    seen = answered((await gateway.get("/metrics")).body.decode())
    assert {status for route, status in seen if route == CHAT} >= {"200", "400", "502"}
    assert "500" not in {status for _, status in seen}
