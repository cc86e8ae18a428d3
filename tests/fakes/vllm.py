"""A model server like vLLM on a real loopback socket, whose answers and faults a test chooses.

The gateway names each call's step in the header `x-clinalign-step`; a script says what each step
gets. A script is a mapping from step to a reply, to a list of replies that are used up in order,
or to a function of the request's body. A list that runs out is a complaint, and the fixture fails
the test for it. Refusals quote the prompt, as vLLM's do, so that a test sees where it leaks.
"""

import asyncio
import json
import math
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Literal, Self, TypeAlias

from aiohttp import web

Body: TypeAlias = Mapping[str, Any]

MODEL = "clinic-model"
STEP = "x-clinalign-step"
DRAFT = "Rest in a dark room, drink water, and take paracetamol if the headache bothers you."
REVISED = f"{DRAFT} See a doctor at once for warning signs such as a stiff neck."

SURE = 0.98
_FENCED = re.compile(r"\[(?P<nonce>[0-9a-f]{6,})\]\n(?P<text>.*?)\n\[/(?P=nonce)\]", re.DOTALL)
_ASKS_FOR_PRESENCE = "Is the following found"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A good reply. `first_token` maps tokens to probabilities; `pace` is seconds a chunk."""

    text: str = ""
    finish_reason: str = "stop"
    reasoning: str = ""
    refusal: str = ""
    tool_calls: tuple[Mapping[str, Any], ...] = ()
    first_token: Mapping[str, float] | None = None
    pace: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """A refusal. Without a body of its own it quotes the prompt."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None


@dataclass(frozen=True, slots=True)
class Hang:
    """Not a byte, ever."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slow:
    """The reply, but only after some seconds."""

    seconds: float
    reply: "Reply"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """The connection is reset: before the headers, after them, or after some text."""

    headers: bool = True
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unfinished:
    """A stream that says some text and closes as if all were well, without a finish reason."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorInStream:
    """A stream that begins with 200, says some text, and then reports an error that quotes."""

    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Raw:
    """These very bytes with status 200, one write each."""

    writes: tuple[bytes, ...]
    content_type: str = "application/json"
    pace: float = 0.0


Reply: TypeAlias = str | Answer | Status | Hang | Slow | Cut | Unfinished | ErrorInStream | Raw
Rule: TypeAlias = "Reply | Sequence[Reply] | Callable[[Body], Reply]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A chat completion request as it came, its cache salt apart from the rest of the body."""

    step: str
    body: Body
    headers: Mapping[str, str]
    salt: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """Tokens of a reply that was sent whole."""

    step: str
    prompt: int
    completion: int


def overflow(context: int = 4096, asked: int = 9000) -> Status:
    """Return vLLM's refusal of a prompt that is too long, which says how long it was."""
    message = (
        f"This model's maximum context length is {context} tokens. However, you requested {asked}."
    )
    error = {"object": "error", "message": message, "type": "BadRequestError", "code": 400}
    return Status(status=400, body=json.dumps({"error": error}).encode())


def tokens_of(messages: Sequence[Mapping[str, Any]]) -> int:
    """Count as this server's tokenizer and template do: the words, and two around each turn."""
    return sum(2 + len(str(turn.get("content")).split()) for turn in messages)


def yes_no(probability: float) -> Answer:
    """Return a one-token judgement with P(yes) about that."""
    word = "yes" if probability >= 0.5 else "no"
    return Answer(
        text=word, finish_reason="length", first_token={"yes": probability, "no": 1 - probability}
    )


def verdicts(satisfied: Callable[[str, str], bool | float]) -> Callable[[Body], Answer]:
    """Return a judge: `satisfied(answer, criterion)` is True, False, or a probability.

    A prohibition is asked as a presence question, so its answer is turned round.
    """

    def judge(body: Body) -> Answer:
        answer, instruction = (turn["content"] for turn in body["messages"][-2:])
        fenced = _FENCED.search(instruction)
        if fenced is None:
            raise AssertionError("the judge's prompt fences no criterion")
        found = satisfied(answer, fenced["text"])
        probability = (SURE if found else 1 - SURE) if isinstance(found, bool) else found
        return yes_no(1 - probability if _ASKS_FOR_PRESENCE in instruction else probability)

    return judge


def lacks(*criteria: str, unless: str = "never") -> Callable[[Body], Answer]:
    """Return a judge that finds these criteria unmet in every answer without the words `unless`."""
    return verdicts(lambda answer, criterion: criterion not in criteria or unless in answer)


def proposal(body: Body) -> str:
    """Return a rubric that keeps all criteria on offer."""
    properties = body["response_format"]["json_schema"]["schema"]["properties"]
    return json.dumps({"keep": properties["keep"]["items"]["enum"], "new": []})


def _retry(body: Body) -> str:
    forbids = _ASKS_FOR_PRESENCE in body["messages"][-1]["content"]
    return json.dumps({"verdict": "no" if forbids else "yes"})


def edits(_: Body) -> str:
    """Return edits that add a sentence after the first segment, for the first point."""
    added = {"insert_after": "S1", "for": [1], "text": "See a doctor at once for warning signs."}
    return json.dumps({"edits": [added]})


FINDINGS = {"findings": [{"number": 1, "problem": "It is not there.", "remedy": "Add it."}]}
DEFAULTS: Mapping[str, Rule] = {
    "draft": DRAFT,
    "draft-2": f"{DRAFT} Sleep enough.",
    "draft-3": f"{DRAFT} Eat something.",
    "rubric": proposal,
    "judge": verdicts(lambda _answer, _criterion: True),
    "judge-retry": _retry,
    "alone": yes_no(SURE),
    "critique": json.dumps(FINDINGS),
    "edit": edits,
    "revise": REVISED,
    "merge": f"{REVISED} Sleep enough and eat something.",
    "probe": "yes",
    "completions": "and rest.",
    "embeddings": "",
}


class FakeVLLM:
    """The server. Use it as an async context manager; change `script` and `models` at will."""

    def __init__(self, script: Mapping[str, Rule] | None = None) -> None:
        self.script: dict[str, Rule] = dict(script or {})
        self.models: list[str] = [MODEL]
        self.owner = "vllm"
        self.models_reply: Status | Raw | Hang | None = None
        self.context = 32768
        self.tells_context = True
        self.counting: Literal["vllm", "llama.cpp", "hang"] | None = "vllm"
        self.counted: list[Body] = []
        self.requests: list[Request] = []
        self.served: list[Spent] = []
        self.cancelled: list[str] = []
        self.complaints: list[str] = []
        self.in_flight = 0
        self._used: Counter[str] = Counter()
        self._runner: web.AppRunner | None = None
        self._port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/v1"

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_post("/v1/completions", self._plain)
        app.router.add_post("/v1/embeddings", self._plain)
        app.router.add_get("/v1/models", self._list)
        app.router.add_get("/health", self._health)
        app.router.add_post("/tokenize", self._tokenize)
        app.router.add_post("/apply-template", self._apply_template)
        self._runner = web.AppRunner(
            app, access_log=None, handler_cancellation=True, shutdown_timeout=0.05
        )
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port).start()
        self._port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    async def stop(self) -> None:
        """Close the socket; from now on connections are refused."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def of(self, step: str) -> list[Request]:
        """Return the requests of one step, in order."""
        return [one for one in self.requests if one.step == step]

    def usage(self) -> tuple[int, int]:
        """Return the prompt and completion tokens of all replies that were sent whole."""
        return sum(one.prompt for one in self.served), sum(one.completion for one in self.served)

    async def arrives(self, step: str, *, within: float = 5.0) -> None:
        """Wait until a request of that step has come."""
        await _until(lambda: bool(self.of(step)), f"no call of the step {step!r}", within)

    async def idle(self, *, within: float = 1.0) -> None:
        """Wait until no request is being served."""
        await _until(lambda: self.in_flight == 0, "requests are still being served", within)

    async def _health(self, _: web.Request) -> web.Response:
        return web.Response()

    async def _list(self, request: web.Request) -> web.StreamResponse:
        match self.models_reply:
            case Hang():
                await asyncio.Event().wait()
            case Status() as refused:
                return _refuse(refused, "")
            case Raw() as raw:
                return await _write(request, raw)
        cards = [
            {"id": name, "object": "model", "owned_by": self.owner}
            | ({"max_model_len": self.context} if self.tells_context else {})
            for name in self.models
        ]
        return web.json_response({"object": "list", "data": cards})

    async def _tokenize(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        self.counted.append(body)
        if self.counting == "hang":
            self.in_flight += 1
            try:
                await asyncio.Event().wait()
            finally:
                self.in_flight -= 1
        if self.counting == "llama.cpp":
            return web.json_response({"tokens": list(range(len(body.get("content", "").split())))})
        if self.counting is None:
            return web.Response(status=404)
        if "messages" not in body:
            return web.json_response({"count": 1, "max_model_len": self.context, "tokens": [0]})
        count = tokens_of(body["messages"])
        whole = {"count": count, "max_model_len": self.context, "tokens": list(range(count))}
        return web.json_response(whole)

    async def _apply_template(self, request: web.Request) -> web.StreamResponse:
        if self.counting != "llama.cpp":
            return web.Response(status=404)
        body = await request.json()
        prompt = "\n".join(f"< {turn['content']} >" for turn in body["messages"])
        return web.json_response({"prompt": prompt})

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        salt = body.pop("cache_salt", "")
        step = request.headers.get(STEP, "")
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.requests.append(Request(step=step, body=body, headers=headers, salt=salt))
        if salt and self.owner != "vllm":
            return web.json_response({"error": {"message": "unknown field"}}, status=400)
        self.in_flight += 1
        try:
            refused = self._refusal(body)
            return await self._play(request, step, body, refused or self._reply(step, body))
        except asyncio.CancelledError:
            self.cancelled.append(step)
            raise
        finally:
            self.in_flight -= 1

    async def _plain(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        salt = body.pop("cache_salt", "")
        step = request.headers.get(STEP, "")
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.requests.append(Request(step=step, body=body, headers=headers, salt=salt))
        if salt and self.owner != "vllm":
            return web.json_response({"error": {"message": "unknown field"}}, status=400)
        reply = self._reply(step, body)
        if not isinstance(reply, str):
            self.in_flight += 1
            try:
                return await self._play(request, step, body, reply)
            except asyncio.CancelledError:
                self.cancelled.append(step)
                raise
            finally:
                self.in_flight -= 1
        if body.get("stream"):
            writes = tuple(_plain_frames(body, reply))
            return await _write(request, Raw(writes=writes, content_type="text/event-stream"))
        whole = _vectors(body) if step == "embeddings" else _text(body, reply, finish="stop")
        return web.json_response(whole)

    def _refusal(self, body: Body) -> Status | None:
        """Refuse what a real server with a Qwen template refuses."""
        if body.get("model") not in self.models:
            return Status(status=404)
        roles = [turn["role"] for turn in body["messages"]]
        if "developer" in roles or "system" in roles[1:]:
            return Status(status=400)
        if body.get("top_logprobs") and not body.get("logprobs"):
            return Status(status=400)
        asked = tokens_of(body["messages"]) + max(body.get("max_tokens") or 1, 1)
        if asked > self.context:
            return overflow(self.context, asked)
        return None

    def _reply(self, step: str, body: Body) -> Reply:
        rule = self.script.get(step, DEFAULTS.get(step))
        if callable(rule):
            return rule(body)
        if isinstance(rule, Sequence) and not isinstance(rule, str):
            place = self._used[step]
            self._used[step] += 1
            if place < len(rule):
                return rule[place]
            rule = None
        if rule is None:
            self.complaints.append(f"the script has no reply left for the step {step!r}")
            return Status(status=400)
        return rule

    async def _play(  # noqa: PLR0911  # one for each kind of reply
        self, request: web.Request, step: str, body: Body, reply: Reply
    ) -> web.StreamResponse:
        match reply:
            case str():
                return await self._answer(request, step, body, Answer(text=reply))
            case Answer():
                return await self._answer(request, step, body, reply)
            case Slow():
                await asyncio.sleep(reply.seconds)
                return await self._play(request, step, body, reply.reply)
            case Hang():
                await asyncio.Event().wait()
            case Status():
                return _refuse(reply, _words(body))
            case Raw():
                return await _write(request, reply)
            case Cut():
                return await _cut(request, reply)
            case Unfinished():
                writes = (_chunk(content=reply.text), b"data: [DONE]\n\n")
                return await _write(request, Raw(writes=writes, content_type="text/event-stream"))
            case ErrorInStream():
                error = {"error": {"message": f"bad: {_words(body)}"}}
                writes = (
                    *((_chunk(content=reply.text),) if reply.text else ()),
                    f"data: {json.dumps(error)}\n\n".encode(),
                    b"data: [DONE]\n\n",
                )
                return await _write(request, Raw(writes=writes, content_type="text/event-stream"))
        raise AssertionError("no such reply")

    async def _answer(
        self, request: web.Request, step: str, body: Body, answer: Answer
    ) -> web.StreamResponse:
        spent = Spent(
            step=step,
            prompt=tokens_of(body["messages"]),
            completion=len(answer.text.split()) + len(answer.reasoning.split()) + 1,
        )
        usage = {
            "prompt_tokens": spent.prompt,
            "completion_tokens": spent.completion,
            "total_tokens": spent.prompt + spent.completion,
        }
        if body.get("stream"):
            sent = await _stream(request, body, answer, usage)
        else:
            choices = [_choice(body, answer, number) for number in range(body.get("n") or 1)]
            whole = {
                "id": "chatcmpl-upstream",
                "object": "chat.completion",
                "created": 1,
                "model": body["model"],
                "choices": choices,
                "usage": usage,
            }
            sent = web.json_response(whole)
        self.served.append(spent)
        return sent


def _words(body: Body) -> str:
    """Return what a refusal quotes."""
    if "messages" in body:
        return str(body["messages"][-1]["content"])
    return str(body.get("prompt") or body.get("input"))


def _text(body: Body, text: str, *, finish: str | None) -> dict[str, Any]:
    """Return a text completion, or a chunk of one, with vLLM's own keys in it."""
    prompt = body["prompt"]
    several = isinstance(prompt, list) and not isinstance(prompt[0], int)
    choice = {"text": text, "logprobs": None, "finish_reason": finish}
    inside = {"stop_reason": None, "prompt_token_ids": [1, 2]}
    numbers = range((len(prompt) if several else 1) * (body.get("n") or 1))
    return {
        "id": "cmpl-upstream",
        "object": "text_completion",
        "created": 1,
        "model": body["model"],
        "choices": [{"index": number, **choice, **inside} for number in numbers],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
        "kv_transfer_params": None,
    }


def _plain_frames(body: Body, text: str) -> list[bytes]:
    pieces = [_text(body, word, finish=None) for word in re.findall(r"\S+\s*", text)]
    whole = [*pieces, _text(body, "", finish="stop")]
    return [*(f"data: {json.dumps(one)}\n\n".encode() for one in whole), b"data: [DONE]\n\n"]


def _vectors(body: Body) -> dict[str, Any]:
    texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
    data = [
        {"object": "embedding", "index": number, "embedding": [0.25, -0.5, 0.125]}
        for number in range(len(texts))
    ]
    usage = {"prompt_tokens": 3, "total_tokens": 3}
    return {"id": "embd-1", "object": "list", "data": data, "model": body["model"], "usage": usage}


def _choice(body: Body, answer: Answer, number: int) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": answer.text or None}
    if answer.reasoning:
        message["reasoning"] = answer.reasoning
    if answer.refusal:
        message["refusal"] = answer.refusal
    if answer.tool_calls:
        message["tool_calls"] = list(answer.tool_calls)
    choice = {
        "index": number,
        "message": message,
        "finish_reason": answer.finish_reason,
        "logprobs": None,
    }
    if body.get("logprobs") and answer.first_token:
        top = [
            {"token": token, "logprob": math.log(share) if share > 0 else -9999.0, "bytes": None}
            for token, share in answer.first_token.items()
        ]
        best = max(top, key=lambda one: one["logprob"])
        choice["logprobs"] = {"content": [{**best, "top_logprobs": top}]}
    return choice


def _chunk(*, index: int = 0, finish: str | None = None, **delta: object) -> bytes:
    choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}
    return _frame({"choices": [choice]})


def _frame(part: Mapping[str, Any]) -> bytes:
    head = {"id": "chatcmpl-upstream", "object": "chat.completion.chunk", "created": 1}
    return f"data: {json.dumps({**head, 'model': MODEL, **part})}\n\n".encode()


def _frames(body: Body, answer: Answer, usage: Mapping[str, int]) -> list[bytes]:
    numbers = range(body.get("n") or 1)
    writes = [_chunk(index=number, role="assistant", content="") for number in numbers]
    if answer.reasoning:
        writes.append(_chunk(reasoning=answer.reasoning))
    for word in re.findall(r"\S+\s*", answer.text):
        writes += [_chunk(index=number, content=word) for number in numbers]
    if answer.refusal:
        writes += [_chunk(refusal=word) for word in re.findall(r"\S+\s*", answer.refusal)]
    for number, call in enumerate(answer.tool_calls):
        function = call["function"]
        opening = {**call, "index": number, "function": {**function, "arguments": ""}}
        writes.append(_chunk(tool_calls=[opening]))
        for piece in re.findall(r".{1,4}", function["arguments"], re.DOTALL):
            fragment = {"index": number, "function": {"arguments": piece}}
            writes.append(_chunk(tool_calls=[fragment]))
    writes += [_chunk(index=number, finish=answer.finish_reason) for number in numbers]
    if (body.get("stream_options") or {}).get("include_usage"):
        writes.append(_frame({"choices": [], "usage": usage}))
    return [*writes, b"data: [DONE]\n\n"]


async def _stream(
    request: web.Request, body: Body, answer: Answer, usage: Mapping[str, int]
) -> web.StreamResponse:
    writes = tuple(_frames(body, answer, usage))
    raw = Raw(writes=writes, content_type="text/event-stream", pace=answer.pace)
    return await _write(request, raw)


async def _write(request: web.Request, raw: Raw) -> web.StreamResponse:
    response = web.StreamResponse(headers={"content-type": raw.content_type})
    await response.prepare(request)
    async for write in _paced(raw):
        await response.write(write)
    await response.write_eof()
    return response


async def _paced(raw: Raw) -> AsyncIterator[bytes]:
    for number, write in enumerate(raw.writes):
        if number:
            await asyncio.sleep(raw.pace)
        yield write


async def _cut(request: web.Request, cut: Cut) -> web.StreamResponse:
    transport = request.transport
    if transport is None:
        raise AssertionError("the connection is gone already")
    if cut.headers:
        transport.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
            b"transfer-encoding: chunked\r\n\r\n"
        )
    if cut.text:
        frame = _chunk(content=cut.text)
        transport.write(f"{len(frame):x}\r\n".encode() + frame + b"\r\n")
        await asyncio.sleep(0.02)  # so that the client has read what came before the cut
    transport.abort()
    return web.Response()


def _refuse(refused: Status, prompt: str) -> web.Response:
    body = refused.body
    if body is None:
        body = json.dumps({"error": {"message": f"cannot serve: {prompt}"}}).encode()
    return web.Response(status=refused.status, headers=dict(refused.headers), body=body)


async def _until(holds: Callable[[], bool], complaint: str, within: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(within):
            while not holds():  # noqa: ASYNC110  # what holds is not one event
                await asyncio.sleep(0.005)
    if not holds():
        raise AssertionError(f"{complaint} after {within} s")
