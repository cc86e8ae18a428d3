"""Principles as `url_citation` annotations: on request, and only where the answer rests on them."""

from collections.abc import Mapping
from typing import Any

import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.chat.chat_completion_message import Annotation
from pydantic import ValidationError

from server.settings import Settings
from tests.fakes.library import DOSE, HARM, SIGNS
from tests.fakes.vllm import (
    DRAFT,
    MODEL,
    REVISED,
    Answer,
    FakeVLLM,
    Hang,
    Rule,
    Status,
    lacks,
    yes_no,
)
from tests.server import responses_wire
from tests.server.conftest import Opener
from tests.server.gateway import Gateway, Stream, asking

ASKED = {"include": ["citations"]}
HERE = "https://clinic.example/assistant"
TITLES = {
    "safe-and-direct": "Safe and direct",
    "headache-warning-signs": "Headache warning signs",
    "medicine-doses": "Medicine doses",
}
TOOL = {"id": "call_1", "type": "function", "function": {"name": "dose", "arguments": "{}"}}
TOOLS = [{"type": "function", "function": {"name": "dose", "parameters": {"type": "object"}}}]


@pytest.fixture
async def linking(open_gateway: Opener) -> Gateway:
    return await open_gateway(public_url=HERE)


def told(stream: Stream) -> list[dict[str, Any]]:
    """Return the annotations, which are in one chunk, the one before that which ends the answer."""
    at = [number for number, delta in enumerate(stream.deltas) if "annotations" in delta]
    if not at:
        return []
    assert at == [len(stream.deltas) - 2]
    assert set(stream.deltas[at[0]]) == {"annotations"}
    assert stream.chunks.index(stream.finishing[0]) == at[0] + 1
    return stream.deltas[at[0]]["annotations"]


async def both(gateway: Gateway, mode: str = "standard", **fields: Any) -> list[dict[str, Any]]:
    """Return what a whole answer cites, which is what the same answer as a stream cites."""
    wishes = {**ASKED, **fields.pop("revision", {})}
    whole = await gateway.chat(mode, revision=wishes, **fields)
    stream = await gateway.stream(mode, revision=wishes, **fields)
    cited = whole.json["choices"][0]["message"].get("annotations", [])
    assert cited == told(stream)
    for one in cited:
        Annotation.model_validate(one, strict=True)
        assert set(one["url_citation"]) == {"url", "title", "start_index", "end_index"}
    return cited


def pages(cited: list[dict[str, Any]]) -> Mapping[str, str]:
    return {one["url_citation"]["url"]: one["url_citation"]["title"] for one in cited}


def links(*ids: str) -> Mapping[str, str]:
    return {f"{HERE}/v1/principles/{one}": TITLES[one] for one in ids}


@pytest.mark.parametrize("mode", ["standard", "fast", "thorough"])
async def test_a_reviewed_answer_cites_the_principles_it_was_judged_by(
    linking: Gateway, vllm: FakeVLLM, mode: str
):
    vllm.script["judge"] = lacks(SIGNS, unless="stiff neck")
    cited = pages(await both(linking, mode))
    assert cited.items() <= links(*TITLES).items()
    assert links("safe-and-direct", "headache-warning-signs").items() <= cited.items()


async def test_a_link_leads_to_the_principle(linking: Gateway):
    (first, *_) = await both(linking)
    path = first["url_citation"]["url"].removeprefix(HERE)
    assert (await linking.get(path)).json["title"] == first["url_citation"]["title"]


async def test_the_links_do_not_come_from_the_request(open_gateway: Opener):
    known = {"allowed_hosts": ("evil.example",)}
    headers = {"Host": "evil.example", "X-Forwarded-Host": "evil.example"}
    for wishes in ({}, {"public_url": HERE}):
        served = await open_gateway(**known, **wishes)
        reply = await served.post("/v1/chat/completions", asking(revision=ASKED), **headers)
        assert reply.status == 200
        assert reply.json["choices"][0]["message"]["annotations"]
        assert b"evil.example" not in reply.body


async def test_without_a_public_url_only_sources_with_a_url_are_cited(gateway: Gateway):
    assert pages(await both(gateway)) == {
        "https://example.org/headache": "Headache warning signs (A guideline)"
    }


async def test_a_principle_that_the_answer_falls_short_of_is_not_cited(
    linking: Gateway, vllm: FakeVLLM
):
    vllm.script = {"judge": lacks(SIGNS, DOSE), "revise": f"{DRAFT} Sleep."}
    cited = pages(await both(linking))
    assert cited.keys() == links("safe-and-direct").keys()


@pytest.mark.parametrize("setting", ["mark", "notice"])
async def test_an_answer_that_does_harm_cites_no_principle_against_it(
    open_gateway: Opener, vllm: FakeVLLM, setting: str
):
    vllm.script = {"judge": lacks(HARM), "revise": f"{DRAFT} Sleep."}
    gateway = await open_gateway(public_url=HERE, on_degraded=setting)
    cited = pages(await both(gateway)).keys()
    assert links("headache-warning-signs").keys() <= cited
    assert links("safe-and-direct").keys().isdisjoint(cited)


def all_but_one(body: Mapping[str, Any]) -> Answer | Status:
    """Judge every criterion but one."""
    return Status(status=400) if SIGNS in body["messages"][-1]["content"] else yes_no(0.98)


UNREVIEWED = {
    "one verdict missing": ({"judge": all_but_one, "judge-retry": Status(status=400)}, {}),
    "no verdict": ({"judge": Status(status=400), "judge-retry": Status(status=400)}, {}),
    "no time": ({"judge": Hang()}, {"revision": {"deadline_ms": 1200}}),
    "tool": ({"draft": Answer(tool_calls=(TOOL,), finish_reason="tool_calls")}, {"tools": TOOLS}),
    "refusal": ({"draft": Answer(refusal="I cannot help with that.")}, {}),
    "draft": ({}, {"mode": "draft"}),
}


@pytest.mark.parametrize(("script", "fields"), UNREVIEWED.values(), ids=UNREVIEWED)
async def test_what_was_not_reviewed_cites_nothing(
    linking: Gateway, vllm: FakeVLLM, script: dict[str, Rule], fields: dict[str, Any]
):
    vllm.script = dict(script)
    assert await both(linking, **fields) == []


async def test_nobody_gets_citations_unasked(linking: Gateway):
    for wishes in ({}, {"include": ["trace", "status"]}):
        body = asking(revision=wishes)
        for reply in (await linking.chat(**body), await linking.chat(**body, stream=True)):
            assert reply.status == 200
            assert b"annotations" not in reply.body


async def test_a_citation_marks_no_words_of_the_answer(linking: Gateway, vllm: FakeVLLM):
    vllm.script["judge"] = lacks(SIGNS, unless="stiff neck")
    for one in await both(linking):
        place = one["url_citation"]
        assert place["start_index"] == place["end_index"] == len(REVISED)


async def test_a_notice_is_part_of_the_answer_that_is_counted(open_gateway: Opener, vllm: FakeVLLM):
    vllm.script = {"judge": lacks(HARM), "revise": f"{DRAFT} Sleep."}
    gateway = await open_gateway(public_url=HERE, on_degraded="notice")
    reply = await gateway.chat(revision=ASKED)
    (first, *_) = reply.json["choices"][0]["message"]["annotations"]
    assert first["url_citation"]["end_index"] == len(reply.text) > len(DRAFT)


async def test_openais_client_finds_the_citations(linking: Gateway):
    messages: Any = asking()["messages"]
    async with linking.openai() as client:
        whole = await client.chat.completions.create(
            model=MODEL, messages=messages, extra_body={"revision": ASKED}
        )
        ChatCompletion.model_validate(whole.model_dump(), strict=True)
        cited = whole.choices[0].message.annotations
        assert {one.url_citation.title for one in cited} <= set(TITLES.values())
        stream = await client.chat.completions.create(
            model=MODEL, messages=messages, stream=True, extra_body={"revision": ASKED}
        )
        async for chunk in stream:
            ChatCompletionChunk.model_validate(chunk.model_dump(), strict=True)
        async with client.chat.completions.stream(
            model=MODEL, messages=messages, extra_body={"revision": ASKED}
        ) as helped:
            final = await helped.get_final_completion()
        assert final.choices[0].message.annotations == cited


async def test_a_response_has_them_on_its_text(linking: Gateway):
    """Whole, streamed, and told event by event: strictly of OpenAI's types."""
    expected = [{"type": "url_citation", **one["url_citation"]} for one in await both(linking)]
    whole = await responses_wire.ask(linking, revision=ASKED)
    streamed = await responses_wire.stream(linking, revision=ASKED)
    for response in (whole, streamed.last):
        ((part,),) = [item["content"] for item in response["output"]]
        assert (part["text"], part["annotations"]) == (DRAFT, expected)
    events = streamed.of("output_text.annotation.added")
    assert [one["annotation"] for one in events] == expected
    assert [one["annotation_index"] for one in events] == list(range(len(expected)))
    assert streamed.kinds.index("output_text.annotation.added") < streamed.kinds.index(
        "output_text.done"
    )


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("https://clinic.example", "https://clinic.example"),
        ("https://clinic.example/", "https://clinic.example"),
        ("http://127.0.0.1:8000/v1", "http://127.0.0.1:8000"),
        ("https://clinic.example/a/v1/", "https://clinic.example/a"),
    ],
)
def test_a_public_url_may_have_a_path_and_the_version(given: str, kept: str):
    assert Settings(public_url=given).public_url == kept


@pytest.mark.parametrize(
    "url",
    [
        "clinic.example",
        "ftp://clinic.example",
        "https://",
        "https://clinic.example/?a=b",
        "https://clinic.example/#a",
        "https://user:secret@clinic.example",
        "https://clinic.example/a b",
        'https://clinic.example/"',
        "javascript:alert(1)",
        "https://[clinic",
    ],
)
def test_a_public_url_that_makes_no_link_is_refused(url: str):
    with pytest.raises(ValidationError, match="public_url"):
        Settings(public_url=url)
