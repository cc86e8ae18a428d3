"""The wall in front of the engine: what goes up, what does not, and what comes back down."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from server.refused import ENGINE, MEDIA
from server.tenant import cache_salt
from tests.fakes.library import QUESTION
from tests.fakes.vllm import MODEL, FakeVLLM, Raw, Status, lacks
from tests.server.conftest import Opener
from tests.server.gateway import CHAT, Gateway, asking

SAID = {"role": "user", "content": QUESTION}
BODIES: dict[str, dict[str, Any]] = {
    CHAT: asking("draft"),
    "/v1/responses": {"model": MODEL, "input": QUESTION},
    "/v1/completions": {"model": MODEL, "prompt": QUESTION},
    "/v1/embeddings": {"model": MODEL, "input": QUESTION},
    "/v1/critiques": {"model": MODEL, "messages": [SAID], "answer": "Rest."},
    "/v1/revisions": {"model": MODEL, "messages": [SAID], "answer": "Rest."},
}
OWN = {"/v1/completions": {"prompt", "echo"}}
"""Names that mean something else on that route."""


@pytest.mark.parametrize("path", BODIES)
async def test_no_field_that_reaches_into_the_engine_goes_up(
    gateway: Gateway, vllm: FakeVLLM, path: str
):
    for name in sorted(ENGINE - OWN.get(path, set())):
        for value in ("x", {"x": 1}, [1], True, 1):
            reply = await gateway.post(path, {**BODIES[path], name: value})
            assert (reply.status, reply.error["param"]) == (400, name), name
    assert vllm.requests == []


HARMFUL = {
    "a grammar": 'root ::= "yes" | "no"' + " " * 300,
    "an address": "http://127.0.0.1:9/x",
    "data": "data:image/png;base64,AAAA",
    "an object": {"zebra": 1},
    "an array": ["zebra"],
}


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize("value", HARMFUL.values(), ids=HARMFUL)
async def test_what_nobody_knows_goes_up_only_if_it_is_plain(
    gateway: Gateway, vllm: FakeVLLM, path: str, value: object
):
    reply = await gateway.post(path, {**BODIES[path], "zebra_field": value})
    assert (reply.status, reply.error["code"]) == (400, "unsupported_parameter")
    assert b"zebra" not in reply.body
    assert vllm.requests == []


async def test_a_plain_field_that_nobody_knows_goes_up(gateway: Gateway, vllm: FakeVLLM):
    fields = {"min_p": 0.1, "top_k": 20, "ignore_eos": False, "style": "brief"}
    fields |= {"stop_token_ids": [1, 2], "bad_words": ["ward"]}
    assert (await gateway.chat("draft", **fields)).status == 200
    (draft,) = vllm.of("draft")
    assert {name: draft.body[name] for name in fields} == fields


@pytest.mark.parametrize("name", sorted(MEDIA))
@pytest.mark.parametrize("place", ["turn", "part", "tool", "function"])
async def test_nothing_that_names_media_hides_beside_the_words(
    gateway: Gateway, vllm: FakeVLLM, name: str, place: str
):
    hidden = {name: {"url": "http://127.0.0.1:9/zebra.png"}}
    part = {"type": "text", "text": QUESTION, **(hidden if place == "part" else {})}
    turn = {"role": "user", "content": [part], **(hidden if place == "turn" else {})}
    function = {"name": "f", **(hidden if place == "function" else {})}
    tool = {"type": "function", "function": function, **(hidden if place == "tool" else {})}
    reply = await gateway.chat("draft", messages=[turn], tools=[tool])
    assert (reply.status, reply.error["code"]) == (400, "unsupported_parameter")
    assert reply.error["param"].endswith(name)
    assert vllm.requests == []


class Listener:
    """Counts who connects."""

    def __init__(self) -> None:
        self.hits = 0
        self.port = 0

    def took(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.hits += 1
        writer.close()


@pytest.fixture
async def listener() -> AsyncIterator[Listener]:
    counting = Listener()
    server = await asyncio.start_server(counting.took, "127.0.0.1", 0)
    counting.port = server.sockets[0].getsockname()[1]
    async with server:
        yield counting


async def test_no_address_that_a_client_gives_is_ever_visited(
    gateway: Gateway, vllm: FakeVLLM, listener: Listener
):
    url = f"http://127.0.0.1:{listener.port}/zebra"
    media = [
        {"type": kind, kind: {"url": url, "data": url}} for kind in ("image_url", "input_audio")
    ]
    media += [{"type": "file", "file": {"file_data": url}}, {"type": "video_url", "video_url": url}]
    schema = {"type": "object", "properties": {"a": {"$ref": url}}}
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    tool = {"type": "function", "function": {"name": "f", "parameters": schema}}
    refused = [
        *({"messages": [{"role": "user", "content": [part]}]} for part in media),
        *({name: url} for name in ("api_base", "base_url", "lora_path", "zebra")),
        {"response_format": wanted},
        {"tools": [tool]},
    ]
    words = {"role": "user", "content": f"{QUESTION} {url}"}
    for mode in ("draft", "fast"):
        for fields in refused:
            assert (await gateway.chat(mode, **fields)).status == 400
        # An address among the words is words.
        assert (await gateway.chat(mode, messages=[words])).status == 200
    meta = {"$schema": url, "$id": url, "type": "object"}
    wanted["json_schema"]["schema"] = meta
    vllm.script["draft"] = "{}"
    assert (await gateway.chat("fast", response_format=wanted)).status == 200
    assert listener.hits == 0


async def test_a_redirect_of_the_model_servers_is_not_followed(
    gateway: Gateway, vllm: FakeVLLM, listener: Listener
):
    for status in (301, 302, 303, 307, 308):
        location = {"location": f"http://127.0.0.1:{listener.port}/v1/chat/completions"}
        vllm.script["draft"] = Status(status=status, headers=location)
        for mode in ("draft", "fast"):
            reply = await gateway.chat(mode)
            assert (reply.status, reply.error["code"]) == (502, "upstream_misconfigured")
    assert listener.hits == 0


async def test_no_header_of_the_model_servers_comes_down(gateway: Gateway):
    async def answer(request: web.Request) -> web.StreamResponse:
        body = await request.json()
        told = {"x-zebra": "1", "set-cookie": "zebra=1", "server": "zebra", "x-request-id": "zebra"}
        if body.get("stream"):
            response = web.StreamResponse(headers={"content-type": "text/event-stream", **told})
            await response.prepare(request)
            await response.write(b'data: {"choices": [{"index": 0, "delta": {"content": "Rest."}, ')
            await response.write(b'"finish_reason": "stop"}]}\n\ndata: [DONE]\n\n')
            return response
        message = {"role": "assistant", "content": "Rest."}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return web.json_response({"choices": [choice]}, headers=told)

    app = web.Application()
    app.router.add_post("/v1/chat/completions", answer)
    runner = web.AppRunner(app, access_log=None)
    assert (await gateway.get("/v1/models")).status == 200
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    gateway.services.upstream.replicas.all[0].url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    try:
        whole = await gateway.chat("draft")
        stream = await gateway.stream("draft")
    finally:
        await runner.cleanup()
    assert (whole.status, stream.status) == (200, 200)
    for headers in (whole.headers, stream.headers):
        assert "zebra" not in str(headers).lower()


async def test_what_the_model_server_says_of_itself_in_an_error_stays_there(
    gateway: Gateway, vllm: FakeVLLM
):
    inner = b'{"error": {"message": "zebra at 0x7f00, /srv/zebra/worker.py", "code": 500}}'
    for status in (400, 401, 404, 409, 422, 429, 500, 501, 503):
        vllm.script = dict.fromkeys(
            ("draft", "completions", "embeddings"), Status(status=status, body=inner)
        )
        for path in (CHAT, "/v1/responses", "/v1/completions", "/v1/embeddings"):
            reply = await gateway.post(path, BODIES[path])
            assert reply.status >= 400
            assert b"zebra" not in reply.body
            assert "zebra" not in str(reply.headers)
    vllm.script["draft"] = Raw(writes=(b'{"error": {"message": "zebra"}}',))
    assert b"zebra" not in (await gateway.post(CHAT, BODIES[CHAT])).body


async def ask(gateway: Gateway, key: str | None, path: str, **fields: Any) -> None:
    headers = {"authorization": f"Bearer {key}"} if key else {}
    assert (await gateway.post(path, {**BODIES[path], **fields}, **headers)).status == 200


async def test_each_tenant_has_a_salt_of_its_own_in_the_engines_cache(
    gateway: Gateway, vllm: FakeVLLM
):
    salts = {}
    for key in ("one-secret", "another-secret", None):
        vllm.requests.clear()
        vllm.script["judge"] = lacks("Names the signs that need a doctor at once.")
        await ask(gateway, key, CHAT, revision={"mode": "standard"})
        await ask(gateway, key, CHAT)
        await ask(gateway, key, CHAT, stream=False)
        await ask(gateway, key, "/v1/responses")
        await ask(gateway, key, "/v1/completions")
        assert {one.step for one in vllm.requests} >= {"draft", "rubric", "judge", "completions"}
        (salts[key],) = {one.salt for one in vllm.requests}
        assert len(salts[key]) == 64
        assert "secret" not in salts[key]
    assert len(set(salts.values())) == 3


async def test_a_judge_of_its_own_gets_the_salt_too(open_gateway: Opener, vllm: FakeVLLM):
    async with FakeVLLM() as judge:
        gateway = await open_gateway(judge_upstream=judge.url, judge_model=MODEL)
        await ask(gateway, "one-secret", CHAT, revision={"mode": "fast"})
        assert {one.salt for one in judge.requests} == {one.salt for one in vllm.of("draft")}


@pytest.mark.parametrize("mode", ["draft", "fast"])
async def test_a_server_that_knows_no_salt_gets_none(gateway: Gateway, vllm: FakeVLLM, mode: str):
    vllm.owner = "llamacpp"
    assert (await gateway.chat(mode)).status == 200
    assert {one.salt for one in vllm.requests} == {""}


async def test_the_salt_can_be_turned_off(open_gateway: Opener, vllm: FakeVLLM):
    gateway = await open_gateway(cache_salt="off")
    assert (await gateway.chat("draft")).status == 200
    assert vllm.requests[0].salt == ""


def test_gateways_with_one_engine_come_to_one_salt():
    assert cache_salt("ward", "key") == cache_salt("ward", "key")
    assert cache_salt("ward", "key") != cache_salt("ward", "other")
    assert cache_salt("ward", "key") != cache_salt("clinic", "key")


TURN = {"role": "user", "content": [{"type": "text", "text": "a"}] * 1001}
CALL = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
COUNTS = {
    "parts": (CHAT, {"messages": [TURN]}, "messages.0.content"),
    "tool calls": (
        CHAT,
        {"messages": [SAID, {"role": "assistant", "tool_calls": [CALL] * 129}, SAID]},
        "messages.1.tool_calls",
    ),
    "biases": (CHAT, {"logit_bias": {str(n): 1 for n in range(1025)}}, "logit_bias"),
    "a long stop word": (CHAT, {"stop": "x" * 1025}, "stop"),
    "stop tokens": (CHAT, {"stop_token_ids": [1] * 1025}, "stop_token_ids"),
    "texts": ("/v1/completions", {"prompt": [QUESTION] * 17, "n": 8}, "prompt"),
    "stop words of a text": ("/v1/completions", {"stop": ["x"] * 5}, "stop"),
}


@pytest.mark.parametrize(("path", "fields", "param"), COUNTS.values(), ids=COUNTS)
async def test_what_can_be_many_has_a_limit(
    gateway: Gateway, vllm: FakeVLLM, path: str, fields: dict[str, Any], param: str
):
    reply = await gateway.post(path, {**BODIES[path], **fields})
    assert (reply.status, reply.error["param"]) == (400, param)
    assert vllm.requests == []
