"""What every test may ask for: a model server with a script, and a small library."""

from collections.abc import AsyncIterator

import hypothesis
import pytest

from retrieval.retriever import Retriever
from tests.fakes.embedder import HashingEmbedder
from tests.fakes.library import open_library
from tests.fakes.vllm import FakeVLLM

# A busy machine is slow; that is no fault of what is tested. The same examples each time, so that
# a run fails for what was changed; `--hypothesis-profile=search` looks for new ones.
hypothesis.settings.register_profile(
    "search",
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
    print_blob=True,
)
hypothesis.settings.register_profile(
    "shared-machine", hypothesis.settings.get_profile("search"), derandomize=True
)
hypothesis.settings.load_profile("shared-machine")


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Retriever:
    return open_library(tmp_path_factory.mktemp("library"), HashingEmbedder())


@pytest.fixture
async def vllm() -> AsyncIterator[FakeVLLM]:
    async with FakeVLLM() as server:
        yield server
    assert server.complaints == []
