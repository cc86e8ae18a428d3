"""The gateway on a real socket, with the settings that a test wants."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from retrieval.retriever import Retriever
from tests.fakes.vllm import FakeVLLM
from tests.server.gateway import Gateway, serving

Opener = Callable[..., Awaitable[Gateway]]


@pytest.fixture
async def open_gateway(vllm: FakeVLLM, library: Retriever, tmp_path: Path) -> AsyncIterator[Opener]:
    async with AsyncExitStack() as stack:

        async def open_it(**wishes: object) -> Gateway:
            return await stack.enter_async_context(serving(vllm, library, tmp_path, **wishes))

        yield open_it


@pytest.fixture
async def gateway(open_gateway: Opener) -> Gateway:
    return await open_gateway()
