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

from models.errors import ModelError, ModelOverloaded, ModelRejected, ModelUnavailable
from models.messages import Call, Json
from models.replicas import Replicas
from models.upstream_errors import refusal, translated
from models.wire import ModelCard, ModelCards, parse

CONNECT_S = 5.0
ATTEMPTS = 2
LONGEST_WAIT_S = 5.0
"""A server that asks for a longer pause than this is not waited for."""
IDLE_S = 4.0
"""Idle connections are dropped before vLLM's default keep-alive of 5 s does it under our feet."""
MAX_REPLY = 16 * 1024 * 1024


class OpenAIServer:
    """The model server: one or more replicas behind one connection pool.

    Use it as an async context manager. `timeout_s` bounds each call, beside its own deadline.
    """

    def __init__(
        self, urls: Sequence[str], *, api_key: str | None = None, timeout_s: float = 300.0
    ) -> None:
        self.replicas = Replicas(urls)
        self.takes_switch: dict[str, bool] = {}  # by model; see `models.thinking`
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
        call = Call(step="models", messages=())
        async with self._once(self.replicas.choose(""), "GET", "/models", None, call) as response:
            return parse(ModelCards, await _read(response)).data

    async def fetch(self, body: Mapping[str, Json], call: Call) -> bytes:
        """Return the whole reply to one chat completion request.

        Raises:
            ModelError: as its subclasses say; once even after a retry.

        """
        payload = _encode(body)
        tried: list[str] = []
        async for attempt in _attempts():
            with attempt:
                async with self._pick("/chat/completions", payload, call, tried) as response:
                    return await _read(response)
        raise AssertionError("stamina leaves the loop by return or raise")

    @asynccontextmanager
    async def open(
        self, body: Mapping[str, Json], call: Call
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Open one chat completion; its status is 200 and its body still to be read.

        Raises:
            ModelError: on opening, after one retry; or while the body is read, without one.

        """
        payload = _encode(body)
        tried: list[str] = []
        async with AsyncExitStack() as stack:
            async for attempt in _attempts():
                with attempt:
                    response = await stack.enter_async_context(
                        self._pick("/chat/completions", payload, call, tried)
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
                    raise refusal(response.status, response.headers, await _read(response))
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


async def _read(response: aiohttp.ClientResponse) -> bytes:
    """Read the body whole, up to `MAX_REPLY` bytes."""
    body = b""
    async for piece in response.content.iter_any():
        body += piece
        if len(body) > MAX_REPLY:
            raise ModelError(f"the model server's reply is longer than {MAX_REPLY} bytes")
    return body
