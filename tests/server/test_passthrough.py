"""`POST /v1/completions` and `POST /v1/embeddings`: passed through, or said not to be there."""

import asyncio
import json
from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI
from openai.types import Completion, CreateEmbeddingResponse

from models import sse
from tests.fakes.vllm import MODEL, Cut, FakeVLLM, Hang, Raw, Slow, Status, overflow
from tests.server.conftest import Opener
from tests.server.gateway import Gateway
from tests.server.responses_wire import check_extras

TEXT = "/v1/completions"
VECTORS = "/v1/embeddings"
PROMPT = "For a zebra headache, drink water"
DRAFT_ID = f"{MODEL}-draft"

BODIES = {
    TEXT: {"model": DRAFT_ID, "prompt": PROMPT},
    VECTORS: {"model": DRAFT_ID, "input": [PROMPT, "another"]},
}
STEPS = {TEXT: "completions", VECTORS: "embeddings"}


@pytest.fixture
async def client(gateway: Gateway) -> AsyncIterator[AsyncOpenAI]:
    async with gateway.openai() as opened:
        yield opened


async def stream(gateway: Gateway, **fields: Any) -> list[bytes]:
    """Return the frames of a streamed text completion."""
    body = {**BODIES[TEXT], "stream": True, **fields}
    async with gateway.session.post(gateway.url + TEXT, json=body) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.headers["x-revision-status"] == "off"
        frames = [frame async for frame in sse.frames(response.content.iter_any())]
        gateway.is_as_described("POST", TEXT, response, b"".join(frames))
        return frames


@pytest.mark.parametrize("path", [TEXT, VECTORS])
async def test_the_upstreams_reply_comes_under_the_models_id_that_was_asked_for(
    gateway: Gateway, vllm: FakeVLLM, path: str
):
    reply = await gateway.post(path, BODIES[path])
    assert (reply.status, reply.json["model"]) == (200, DRAFT_ID)
    assert reply.headers["x-revision-status"] == "off"
    kind = Completion if path == TEXT else CreateEmbeddingResponse
    check_extras(kind.model_validate(reply.json, strict=True))
    (request,) = vllm.requests
    assert request.body == {**BODIES[path], "model": MODEL}


async def test_a_stream_is_passed_through_with_nothing_of_the_engines_own(gateway: Gateway):
    *frames, done = await stream(gateway)
    assert sse.data_of(done) == sse.DONE
    chunks = [json.loads(sse.data_of(frame)) for frame in frames]
    for chunk in chunks:
        assert chunk["model"] == DRAFT_ID
        assert set(chunk["choices"][0]) == {"index", "text", "logprobs", "finish_reason"}
        assert set(chunk) == {"id", "object", "created", "model", "choices", "usage"}
    assert "".join(chunk["choices"][0]["text"] for chunk in chunks) == "and rest."
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"


async def test_fields_of_openais_go_up_and_ours_stay_here(gateway: Gateway, vllm: FakeVLLM):
    fields = {"max_tokens": 5, "echo": True, "logprobs": 2, "temperature": 0, "stop": ["."]}
    ours = {
        "revision": {"mode": "draft"},
        "user": "zebra",
        "metadata": {"ward": "zebra"},
        "safety_identifier": "zebra",
        "prompt_cache_key": "zebra",
        "store": True,
    }
    assert (await gateway.post(TEXT, {**BODIES[TEXT], **fields, **ours})).status == 200
    assert vllm.requests[-1].body == {"model": MODEL, "prompt": PROMPT, **fields}
    fields = {"encoding_format": "float", "dimensions": 3}
    assert (await gateway.post(VECTORS, {**BODIES[VECTORS], **fields, **ours})).status == 200
    assert vllm.requests[-1].body == {**BODIES[VECTORS], "model": MODEL, **fields}


@pytest.mark.parametrize("prompt", [[PROMPT, PROMPT], [1, 2, 3], [[1, 2], [3]]])
async def test_several_texts_and_tokens_go_up_as_they_are(
    gateway: Gateway, vllm: FakeVLLM, prompt: object
):
    assert (await gateway.post(TEXT, {"model": MODEL, "prompt": prompt})).status == 200
    assert vllm.requests[-1].body["prompt"] == prompt


@pytest.mark.parametrize("path", [TEXT, VECTORS])
@pytest.mark.parametrize("status", [404, 405, 501])
@pytest.mark.parametrize("streamed", [False, True])
async def test_a_route_that_the_upstream_lacks_is_not_found(
    gateway: Gateway,
    vllm: FakeVLLM,
    path: str,
    status: int,
    streamed: bool,  # noqa: FBT001
):
    vllm.script[STEPS[path]] = Status(status=status)
    reply = await gateway.post(path, {**BODIES[path], "stream": streamed and path == TEXT})
    assert (reply.status, reply.error["code"]) == (404, "not_found")
    assert path in reply.error["message"]
    assert reply.error["type"] == "invalid_request_error"
    assert "zebra" not in reply.error["message"]


@pytest.mark.parametrize("path", [TEXT, VECTORS])
@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        (Status(status=400), 400, "upstream_rejected"),
        (Status(status=401), 502, "upstream_misconfigured"),
        (Status(status=503), 503, "upstream_unavailable"),
        (overflow(), 400, "context_length_exceeded"),
        (Cut(headers=False), 503, "upstream_unavailable"),
        (Raw(writes=(b'{"error": {"message": "zebra"}}',)), 502, "upstream_malformed"),
        (Raw(writes=(b'{"object": "list"}',)), 502, "upstream_malformed"),
        (Raw(writes=(b'{"choices": [5], "data": [5]}',)), 502, "upstream_malformed"),
        (Raw(writes=(b"[]",)), 502, "upstream_malformed"),
        (Raw(writes=(b"zebra",)), 502, "upstream_malformed"),
    ],
)
async def test_a_failure_is_told_in_openais_form(
    gateway: Gateway, vllm: FakeVLLM, path: str, fault: object, status: int, code: str
):
    vllm.script[STEPS[path]] = fault
    reply = await gateway.post(path, BODIES[path])
    assert (reply.status, reply.error["code"]) == (status, code)
    assert "zebra" not in reply.error["message"]


def text(words: object = "and rest.", finish: object = "stop", **more: object) -> Any:
    choice = {"index": 0, "text": words, "logprobs": None, "finish_reason": finish, **more}
    return {"id": "cmpl-1", "object": "text_completion", "created": 1, "choices": [choice]}


def vector(embedding: object, index: int = 0) -> dict[str, object]:
    return {"object": "embedding", "index": index, "embedding": embedding}


DEEP = b"[" * 300 + b"]" * 300
NO_ANSWERS: list[tuple[str, object]] = [
    (TEXT, {"choices": []}),
    (TEXT, {"choices": [{}]}),
    (TEXT, {"choices": [{"index": 0, "message": {"content": "zebra"}}]}),
    (TEXT, text(5)),
    (TEXT, text(None)),
    (TEXT, text(index=1)),
    (TEXT, text(index=-1)),
    (TEXT, text(finish=["zebra"])),
    (TEXT, text(logprobs={"tokens": "zebra"})),
    (TEXT, text(logprobs={"top_logprobs": [{"zebra": "zebra"}]})),
    (TEXT, {"choices": [*text()["choices"], *text()["choices"]]}),
    (TEXT, b'{"choices": [{"index": 0, "text": "a"}], "usage": %b}' % DEEP),
    (TEXT, b'{"choices": [{"index": 0, "text": "a", "logprobs": {"text_offset": %b}}]}' % DEEP),
    (VECTORS, {"data": []}),
    (VECTORS, {"data": [{}, {}]}),
    (VECTORS, {"data": [vector([0.5])]}),
    (VECTORS, {"data": [vector([0.5]), vector([0.5])]}),
    (VECTORS, {"data": [vector([0.5], place) for place in range(3)]}),
    (VECTORS, {"data": [vector([0.5]), vector(None, 1)]}),
    (VECTORS, {"data": [vector([0.5]), vector([], 1)]}),
    (VECTORS, {"data": [vector([0.5]), vector(["0.5"], 1)]}),
    (VECTORS, {"data": [vector([0.5]), vector("AAAAPw==", 1)]}),
    (VECTORS, b'{"data": [{"index": 0, "embedding": [NaN]}, {"index": 1, "embedding": [1]}]}'),
    (VECTORS, b'{"data": %b}' % DEEP),
]


def as_json(body: object) -> bytes:
    return body if isinstance(body, bytes) else json.dumps(body).encode()


@pytest.mark.parametrize(("path", "body"), NO_ANSWERS)
async def test_what_is_no_answer_is_not_passed_through_for_one(
    gateway: Gateway, vllm: FakeVLLM, path: str, body: object
):
    vllm.script[STEPS[path]] = Raw(writes=(as_json(body),))
    reply = await gateway.post(path, BODIES[path])
    assert (reply.status, reply.error["code"]) == (502, "upstream_malformed")
    assert "zebra" not in reply.error["message"]


@pytest.mark.parametrize(
    "more", [{"id": {"zebra": 1}}, {"usage": "zebra"}, {"created": "zebra"}, {"usage": {"a": [1]}}]
)
async def test_what_is_odd_around_a_good_answer_stays_behind(
    gateway: Gateway, vllm: FakeVLLM, more: dict[str, object]
):
    vllm.script["completions"] = Raw(writes=(as_json({**text(), **more}),))
    reply = await gateway.post(TEXT, BODIES[TEXT])
    assert reply.status == 200
    check_extras(Completion.model_validate(reply.json, strict=True))
    assert b"zebra" not in reply.body
    vectors = {"data": [vector([0.5], 1), vector([1], 0)], **more}
    vllm.script["embeddings"] = Raw(writes=(as_json(vectors),))
    reply = await gateway.post(VECTORS, BODIES[VECTORS])
    assert b"zebra" not in reply.body
    told = CreateEmbeddingResponse.model_validate(reply.json, strict=True)
    assert [one.embedding for one in told.data] == [[1.0], [0.5]]  # in the order of the texts


async def test_a_vector_in_base_64_comes_when_it_was_asked_for(gateway: Gateway, vllm: FakeVLLM):
    vllm.script["embeddings"] = Raw(writes=(as_json({"data": [vector("AAAAPw==")]}),))
    fields = {"input": "one", "encoding_format": "base64"}
    reply = await gateway.post(VECTORS, {**BODIES[VECTORS], **fields})
    assert reply.json["data"] == [vector("AAAAPw==")]


async def test_the_log_probabilities_of_a_text_come_with_it(gateway: Gateway, vllm: FakeVLLM):
    told = {
        "tokens": ["and", " rest"],
        "token_logprobs": [None, -0.5],
        "top_logprobs": [None, {" rest": -0.5, " zebra": -2.0}],
        "text_offset": [0, 3],
    }
    inside = text(logprobs={**told, "engine": 1})
    vllm.script["completions"] = Raw(writes=(as_json(inside),))
    reply = await gateway.post(TEXT, {**BODIES[TEXT], "logprobs": 2})
    assert reply.json["choices"][0]["logprobs"] == told


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("eos", "stop"),
        ("tool_calls", "stop"),
        ("max_tokens", "length"),
        ("content_filter", "content_filter"),
    ],
)
async def test_a_text_ends_in_openais_words(
    gateway: Gateway,
    vllm: FakeVLLM,
    said: str,
    told: str,
    streamed: bool,  # noqa: FBT001
):
    if not streamed:
        vllm.script["completions"] = Raw(writes=(as_json(text(finish=said)),))
        reply = await gateway.post(TEXT, BODIES[TEXT])
        assert reply.json["choices"][0]["finish_reason"] == told
        return
    writes = (CHUNK, CHUNK.replace(b"null", f'"{said}"'.encode()), b"data: [DONE]\n\n")
    vllm.script["completions"] = Raw(writes=writes, content_type="text/event-stream")
    *_, last, _ = await stream(gateway)
    assert json.loads(sse.data_of(last))["choices"][0]["finish_reason"] == told


async def test_a_text_that_the_server_gave_up_on_is_none(gateway: Gateway, vllm: FakeVLLM):
    vllm.script["completions"] = Raw(writes=(as_json(text("and", "abort")),))
    reply = await gateway.post(TEXT, BODIES[TEXT])
    assert (reply.status, reply.error["code"]) == (503, "upstream_unavailable")


CHUNK = b'data: {"choices": [{"index": 0, "text": "and", "finish_reason": null}]}\n\n'


@pytest.mark.parametrize(
    "writes",
    [
        (CHUNK,),
        (CHUNK, b"data: [DONE]\n\n"),
        (CHUNK, CHUNK.replace(b"null", b'"abort"'), b"data: [DONE]\n\n"),
        (CHUNK, CHUNK.replace(b'"and"', b"5"), b"data: [DONE]\n\n"),
        (CHUNK, b'data: {"error": {"message": "zebra"}}\n\n', b"data: [DONE]\n\n"),
        (CHUNK, b'data: {"error": "zebra", "choices": []}\n\n', b"data: [DONE]\n\n"),
        (CHUNK, b"data: zebra\n\n"),
    ],
)
async def test_what_breaks_midway_ends_in_an_error_and_done(
    gateway: Gateway, vllm: FakeVLLM, writes: tuple[bytes, ...]
):
    vllm.script["completions"] = Raw(writes=writes, content_type="text/event-stream")
    said, error, done = await stream(gateway)
    assert json.loads(sse.data_of(said))["choices"][0]["text"] == "and"
    body = json.loads(sse.data_of(error))
    assert set(body) == {"error"}
    assert "zebra" not in body["error"]["message"]
    assert sse.data_of(done) == sse.DONE


END = CHUNK.replace(b'"and"', b'""').replace(b"null", b'"stop"')


@pytest.mark.parametrize(
    "rest", [(), (b"data: zebra\n\n",), (b'data: {"error": {"message": "zebra"}}\n\n',)]
)
async def test_what_breaks_after_the_end_breaks_no_answer(
    gateway: Gateway, vllm: FakeVLLM, rest: tuple[bytes, ...]
):
    vllm.script["completions"] = Raw(writes=(CHUNK, END, *rest), content_type="text/event-stream")
    *said, done = await stream(gateway)
    assert [json.loads(sse.data_of(one))["choices"][0]["text"] for one in said] == ["and", ""]
    assert sse.data_of(done) == sse.DONE


async def test_a_stream_ends_when_each_of_its_texts_has(gateway: Gateway, vllm: FakeVLLM):
    second = CHUNK.replace(b'"index": 0', b'"index": 1')
    writes = (CHUNK, END, b"data: [DONE]\n\n")
    vllm.script["completions"] = [
        Raw(writes=writes, content_type="text/event-stream"),
        Raw(writes=(second, *writes), content_type="text/event-stream"),
    ]
    *_, error, _ = await stream(gateway, prompt=[PROMPT, PROMPT])
    assert "error" in json.loads(sse.data_of(error))
    *_, error, _ = await stream(gateway, n=2)
    assert "error" in json.loads(sse.data_of(error))


@pytest.mark.parametrize(
    ("write", "kind", "status"),
    [
        (b'data: {"error": {"message": "zebra"}}\n\n', "text/event-stream", 502),
        (b"data: {zebra\n\n", "text/event-stream", 502),
        (b"data: [DONE]\n\n", "text/event-stream", 503),
        (b"", "text/event-stream", 503),
        (as_json(text("zebra")), "application/json", 503),
        (b"zebra", "text/plain", 503),
    ],
)
async def test_a_failure_that_is_known_at_once_has_its_status(
    gateway: Gateway, vllm: FakeVLLM, write: bytes, kind: str, status: int
):
    vllm.script["completions"] = Raw(writes=(write,), content_type=kind)
    reply = await gateway.post(TEXT, {**BODIES[TEXT], "stream": True})
    assert reply.status == status
    assert reply.error["type"] == "server_error"
    assert "zebra" not in reply.error["message"]


@pytest.mark.parametrize("path", [TEXT, VECTORS])
async def test_null_was_not_given(gateway: Gateway, vllm: FakeVLLM, path: str):
    nothing = ("messages", "priority", "best_of", "response_format", "metadata", "suffix", "stream")
    more: dict[str, Any] = dict.fromkeys(nothing)
    assert (await gateway.post(path, {**BODIES[path], **more})).status == 200
    assert vllm.requests[-1].body == {**BODIES[path], "model": MODEL}


async def test_an_inner_null_was_not_given(gateway: Gateway, vllm: FakeVLLM):
    await stream(gateway, stream_options={"include_usage": None, "include_obfuscation": None})
    assert vllm.requests[-1].body["stream_options"] == {"include_usage": True}


async def test_the_upstreams_silence_is_filled_with_comments(open_gateway: Opener, vllm: FakeVLLM):
    gateway = await open_gateway(ping_s=0.2)
    writes = (CHUNK, CHUNK.replace(b"null", b'"stop"'), b"data: [DONE]\n\n")
    vllm.script["completions"] = Raw(writes=writes, content_type="text/event-stream", pace=0.5)
    frames = await stream(gateway)
    assert b": completions\n\n" in frames


BAD: list[tuple[str, dict[str, Any], str]] = [
    (TEXT, {"prompt": None}, "prompt"),
    (TEXT, {"prompt": 5}, "prompt"),
    (TEXT, {"prompt": []}, "prompt"),
    (TEXT, {"prompt": ["zebra", 5]}, "prompt"),
    (TEXT, {"prompt": [[1], "zebra"]}, "prompt"),
    (TEXT, {"prompt": [True]}, "prompt"),
    (TEXT, {"n": 9}, "n"),
    (TEXT, {"stream": 1}, "stream"),
    (TEXT, {"max_tokens": -1}, "max_tokens"),
    (TEXT, {"best_of": 9}, "best_of"),
    (TEXT, {"guided_grammar": "zebra"}, "guided_grammar"),
    (TEXT, {"response_format": {"type": "structural_tag"}}, "response_format"),
    (VECTORS, {"input": {"zebra": 1}}, "input"),
    (VECTORS, {"input": ["x"] * 2049}, "input"),
    (VECTORS, {"stream": True}, "stream"),
    (VECTORS, {"messages": [{"role": "user", "content": "zebra"}]}, "messages"),
    (VECTORS, {"chat_template": "zebra"}, "chat_template"),
]


@pytest.mark.parametrize(("path", "fields", "param"), BAD)
async def test_what_may_not_go_up_is_refused_by_name(
    gateway: Gateway, vllm: FakeVLLM, path: str, fields: dict[str, Any], param: str
):
    reply = await gateway.post(path, {**BODIES[path], **fields})
    assert (reply.status, reply.error["param"]) == (400, param)
    assert reply.error["code"]
    assert "zebra" not in reply.error["message"]
    assert not vllm.requests


@pytest.mark.parametrize("path", [TEXT, VECTORS])
async def test_bad_bodies_and_unknown_models_are_told_as_everywhere(gateway: Gateway, path: str):
    assert (await gateway.request("POST", path, data=b"[]")).error["code"] == "invalid_json"
    unknown = await gateway.post(path, {**BODIES[path], "model": "other"})
    assert (unknown.status, unknown.error["code"]) == (404, "model_not_found")


async def test_where_everything_must_be_reviewed_there_are_no_text_completions(
    open_gateway: Opener, vllm: FakeVLLM
):
    gateway = await open_gateway(minimum_mode="fast")
    reply = await gateway.post(TEXT, BODIES[TEXT])
    assert (reply.status, reply.error["code"]) == (403, "review_required")
    assert not vllm.requests
    assert (await gateway.post(VECTORS, BODIES[VECTORS])).status == 200


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_client_that_leaves_stops_the_upstream(
    gateway: Gateway,
    vllm: FakeVLLM,
    streamed: bool,  # noqa: FBT001
):
    vllm.script["completions"] = Hang()
    body = {**BODIES[TEXT], "stream": streamed}
    asked = asyncio.create_task(gateway.post(TEXT, body))
    await vllm.arrives("completions")
    asked.cancel()
    await asyncio.gather(asked, return_exceptions=True)
    await vllm.idle()
    assert vllm.cancelled == ["completions"]


async def test_openais_client_reads_both(client: AsyncOpenAI):
    text = await client.completions.create(model=MODEL, prompt=PROMPT)
    assert text.choices[0].text == "and rest."
    # Not strictly: its type knows no chunk without a finish reason, though OpenAI sends such.
    async with AsyncOpenAI(base_url=client.base_url, api_key="none") as lenient:
        chunks = await lenient.completions.create(model=MODEL, prompt=PROMPT, stream=True)
        assert "".join([chunk.choices[0].text async for chunk in chunks]) == "and rest."
    vectors = await client.embeddings.create(model=MODEL, input=[PROMPT])
    assert vectors.data[0].embedding == [0.25, -0.5, 0.125]


async def test_openais_client_gets_openais_errors(client: AsyncOpenAI, vllm: FakeVLLM):
    vllm.script["embeddings"] = Status(status=404)
    with pytest.raises(openai.NotFoundError):
        await client.embeddings.create(model=MODEL, input=PROMPT)
    vllm.script["completions"] = Slow(seconds=2.2, reply=Status(status=404))
    late = await client.completions.create(model=MODEL, prompt=PROMPT, stream=True)
    with pytest.raises(openai.APIError, match="has no route"):
        _ = [chunk async for chunk in late]


def counted(gateway: Gateway, step: str, kind: str) -> float:
    return gateway.services.metrics.tokens.labels(step, kind)._value.get()


async def test_what_is_passed_through_is_counted(gateway: Gateway, vllm: FakeVLLM):
    assert (await gateway.post(TEXT, BODIES[TEXT])).status == 200
    assert (await gateway.post(VECTORS, BODIES[VECTORS])).status == 200
    assert counted(gateway, "completions", "prompt") == 3
    assert counted(gateway, "completions", "completion") == 2
    assert counted(gateway, "embeddings", "prompt") == 3
    await stream(gateway)
    assert counted(gateway, "completions", "completion") == 4
    vllm.script["embeddings"] = Status(status=500)
    assert (await gateway.post(VECTORS, BODIES[VECTORS])).status == 503
    failures = gateway.services.metrics.call_failures.labels("embeddings", "ModelUnavailable")
    assert failures._value.get() == 1


async def test_a_stream_is_never_silent_for_as_long_as_the_client_waits(
    gateway: Gateway, vllm: FakeVLLM
):
    vllm.script["completions"] = Slow(seconds=1.2, reply="and rest.")
    body = {**BODIES[TEXT], "stream": True}
    patience = {"x-stainless-read-timeout": "0.6"}
    clock = asyncio.get_running_loop().time
    async with gateway.session.post(gateway.url + TEXT, json=body, headers=patience) as response:
        at = [clock()]
        at += [clock() async for _ in sse.frames(response.content.iter_any())]
    assert max(later - before for before, later in pairwise(at)) < 0.6


async def test_a_request_waits_in_the_queue_no_longer_than_its_client(
    open_gateway: Opener, vllm: FakeVLLM
):
    gateway = await open_gateway(calls_at_once=1)
    vllm.script["draft"] = Hang()
    holding = asyncio.create_task(gateway.chat("draft"))
    await vllm.arrives("draft")
    began = asyncio.get_running_loop().time()
    reply = await gateway.post(TEXT, BODIES[TEXT], **{"x-stainless-timeout": "1"})
    assert reply.status == 503
    assert asyncio.get_running_loop().time() - began < 1
    holding.cancel()
