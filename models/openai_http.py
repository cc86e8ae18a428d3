"""The client for any OpenAI-compatible model server, vLLM first.

One connection pool, one retry loop. A call is retried once, on another replica where there is
one, and only before the first byte of its reply, so that nothing is ever said twice. Cancelling the
awaiting task closes the connection, which is what makes vLLM stop generating.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import aiohttp
import orjson

from models.broken_body import end_with_connection
from models.context import Context
from models.errors import (
    MalformedReply,
    ModelError,
    ModelOverloaded,
    ModelRejected,
    ModelUnavailable,
)
from models.fuse import Fuse
from models.messages import Call, Json
from models.probing import Prober
from models.replica import Replica
from models.replicas import SILENCE_S, Replicas
from models.retries import LONGEST_WAIT_S, RetryBudget, pause_after
from models.salts import Salts
from models.upstream_errors import Refused, refusal, translated
from models.wire import ModelCard, ModelCards, parse

CHAT = "/chat/completions"
CONNECT_S = 5.0
ATTEMPTS = 2
MODELS_S = 5.0
"""A server that cannot list its models by then is not well; requests wait for the list."""
STRAGGLERS_S = 1.0
"""How long a list that has come waits for those of the other replicas."""
IDLE_S = 4.0
"""Idle connections are dropped before vLLM's default keep-alive of 5 s does it under our feet."""
MAX_REPLY = 16 * 1024 * 1024
BAD_REQUESTS = frozenset({400, 413, 422})
"""What a client would be blamed for, if the request were its own."""
LONGEST_REST_S = 60.0
"""A longer rest than this is taken for a slip of the server's."""
_NOT_FOUND = 404


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A reply with status 200, its body still to be read."""

    content_type: str
    body: AsyncIterator[bytes]


class OpenAIServer:
    """The model server: one or more replicas behind one connection pool.

    Use it as an async context manager. `timeout_s` bounds each call, beside its own deadline;
    `silence_s` is how long a replica with open calls may give no byte before it is doubted.
    """

    def __init__(
        self,
        urls: Sequence[str],
        *,
        api_key: str | None = None,
        timeout_s: float = 300.0,
        silence_s: float = SILENCE_S,
    ) -> None:
        self.replicas = Replicas(urls, silence_s=silence_s)
        self.takes_switch: dict[str, bool] = {}  # by model; see `models.thinking_switch`
        self.takes_schema: dict[str, bool] = {}  # likewise; see `models.schema_support`
        self._contexts: dict[str, Context] = {}
        self._timeout_s = timeout_s
        self._headers = {"content-type": "application/json", "accept-encoding": "identity"}
        if api_key:
            self._headers["authorization"] = f"Bearer {api_key}"
        self._session: aiohttp.ClientSession | None = None
        self._budget = RetryBudget()
        self._salts = Salts(self.models)
        self._prober = Prober(self.replicas, cards=self._cards, probe=self._probe)

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=IDLE_S, ttl_dns_cache=300),
            headers=self._headers,
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        self._prober.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._prober.stop()
        if self._session is not None:
            await self._session.close()

    async def models(self) -> tuple[ModelCard, ...]:
        """Return the models that the server offers: those of all replicas that are in.

        Raises:
            ModelError: no replica answers, or none in OpenAI's form.

        """
        asked = [one for one in self.replicas.all if not one.is_out] or list(self.replicas.all)
        tasks = [asyncio.create_task(self._cards(one)) for one in asked]
        try:
            waiting = set(tasks)
            while waiting and not any(_has_come(task) for task in tasks):
                _, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            if waiting:
                await asyncio.wait(waiting, timeout=STRAGGLERS_S)
            came = [task.result() for task in tasks if _has_come(task)]
            if not came:
                return tasks[0].result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return tuple({card.id: card for cards in reversed(came) for card in cards}.values())

    def context(self, model: str) -> Context:
        """Return what is known of that model's context."""
        return self._contexts.setdefault(model, Context(self, model))

    async def ask(self, path: str, body: Mapping[str, Json], call: Call) -> bytes:
        """Return the reply to a side question, such as a count of tokens; it is asked once.

        `path` begins at the server's root: what is not OpenAI's API does not lie under it.

        Raises:
            ModelError: there is none.

        """
        replica = self.replicas.choose(call.affinity, model=_model(body))
        url = replica.url.removesuffix("/v1") + path
        # An answer to it is no progress: a server whose engine hangs may still count.
        async with self._once(
            replica, "POST", path, _encode(body), call, counts=False, url=url
        ) as reply:
            return await read_whole(reply.body)

    async def fetch(self, body: Mapping[str, Json], call: Call, *, path: str = CHAT) -> bytes:
        """Return the whole reply to one request, by default for a chat completion.

        Raises:
            ModelError: as its subclasses say; once even after a retry.

        """
        body = await self._salts.added(body, call, path)
        payload, model, tried = _encode(body), _model(body), list[str]()
        self._budget.called()
        while True:
            try:
                async with self._pick(path, payload, call, tried, model) as reply:
                    return await read_whole(reply.body)
            except ModelError as error:
                await self._before_retry(error, call, tried, model)

    @asynccontextmanager
    async def open(
        self, body: Mapping[str, Json], call: Call, *, path: str = CHAT
    ) -> AsyncIterator[Reply]:
        """Open one reply, by default a chat completion; status 200, its body still to be read.

        Raises:
            ModelError: on opening, after one retry; or while the body is read, without one.

        """
        body = await self._salts.added(body, call, path)
        payload, model, tried = _encode(body), _model(body), list[str]()
        self._budget.called()
        async with AsyncExitStack() as stack:
            while True:
                attempt = self._pick(path, payload, call, tried, model)
                try:
                    reply = await stack.enter_async_context(attempt)
                    break
                except ModelError as error:
                    await self._before_retry(error, call, tried, model)
            yield reply

    async def _before_retry(
        self, error: ModelError, call: Call, tried: list[str], model: str | None
    ) -> None:
        """Wait until the call may be made again, or raise what it failed with."""
        moves = self.replicas.spare(tried, model)
        pause = pause_after(error, moves=moves)
        if len(tried) >= ATTEMPTS or pause is None or pause >= self._time_left(call):
            raise error
        is_free = moves and isinstance(error, ModelUnavailable)
        if not is_free and not self._budget.take():
            raise error
        await asyncio.sleep(pause)

    @asynccontextmanager
    async def _pick(
        self, path: str, payload: bytes, call: Call, tried: list[str], model: str | None
    ) -> AsyncIterator[Reply]:
        replica = self.replicas.choose(call.affinity, tried=tried, model=model)
        tried.append(replica.url)
        await self._let_rest(replica, call)
        try:
            async with self._once(replica, "POST", path, payload, call) as reply:
                yield reply
        except Refused as error:
            replica.failed(refused=True)
            raise ModelUnavailable(str(error)) from None
        except ModelUnavailable:
            replica.failed()
            raise
        except ModelOverloaded as error:
            replica.asked_for_rest(min(error.retry_after or 0.0, LONGEST_REST_S))
            raise
        except ModelRejected as error:
            if error.status == _NOT_FOUND and await self._has_lost(replica, model, tried):
                raise ModelUnavailable("the model server does not offer the model") from None
            raise

    async def _let_rest(self, replica: Replica, call: Call) -> None:
        """Wait as long as the replica has asked every call to.

        Raises:
            ModelOverloaded: that is too long.

        """
        if (rest := replica.rest()) == 0:
            return
        if rest > min(LONGEST_WAIT_S, self._time_left(call)):
            raise ModelOverloaded("the model server has asked for a pause", retry_after=rest)
        await asyncio.sleep(rest)

    async def _has_lost(self, replica: Replica, model: str | None, tried: list[str]) -> bool:
        """Ask the replica for its models; say whether it lacks one that an untried one may have."""
        if not self.replicas.spare(tried, model):
            return False
        with suppress(ModelError):
            await self._cards(replica)
        return replica.lacks(model)

    async def _cards(self, replica: Replica) -> tuple[ModelCard, ...]:
        deadline = asyncio.get_running_loop().time() + MODELS_S
        call = Call(step="models", messages=(), deadline=deadline)
        try:
            async with self._once(replica, "GET", "/models", None, call, counts=False) as reply:
                cards = parse(ModelCards, await read_whole(reply.body)).data
        except ModelRejected as error:
            if error.status not in BAD_REQUESTS:
                raise
            # What is asked here comes from no client, so none may be told that it asked wrongly.
            raise MalformedReply(
                f"the model server gives no list of models (HTTP {error.status})"
            ) from None
        replica.models = frozenset(card.id for card in cards)
        self._salts.hear(cards)
        return cards

    async def _probe(self, replica: Replica, model: str, deadline: float) -> None:
        """Have the replica say one token.

        Raises:
            ModelError: it does not.

        """
        call = Call(step="probe", messages=(), deadline=deadline)
        turn: Json = {"role": "user", "content": "Say yes."}
        payload = _encode({"model": model, "messages": [turn], "max_tokens": 1})
        async with self._once(replica, "POST", CHAT, payload, call, counts=False) as reply:
            await read_whole(reply.body)

    @asynccontextmanager
    async def _once(  # noqa: PLR0913  # what an exchange is made of
        self,
        replica: Replica,
        method: str,
        path: str,
        payload: bytes | None,
        call: Call,
        *,
        counts: bool = True,
        url: str | None = None,
    ) -> AsyncIterator[Reply]:
        """Make one exchange; one that `counts` is open on the replica, and its bytes progress.

        `url` is where it goes, if not to `path` below the replica's own.
        """
        if self._session is None:
            raise RuntimeError("OpenAIServer is used outside its `async with`")
        fuse = Fuse()
        if counts:
            replica.began(fuse)
        asked = self._session.request(
            method,
            url or replica.url + path,
            data=payload,
            headers={"x-clinalign-step": call.step},
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=self._time_left(call), connect=CONNECT_S),
        )
        try:
            with translated():
                async with AsyncExitStack() as stack:
                    async with fuse.waiting():
                        response = await stack.enter_async_context(asked)
                    end_with_connection(response)
                    pieces = fuse.each(response.content.iter_any())
                    if response.status != 200:  # noqa: PLR2004
                        raise refusal(response.status, response.headers, await read_whole(pieces))
                    first = await anext(pieces, b"")
                    body = _from(first, pieces, replica) if counts else _from(first, pieces)
                    yield Reply(content_type=response.content_type, body=body)
        finally:
            replica.ended(fuse)

    def _time_left(self, call: Call) -> float:
        if call.deadline is None:
            return self._timeout_s
        left = call.deadline - asyncio.get_running_loop().time()
        # Zero means "no limit" to aiohttp, the opposite of what a passed deadline asks for.
        return min(self._timeout_s, max(0.001, left))


async def _from(
    first: bytes, rest: AsyncIterator[bytes], replica: Replica | None = None
) -> AsyncIterator[bytes]:
    """Yield the body's pieces; the replica hears of each."""
    piece: bytes | None = first
    while piece is not None:
        if replica is not None:
            replica.heard()
        yield piece
        piece = await anext(rest, None)


def _has_come(task: asyncio.Task[tuple[ModelCard, ...]]) -> bool:
    return task.done() and not task.cancelled() and task.exception() is None


def _model(body: Mapping[str, Json]) -> str | None:
    model = body.get("model")
    return model if isinstance(model, str) else None


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
