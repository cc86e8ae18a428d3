"""The client for any OpenAI-compatible model server, vLLM first.

One connection pool, one retry loop. A call is retried once, on another replica where there is
one, and only before the first token, so that nothing is ever said twice. Cancelling the awaiting
task closes the connection, which is what makes vLLM stop generating.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from types import TracebackType
from typing import Self

import aiohttp
import orjson
import stamina

from models.context import Context
from models.errors import (
    MalformedReply,
    ModelError,
    ModelOverloaded,
    ModelRejected,
    ModelUnavailable,
)
from models.messages import Call, Json
from models.replicas import Replicas
from models.upstream_errors import refusal, translated
from models.wire import ModelCard, ModelCards, parse

CHAT = "/chat/completions"
CONNECT_S = 5.0
ATTEMPTS = 2
LONGEST_WAIT_S = 5.0
"""A server that asks for a longer pause than this is not waited for."""
MODELS_S = 5.0
"""A server that cannot list its models by then is not well; requests wait for the list."""
IDLE_S = 4.0
"""Idle connections are dropped before vLLM's default keep-alive of 5 s does it under our feet."""
MAX_REPLY = 16 * 1024 * 1024
BAD_REQUESTS = frozenset({400, 413, 422})
"""What a client would be blamed for, if the request were its own."""


class OpenAIServer:
    """The model server: one or more replicas behind one connection pool.

    Use it as an async context manager. `timeout_s` bounds each call, beside its own deadline.
    """

    def __init__(
        self, urls: Sequence[str], *, api_key: str | None = None, timeout_s: float = 300.0
    ) -> None:
        self.replicas = Replicas(urls)
        self._contexts: dict[str, Context] = {}
        self._timeout_s = timeout_s
        self._headers = {"content-type": "application/json", "accept-encoding": "identity"}
        if api_key:
            self._headers["authorization"] = f"Bearer {api_key}"
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=IDLE_S, ttl_dns_cache=300),
            headers=self._headers,
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def models(self) -> tuple[ModelCard, ...]:
        """Return the models that the server offers.

        Raises:
            ModelError: it does not answer, or not in OpenAI's form.

        """
        deadline = asyncio.get_running_loop().time() + MODELS_S
        call = Call(step="models", messages=(), deadline=deadline)
        url = self.replicas.choose("")
        try:
            async with self._once(url, "GET", "/models", None, call) as response:
                return parse(ModelCards, await read_whole(response.content.iter_any())).data
        except ModelRejected as error:
            if error.status not in BAD_REQUESTS:
                raise
            # What is asked here comes from no client, so none may be told that it asked wrongly.
            raise MalformedReply(
                f"the model server gives no list of models (HTTP {error.status})"
            ) from None

    def context(self, model: str) -> Context:
        """Return what is known of that model's context."""
        return self._contexts.setdefault(model, Context(self, model))

    async def ask(self, path: str, body: Mapping[str, Json], call: Call) -> bytes:
        """Return the reply to a side question, such as a count of tokens; it is asked once.

        `path` begins at the server's root: what is not OpenAI's API does not lie under it.

        Raises:
            ModelError: there is none.

        """
        root = self.replicas.choose(call.affinity).removesuffix("/v1")
        async with self._once(root, "POST", path, _encode(body), call) as response:
            return await read_whole(response.content.iter_any())

    async def fetch(self, body: Mapping[str, Json], call: Call, *, path: str = CHAT) -> bytes:
        """Return the whole reply to one request, by default for a chat completion.

        Raises:
            ModelError: as its subclasses say; once even after a retry.

        """
        payload = _encode(body)
        tried: list[str] = []
        async for attempt in _attempts():
            with attempt:
                async with self._pick(path, payload, call, tried) as response:
                    return await read_whole(response.content.iter_any())
        raise AssertionError("stamina leaves the loop by return or raise")

    @asynccontextmanager
    async def open(
        self, body: Mapping[str, Json], call: Call, *, path: str = CHAT
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Open one reply, by default a chat completion; status 200, its body still to be read.

        Raises:
            ModelError: on opening, after one retry; or while the body is read, without one.

        """
        payload = _encode(body)
        tried: list[str] = []
        async with AsyncExitStack() as stack:
            async for attempt in _attempts():
                with attempt:
                    response = await stack.enter_async_context(
                        self._pick(path, payload, call, tried)
                    )
            yield response

    @asynccontextmanager
    async def _pick(
        self, path: str, payload: bytes, call: Call, tried: list[str]
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        url = self.replicas.choose(call.affinity, tried=tried)
        tried.append(url)
        try:
            async with self._once(url, "POST", path, payload, call) as response:
                self.replicas.answered(url)
                yield response
        except ModelUnavailable:
            self.replicas.failed(url)
            raise

    @asynccontextmanager
    async def _once(
        self, url: str, method: str, path: str, payload: bytes | None, call: Call
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        if self._session is None:
            raise RuntimeError("OpenAIServer is used outside its `async with`")
        with translated():
            async with self._session.request(
                method,
                url + path,
                data=payload,
                headers={"x-clinalign-step": call.step},
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=self._time_left(call), connect=CONNECT_S),
            ) as response:
                if response.status != 200:  # noqa: PLR2004
                    raise refusal(
                        response.status,
                        response.headers,
                        await read_whole(response.content.iter_any()),
                    )
                yield response

    def _time_left(self, call: Call) -> float:
        if call.deadline is None:
            return self._timeout_s
        left = call.deadline - asyncio.get_running_loop().time()
        # Zero means "no limit" to aiohttp, the opposite of what a passed deadline asks for.
        return min(self._timeout_s, max(0.001, left))


def _attempts() -> AsyncIterator[stamina.Attempt]:
    return aiter(
        stamina.retry_context(
            on=_pause, attempts=ATTEMPTS, timeout=None, wait_initial=0.1, wait_jitter=0.1
        )
    )


def _pause(error: Exception) -> bool | float:
    """Say whether the call may be tried again, and after how many seconds if the server said."""
    if isinstance(error, ModelOverloaded) and error.retry_after is not None:
        return error.retry_after if error.retry_after <= LONGEST_WAIT_S else False
    return isinstance(error, ModelUnavailable | ModelOverloaded)


def _encode(body: Mapping[str, Json]) -> bytes:
    """Return the body as JSON.

    Raises:
        ModelRejected: it holds what JSON cannot carry from one program to another.

    """
    try:
        return orjson.dumps(body)
    except TypeError:
        raise ModelRejected(
            "the request holds a number beyond 64 bits or text that is not Unicode", status=400
        ) from None


async def read_whole(pieces: AsyncIterator[bytes]) -> bytes:
    """Return a body that comes in pieces, up to `MAX_REPLY` bytes.

    Raises:
        ModelError: it is longer.

    """
    body = bytearray()
    async for piece in pieces:
        body += piece
        if len(body) > MAX_REPLY:
            raise ModelError(f"the model server's reply is longer than {MAX_REPLY} bytes")
    return bytes(body)
