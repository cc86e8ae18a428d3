"""The fake model server for clients that are other programs: a question's tag says what happens.

A driver cannot hand a script to a server in another process, so it writes a tag into the question,
such as `[slow 3 k=1f2e3d4c]`, and later reads at `/seen/1f2e3d4c` what came of it. The tags:

    plain             nothing special; for `/seen` only
    overloaded N      the first N calls are refused with 503 (the gateway itself tries twice)
    refused           400, as for a request that the model server cannot serve
    late-refused      the same, when a stream has begun already
    slow S            the answer, after S seconds
    paced S           the answer, S seconds a word
    cut               a stream that breaks off in an error after some text
    length            an answer that has reached its length
"""

import base64
import json
import re
import struct
from collections import Counter
from collections.abc import Mapping
from typing import Any, Self

from aiohttp import web

from tests.fakes.library import SIGNS
from tests.fakes.vllm import (
    DRAFT,
    REVISED,
    STEP,
    Answer,
    Body,
    ErrorInStream,
    FakeVLLM,
    Reply,
    Slow,
    Status,
    lacks,
)

TASKS = {"title": "Headache", "tags": ["Headache"], "follow_ups": ["What helps?"]}
"""What a chat page asks for beside the answer, each as JSON under its own name."""
TASK = re.compile(r"JSON format: \{ ?\"(?P<name>title|tags|follow_ups)\"")
TAG = re.compile(r"\[(?P<what>[a-z-]+)(?: (?P<number>[\d.]+))? k=(?P<key>[0-9a-f]{8})\]")
DIMENSION = 8


class TaggedVLLM(FakeVLLM):
    """A model server whose drafts always miss one criterion that its revisions meet."""

    def __init__(self) -> None:
        super().__init__()
        self._calls: Counter[str] = Counter()
        self._left: Counter[str] = Counter()
        self._last: dict[str, Mapping[str, Any]] = {}
        self._refusals: Counter[str] = Counter()
        self.script |= {
            "draft": self._draft,
            "draft-2": lambda body: _shaped(f"{DRAFT} Sleep enough.", body),
            "draft-3": lambda body: _shaped(f"{DRAFT} Eat something.", body),
            "revise": lambda body: _shaped(REVISED, body),
            "merge": lambda body: _shaped(f"{REVISED} Sleep enough and eat something.", body),
            "judge": lacks(SIGNS, unless="stiff neck"),
        }

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_post("/v1/completions", self._complete)
        app.router.add_post("/v1/embeddings", self._embed)
        app.router.add_get("/v1/models", self._list)
        app.router.add_get("/health", self._health)
        app.router.add_get("/seen/{key}", self._seen)
        self._runner = web.AppRunner(
            app, access_log=None, handler_cancellation=True, shutdown_timeout=0.05
        )
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self._port = self._runner.addresses[0][1]
        return self

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        key = _tag(body)[2]
        is_draft = request.headers.get(STEP) == "draft"
        if is_draft:
            self._calls[key] += 1
            self._last[key] = body
        done = False
        try:
            sent = await super()._chat(request)
            done = True
        finally:
            self._left[key] += is_draft and not done
        return sent

    def _draft(self, body: Body) -> Reply:  # noqa: PLR0911  # one for each tag
        what, number, key = _tag(body)
        answer = _task(body) or _calling_tools(body) or _shaped(DRAFT, body)
        match what:
            case "overloaded" if self._refusals[key] < number:
                self._refusals[key] += 1
                return Status(status=503)
            case "refused":
                return Status(status=400)
            case "late-refused":
                return Slow(seconds=0.8, reply=Status(status=400))
            case "slow":
                return Slow(seconds=number, reply=answer)
            case "paced":
                return Answer(text=DRAFT, pace=number)
            case "cut":
                return ErrorInStream(text="Rest in ")
            case "length":
                return Answer(text=DRAFT, finish_reason="length")
        return answer

    async def _seen(self, request: web.Request) -> web.Response:
        """Tell how many drafts a key has asked for, how many callers left, and the last body."""
        key = request.match_info["key"]
        seen = {"calls": self._calls[key], "left": self._left[key], "body": self._last.get(key)}
        return web.json_response(seen)

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        """Serve the legacy completions."""
        body = await request.json()
        usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
        head = {"id": "cmpl-upstream", "object": "text_completion", "created": 1}
        head["model"] = body["model"]
        if not body.get("stream"):
            choice = {"index": 0, "text": " and rest", "logprobs": None, "finish_reason": "stop"}
            return web.json_response({**head, "choices": [choice], "usage": usage})
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        for text, finish in ((" and", None), (" rest", "stop")):
            choice = {"index": 0, "text": text, "logprobs": None, "finish_reason": finish}
            await response.write(f"data: {json.dumps({**head, 'choices': [choice]})}\n\n".encode())
        if (body.get("stream_options") or {}).get("include_usage"):
            last = {**head, "choices": [], "usage": usage}
            await response.write(f"data: {json.dumps(last)}\n\n".encode())
        await response.write(b"data: [DONE]\n\n")
        await response.write_eof()
        return response

    async def _embed(self, request: web.Request) -> web.Response:
        """Serve embeddings, in both of the encodings that clients ask for."""
        body = await request.json()
        given = body["input"] if isinstance(body["input"], list) else [body["input"]]
        texts = given if given and isinstance(given[0], str | list) else [given]
        data = [
            {"object": "embedding", "index": number, "embedding": _vector(text, body)}
            for number, text in enumerate(texts)
        ]
        usage = {"prompt_tokens": len(texts), "total_tokens": len(texts)}
        answer = {"object": "list", "model": body["model"], "data": data, "usage": usage}
        return web.json_response(answer)


def _tag(body: Body) -> tuple[str, float, str]:
    """Return the last tag of the conversation: what it asks for, its number and its key."""
    found = list(TAG.finditer(json.dumps(body["messages"])))
    if not found:
        return "plain", 0.0, ""
    return found[-1]["what"], float(found[-1]["number"] or 0), found[-1]["key"]


def _task(body: Body) -> Answer | None:
    """Return the title, tags or follow-ups of a chat, if that is what is asked for."""
    asked = TASK.search(str(body["messages"][-1].get("content")))
    if asked is None:
        return None
    return Answer(text=json.dumps({asked["name"]: TASKS[asked["name"]]}))


def _calling_tools(body: Body) -> Answer | None:
    """Return a call of the first tool on offer, unless its result is there already."""
    if not body.get("tools") or body.get("tool_choice") == "none":
        return None
    if any(turn["role"] == "tool" for turn in body["messages"]):
        return None
    function = {"name": body["tools"][0]["function"]["name"], "arguments": '{"substance": "x"}'}
    call = {"id": "call_1", "type": "function", "function": function}
    return Answer(tool_calls=(call,), finish_reason="tool_calls")


def _shaped(text: str, body: Body) -> Answer:
    """Return the text, as JSON where the request wants JSON."""
    wanted = (body.get("response_format") or {}).get("type", "text")
    return Answer(text=text if wanted == "text" else json.dumps({"advice": text, "urgent": False}))


def _vector(text: object, body: Body) -> list[float] | str:
    values = [float(len(str(text)) % (place + 2)) for place in range(DIMENSION)]
    if body.get("encoding_format") == "base64":
        return base64.b64encode(struct.pack(f"<{DIMENSION}f", *values)).decode()
    return values
