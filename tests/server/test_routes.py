"""The other routes, and what may not be found in metrics and logs."""

import asyncio
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from retrieval.open import build_indexes, open_retriever, signature
from retrieval.retriever import Retriever
from server.log import configure
from server.shelf import Shelf
from tests.fakes.embedder import HashingEmbedder
from tests.fakes.library import DOSE, HARM, QUESTION, SIGNS, open_library, write_library
from tests.fakes.vllm import (
    DRAFT,
    MODEL,
    REVISED,
    Cut,
    ErrorInStream,
    FakeVLLM,
    Hang,
    Raw,
    Rule,
    Status,
    lacks,
)
from tests.server.conftest import Opener
from tests.server.gateway import CHAT, Gateway, asking

CANARY = "zebra-in-the-ward"
REVIEW_KEYS = {"id", "object", "answer", "revision", "usage"}


def answered(answer: str = DRAFT, **fields: object) -> dict[str, object]:
    return asking(answer=answer, **fields)


async def test_a_critique_leaves_the_answer_as_it_is(gateway: Gateway, vllm: FakeVLLM):
    vllm.script["judge"] = lacks(SIGNS, unless="stiff neck")
    reply = await gateway.post("/v1/critiques", answered(revision={"max_rounds": 3}))
    assert set(reply.json) >= REVIEW_KEYS
    assert (reply.json["object"], reply.json["answer"]) == ("critique", DRAFT)
    assert reply.outcome == ("kept_draft", "max_rounds")
    assert reply.revision["rounds"] == 0
    assert {one.step for one in vllm.requests} == {"rubric", "judge"}


async def test_a_revision_mends_the_answer_that_the_caller_has(gateway: Gateway, vllm: FakeVLLM):
    vllm.script["judge"] = lacks(SIGNS, unless="stiff neck")
    reply = await gateway.post("/v1/revisions", answered())
    assert (reply.json["object"], reply.json["answer"]) == ("revision", REVISED)
    assert reply.outcome == ("revised", "all_met")
    assert reply.json["id"] == reply.revision["id"] == reply.headers["x-revision-id"]
    assert reply.headers["x-revision-status"] == "revised"
    spent = reply.json["usage"]
    assert (spent["prompt_tokens"], spent["completion_tokens"]) == vllm.usage()
    assert not vllm.of("draft")


@pytest.mark.parametrize("setting", ["mark", "notice", "error"])
@pytest.mark.parametrize("answer", [DRAFT, '{"advice": "Rest."}'])
async def test_a_critique_comes_whatever_is_done_with_degraded_answers(
    open_gateway: Opener, vllm: FakeVLLM, setting: str, answer: str
):
    vllm.script["judge"] = lacks(HARM)
    gateway = await open_gateway(on_degraded=setting)
    reply = await gateway.post("/v1/critiques", answered(answer))
    assert (reply.status, reply.json["answer"]) == (200, answer)
    assert reply.outcome == ("kept_draft", "max_rounds")
    assert reply.headers["x-revision-status"] == "kept_draft"


async def test_a_degraded_revision_is_noted_but_never_inside_json(
    open_gateway: Opener, vllm: FakeVLLM
):
    vllm.script |= {"judge": lacks(HARM), "revise": Status(status=400)}
    noting = await open_gateway(on_degraded="notice")
    noted = (await noting.post("/v1/revisions", answered())).json["answer"]
    assert noted.startswith(DRAFT)
    assert noted != DRAFT
    for text in ('{"advice": "Rest."}', '["Rest."]'):
        reply = await noting.post("/v1/revisions", answered(text))
        assert reply.json["answer"] == text
    withholding = await open_gateway(on_degraded="error")
    refused = await withholding.post("/v1/revisions", answered())
    assert (refused.status, refused.error["code"]) == (502, "review_degraded")


async def test_a_revision_is_written_as_the_options_say(gateway: Gateway, vllm: FakeVLLM):
    vllm.script["judge"] = lacks(SIGNS, unless="stiff neck")
    options = {"temperature": 0.2, "max_tokens": 99, "stop": ["END"], "top_p": 0.5}
    reply = await gateway.post("/v1/revisions", answered(**options, seed=3, user="somebody"))
    assert reply.outcome == ("revised", "all_met")
    sent = vllm.of("revise")[0].body
    assert sent.items() >= options.items()
    assert "answer" not in sent
    assert "user" not in sent
    seeds = {one.body.get("seed") for one in vllm.requests}
    assert None not in seeds


async def test_a_revision_of_json_stays_json(gateway: Gateway, vllm: FakeVLLM):
    vllm.script["judge"] = lacks(SIGNS, unless="stiff neck")
    asked = answered('{"advice": "Rest."}', response_format={"type": "json_object"})
    reply = await gateway.post("/v1/revisions", asked)
    assert reply.json["answer"] == '{"advice": "Rest."}'
    assert reply.outcome == ("kept_draft", "no_gain")
    assert vllm.of("revise")[0].body["response_format"] == {"type": "json_object"}


@pytest.mark.parametrize("path", ["/v1/critiques", "/v1/revisions"])
@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("stream", True, "unsupported_parameter"),
        ("n", 2, "unsupported_parameter"),
        ("logprobs", True, "unsupported_parameter"),
        (
            "tools",
            [{"type": "function", "function": {"name": "f"}}],
            "unsupported_parameter",
        ),
        ("temperature", 9, None),
        ("max_tokens", 0, None),
    ],
)
async def test_what_a_review_cannot_heed_is_refused(
    gateway: Gateway, vllm: FakeVLLM, path: str, name: str, value: object, code: str | None
):
    reply = await gateway.post(path, answered(**{name: value}))
    error = reply.error
    assert (reply.status, error["param"]) == (400, name)
    assert code in {None, error["code"]}
    assert vllm.requests == []
    for harmless in ({"stream": False}, {"n": 1}, {"tools": None}):
        assert (await gateway.post(path, answered(**harmless))).status == 200


async def test_principles_are_listed_and_shown_as_in_their_file(
    gateway: Gateway, library: Retriever
):
    listed = (await gateway.get("/v1/principles")).json
    assert listed["object"] == "list"
    assert [one["id"] for one in listed["data"]] == [one.id for one in library.library]
    shown = (await gateway.get("/v1/principles/headache-warning-signs")).json
    assert shown == listed["data"][1]
    assert shown["sources"] == [{"label": "A guideline", "url": "https://example.org/headache"}]
    assert shown["criteria"][0] == {
        "criterion": SIGNS,
        "points": 9,
        "kind": "require",
        "critical": False,
    }


async def test_principles_are_found_best_first(gateway: Gateway):
    body = {"query": f"{DOSE} paracetamol ibuprofen", "k": 2}
    found = (await gateway.post("/v1/principles/search", body)).json
    assert found["object"] == "list"
    assert found["data"][0]["id"] == "medicine-doses"
    scores = [one["score"] for one in found["data"]]
    assert len(scores) == 2
    assert scores == sorted(scores, reverse=True)


async def test_a_search_without_a_number_finds_as_many_as_usual(gateway: Gateway):
    body = {"query": f"{DOSE} paracetamol ibuprofen"}
    found = await gateway.post("/v1/principles/search", {**body, "k": None})
    assert found.status == 200
    assert found.json == (await gateway.post("/v1/principles/search", body)).json


async def test_each_model_is_listed_in_four_modes(gateway: Gateway):
    listed = (await gateway.get("/v1/models")).json["data"]
    ids = [one["id"] for one in listed]
    assert ids == [MODEL, f"{MODEL}-fast", f"{MODEL}-thorough", f"{MODEL}-draft"]
    assert (await gateway.get(f"/v1/models/{MODEL}-fast")).json == listed[1]


async def test_a_model_list_that_hangs_ends_the_first_request_in_time(
    gateway: Gateway, vllm: FakeVLLM, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("models.openai_http.MODELS_S", 0.2)
    vllm.models_reply = Hang()
    reply = await gateway.chat(revision={"deadline_ms": 600_000})
    assert (reply.status, reply.error["code"]) == (504, "upstream_timeout")


async def test_a_model_list_that_hangs_holds_up_no_request_for_a_model_that_is_known(
    gateway: Gateway, vllm: FakeVLLM, monkeypatch: pytest.MonkeyPatch
):
    await gateway.chat()
    monkeypatch.setattr("server.catalog.FRESH_S", 0.0)
    vllm.models_reply = Hang()
    async with asyncio.timeout(3):
        replies = await asyncio.gather(*(gateway.chat("fast") for _ in range(5)))
    assert {reply.status for reply in replies} == {200}


async def test_a_model_with_a_slash_in_its_name_is_shown(gateway: Gateway, vllm: FakeVLLM):
    vllm.models = ["org/model"]
    assert (await gateway.get("/v1/models/org/model-draft")).json["id"] == "org/model-draft"


@pytest.mark.parametrize(
    "path",
    ["/health", "/healthz", "/readyz", "/version", "/metrics", "/v1/models", f"/v1/models/{MODEL}"],
)
async def test_what_is_probed_answers_head_like_get_without_a_body(gateway: Gateway, path: str):
    head, get = await gateway.request("HEAD", path), await gateway.get(path)
    assert (head.status, head.body) == (200, b"") != (get.status, get.body)
    assert head.headers["content-type"] == get.headers["content-type"]
    assert (await gateway.request("HEAD", CHAT)).status == 405


async def test_head_of_a_model_that_is_not_there_is_404(gateway: Gateway):
    reply = await gateway.request("HEAD", "/v1/models/other")
    assert (reply.status, reply.body) == (404, b"")


@pytest.mark.parametrize(
    "path", ["/healthz/", "/readyz/", "/version/", "/metrics/", "/v1/models/", "/v1/principles/"]
)
async def test_a_slash_at_the_end_of_a_path_is_ignored(gateway: Gateway, path: str):
    slashed = await gateway.request("GET", path, allow_redirects=False)
    assert slashed.status == 200
    if path != "/metrics/":
        assert slashed.body == (await gateway.get(path[:-1])).body


async def test_a_conversation_is_never_redirected(open_gateway: Opener):
    gateway = await open_gateway(allowed_hosts=("evil.example",))
    host = {"host": "evil.example"}
    for path in (f"{CHAT}/", "/v1/critiques/", "/v1/principles/search/"):
        reply = await gateway.request(
            "POST", path, json=answered(query="fever"), headers=host, allow_redirects=False
        )
        assert reply.status in {200, 400}
        assert "location" not in reply.headers
        twice = await gateway.request("POST", f"{path}/", json={}, allow_redirects=False)
        assert (twice.status, twice.error["code"]) == (404, "not_found")


async def test_health_needs_nothing(open_gateway: Opener, vllm: FakeVLLM, tmp_path: Path):
    gateway = await open_gateway(shelf=empty_shelf(tmp_path))
    await vllm.stop()
    assert (await gateway.get("/healthz")).status == 200


async def test_version_says_what_this_is(gateway: Gateway):
    version = (await gateway.get("/version")).json
    assert set(version) >= {"version", "prompts"}
    assert version["demo"] is False


async def test_ready_when_all_is_there(gateway: Gateway):
    reply = await gateway.get("/readyz")
    assert (reply.status, reply.json) == (200, {"ready": True, "problems": {}})


async def test_ready_with_the_earlier_library_while_a_changed_one_cannot_be_used(
    open_gateway: Opener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("server.shelf.LOOK_S", 0.0)
    embedder = HashingEmbedder()
    places = write_library(tmp_path)
    build_indexes(places, embedder)
    shelf = Shelf(lambda: open_retriever(places, embedder), lambda: signature(places))
    gateway = await open_gateway(shelf=shelf)
    assert (await gateway.get("/readyz")).json == {"ready": True, "problems": {}}
    places.principles.write_text("{}\n", encoding="utf-8")
    await gateway.get("/readyz")
    await shelf.settled()
    reply = await gateway.get("/readyz")
    assert (reply.status, reply.json["ready"]) == (200, True)
    assert "principles.jsonl, line 1: field id" in reply.json["problems"]["principles"]
    assert (await gateway.chat()).outcome[0] in {"clean", "revised", "kept_draft"}


def empty_shelf(folder: Path) -> Shelf:
    places = write_library(folder)
    return Shelf(lambda: open_retriever(places, HashingEmbedder()))


async def test_not_ready_without_an_index_and_says_what_mends_it(
    open_gateway: Opener, tmp_path: Path
):
    gateway = await open_gateway(shelf=empty_shelf(tmp_path))
    reply = await gateway.get("/readyz")
    assert (reply.status, reply.json["ready"]) == (503, False)
    assert set(reply.json["problems"]) == {"principles"}
    assert "clinalign-serve principles build" in reply.json["problems"]["principles"]
    refused = await gateway.chat()
    assert (refused.status, refused.error["code"]) == (503, "not_ready")
    assert "retry-after" in refused.headers
    for path in ("/v1/principles", "/v1/principles/x"):
        assert (await gateway.get(path)).status == 503
    assert (await gateway.chat("draft")).text == DRAFT, "drafts need no principles"


@pytest.mark.parametrize(
    "reply",
    [
        Status(status=500),
        Status(status=401),
        Raw(writes=(b"<html>",)),
        Raw(writes=(b"[]",)),
        Raw(writes=(b'{"data": []}',)),
    ],
)
async def test_not_ready_while_the_model_server_gives_no_models(
    gateway: Gateway, vllm: FakeVLLM, reply: Status | Raw
):
    assert (await gateway.get("/readyz")).status == 200
    vllm.models_reply = reply
    refused = await gateway.get("/readyz")
    assert (refused.status, set(refused.json["problems"])) == (503, {"upstream"})
    vllm.models_reply = None
    assert (await gateway.get("/readyz")).status == 200


@pytest.mark.parametrize("status", [400, 401, 404, 408, 413, 422, 429, 500, 501])
async def test_a_list_of_models_that_is_refused_is_no_fault_of_the_clients(
    gateway: Gateway, vllm: FakeVLLM, status: int
):
    vllm.models_reply = Status(status=status)
    for reply in (
        await gateway.get("/v1/models"),
        await gateway.get(f"/v1/models/{MODEL}"),
        await gateway.chat(),
    ):
        assert reply.status in {502, 503, 504}
        assert reply.error["type"] == "server_error"


async def test_not_ready_while_the_model_server_is_down(gateway: Gateway, vllm: FakeVLLM):
    await vllm.stop()
    reply = await gateway.get("/readyz")
    assert (reply.status, set(reply.json["problems"])) == (503, {"upstream"})


async def test_an_embedder_that_fails_costs_the_review_and_not_the_answer(
    open_gateway: Opener, tmp_path: Path
):
    embedder = HashingEmbedder()
    retriever = open_library(tmp_path, embedder)
    gateway = await open_gateway(shelf=Shelf(lambda: retriever))
    embedder.broken = True
    reply = await gateway.chat()
    assert (reply.text, reply.outcome) == (DRAFT, ("unreviewed", "model_error"))
    assert reply.revision["score"] == {"draft": None, "final": None}
    search = await gateway.post("/v1/principles/search", {"query": "x"})
    assert (search.status, search.error["code"]) == (503, "not_ready")


async def test_metrics_count_requests_reviews_and_tokens(gateway: Gateway, vllm: FakeVLLM):
    await gateway.chat()
    await gateway.stream("fast")
    text = (await gateway.get("/metrics")).body.decode()
    assert 'clinalign_http_responses_total{route="/v1/chat/completions",status="200"} 2.0' in text
    for mode in ("standard", "fast"):
        told = f'mode="{mode}",status="clean",stop_reason="all_met"'
        assert f"clinalign_reviews_total{{{told}}} 1.0" in text
    assert "clinalign_http_requests_in_flight 1.0" in text
    drafted = sum(one.completion for one in vllm.served if one.step == "draft")
    assert f'clinalign_tokens_total{{step="draft",type="completion"}} {float(drafted)}' in text


async def test_the_time_to_the_answer_is_measured_whole_and_streamed(gateway: Gateway):
    await gateway.stream()
    await gateway.chat()
    text = (await gateway.get("/metrics")).body.decode()
    assert 'clinalign_time_to_first_token_seconds_count{mode="standard"} 2.0' in text


FAULTS: dict[str, dict[str, Rule]] = {
    "none": {},
    "a revision": {"judge": lacks(SIGNS, unless="stiff neck")},
    "a refused draft": {"draft": Status(status=400)},
    "a failing draft": {"draft": Status(status=500)},
    "a cut draft": {"draft": Cut(text=CANARY)},
    "an error in the stream": {"draft": ErrorInStream(text=CANARY)},
    "a draft that is no JSON": {"draft": Raw(writes=(CANARY.encode(),))},
    "a draft of another form": {"draft": Raw(writes=(f'{{"choices": "{CANARY}"}}'.encode(),))},
    "a refused judge": {"judge": Status(status=400)},
    "a rubric that is no JSON": {"rubric": CANARY},
    "a late judge": {"judge": Hang()},
}


@pytest.fixture
def logs(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    """What the gateway logs as `serve --log-level debug` sets it up."""
    names = ("", "clinalign", "uvicorn", "uvicorn.error")
    before = {name: logging.getLogger(name).level for name in names}
    handlers = list(logging.root.handlers)
    configure("debug")
    logging.root.addHandler(caplog.handler)
    caplog.handler.setLevel(logging.DEBUG)
    yield caplog
    logging.root.handlers = handlers
    for name, level in before.items():
        logging.getLogger(name).setLevel(level)


@pytest.mark.parametrize("script", FAULTS.values(), ids=FAULTS)
async def test_no_word_of_a_conversation_is_in_metrics_or_logs(
    logs: pytest.LogCaptureFixture,
    gateway: Gateway,
    vllm: FakeVLLM,
    capfd: pytest.CaptureFixture[str],
    script: dict[str, Rule],
):
    vllm.script = {"draft": f"{CANARY} {DRAFT}", **script}
    messages = [{"role": "user", "content": f"{CANARY} {QUESTION}"}]
    for mode in ("standard", "draft"):
        for stream in (False, True):
            fields = {"messages": messages, "stream": stream, "user": CANARY}
            await gateway.chat(mode, revision={"deadline_ms": 300}, **fields)
    await gateway.post(CHAT, asking(messages=messages, temperature=CANARY))
    await gateway.post("/v1/critiques", answered(CANARY, messages=messages, model=CANARY))
    await gateway.get(f"/{CANARY}")
    await gateway.get(f"/v1/principles/{CANARY}?q={CANARY}")
    metrics = (await gateway.get("/metrics")).body.decode()
    assert CANARY not in metrics
    assert "request method=POST route=/v1/chat/completions status=" in logs.text
    assert CANARY not in logs.text
    assert not any(CANARY in repr(record.__dict__) for record in logs.records)
    assert CANARY not in "".join(capfd.readouterr())


async def test_an_error_of_ours_is_500_without_its_words(
    open_gateway: Opener, caplog: pytest.LogCaptureFixture
):
    def explode() -> Retriever:
        raise KeyError(CANARY)

    gateway = await open_gateway(shelf=Shelf(explode))
    reply = await gateway.chat()
    assert (reply.status, reply.error["code"]) == (500, "internal_error")
    assert reply.headers["x-request-id"]
    assert CANARY.encode() not in reply.body
    assert "unhandled error=KeyError at=test_routes.py" in caplog.text
    assert CANARY not in caplog.text
