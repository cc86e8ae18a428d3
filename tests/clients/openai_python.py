"""OpenAI's client for Python: chat completions, with strict validation against its own types."""

import asyncio
import json

import openai
from checks import (
    ADVICE,
    ARGUMENTS,
    BASE_URL,
    DRAFT,
    REVISED,
    STATUSES,
    TOOL,
    arrived,
    asking,
    check,
    key,
    left,
    main,
    model,
    raises,
    seen,
)
from openai import AsyncOpenAI, OpenAI
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from pydantic import BaseModel

MODEL = model()
READINGS = (MODEL, f"{MODEL}-fast", f"{MODEL}-thorough", f"{MODEL}-draft")


class Advice(BaseModel):
    advice: str
    urgent: bool


def client(**options: object) -> OpenAI:
    return OpenAI(base_url=BASE_URL, api_key="any", _strict_response_validation=True, **options)


def asks(what: str = "plain", of: str | None = None, **fields: object) -> dict[str, object]:
    return {"model": MODEL, "messages": [{"role": "user", "content": asking(what, of)}], **fields}


def text_of(chunks: list[ChatCompletionChunk]) -> str:
    return "".join(one.choices[0].delta.content or "" for one in chunks if one.choices)


@check
def the_models_are_listed_and_found():
    with client() as openai_client:
        listed = [one.id for one in openai_client.models.list()]
        assert listed == list(READINGS), listed
        for name in listed:
            assert openai_client.models.retrieve(name).id == name


@check
def a_whole_answer_is_of_openais_type_and_carries_the_review():
    with client() as openai_client:
        for name in READINGS:
            got = openai_client.chat.completions.create(**asks() | {"model": name})
            ChatCompletion.model_validate(got.model_dump(), strict=True)
            assert (got.object, got.model.startswith(MODEL)) == ("chat.completion", True)
            assert got.choices[0].finish_reason == "stop"
            assert got.choices[0].message.role == "assistant"
            is_draft = name.endswith("-draft")
            assert got.choices[0].message.content.startswith(DRAFT if is_draft else REVISED)
            assert got.model_extra["revision"]["status"] == ("off" if is_draft else "revised")


@check
def a_stream_says_what_the_whole_answer_says_and_ends_once():
    with client() as openai_client:
        for name in READINGS:
            tag = key()
            asked = asks(of=tag) | {"model": name}
            whole = openai_client.chat.completions.create(**asked)
            chunks = list(
                openai_client.chat.completions.create(
                    **asked, stream=True, stream_options={"include_usage": True}
                )
            )
            for one in chunks:
                ChatCompletionChunk.model_validate(one.model_dump(), strict=True)
            assert text_of(chunks) == whole.choices[0].message.content
            finished = [one for one in chunks if one.choices and one.choices[0].finish_reason]
            assert [one.choices[0].finish_reason for one in finished] == ["stop"]
            review = whole.model_extra["revision"]
            assert finished[0].model_extra["revision"]["status"] == review["status"]
            assert len({(one.id, one.created, one.model) for one in chunks}) == 1
            assert chunks[0].choices[0].delta.role == "assistant"
            assert (chunks[-1].choices, chunks[-1].usage) == ([], whole.usage)
            assert all(one.usage is None for one in chunks[:-1])


@check
def usage_comes_in_a_stream_only_when_asked_for():
    with client() as openai_client:
        for name in READINGS:
            asked = asks() | {"model": name}
            chunks = list(openai_client.chat.completions.create(**asked, stream=True))
            assert all(one.usage is None and one.choices for one in chunks)


@check
def the_extension_is_heeded_and_answered():
    wished = {"revision": {"mode": "fast", "max_rounds": 0, "include": ["trace"], "top_k": 3}}
    with client() as openai_client:
        got = openai_client.chat.completions.create(**asks(), extra_body=wished)
    review = got.model_extra["revision"]
    assert (review["mode"], review["rounds"], review["status"]) == ("fast", 0, "kept_draft")
    assert review["trace"]["draft"] == DRAFT
    assert {one["draft"] for one in review["criteria"]} <= {"met", "unmet", "unclear"}


@check
def the_draft_is_exposed_as_reasoning_only_when_asked_for():
    wished = {"revision": {"expose": "reasoning"}}
    with client() as openai_client:
        chunks = list(
            openai_client.chat.completions.create(**asks(), stream=True, extra_body=wished)
        )
        plain = list(openai_client.chat.completions.create(**asks(), stream=True))
    thought = "".join(
        one.choices[0].delta.model_extra.get("reasoning_content") or "" for one in chunks
    )
    assert (thought, text_of(chunks)) == (DRAFT, REVISED)
    assert not any("reasoning_content" in one.choices[0].delta.model_extra for one in plain)


@check
def the_headers_are_there_in_the_raw_response():
    with client() as openai_client:
        raw = openai_client.chat.completions.with_raw_response.create(**asks())
        got = raw.parse()
        assert raw.headers["x-revision-id"] == got.model_extra["revision"]["id"]
        assert raw.headers["x-revision-status"] == got.model_extra["revision"]["status"]
        assert raw.headers["x-request-id"] == got._request_id
        assert raw.headers["x-revision-status"] in STATUSES
        sent = {"x-request-id": "mine-1"}
        raw = openai_client.chat.completions.with_raw_response.create(**asks(), extra_headers=sent)
        assert raw.headers["x-request-id"] == "mine-1"
        with openai_client.chat.completions.with_streaming_response.create(
            **asks(), stream=True
        ) as streamed:
            assert streamed.headers["x-revision-id"].startswith("rev_")
            assert streamed.headers["content-type"].startswith("text/event-stream")
            assert b"".join(streamed.iter_bytes()).endswith(b"data: [DONE]\n\n")


@check
def the_stream_helper_puts_the_answer_together():
    with client() as openai_client:
        for name in READINGS:
            asked = asks() | {"model": name}
            with openai_client.chat.completions.stream(**asked) as stream:
                kinds = [event.type for event in stream]
                final = stream.get_final_completion()
            assert kinds.count("content.done") == 1
            assert final.choices[0].finish_reason == "stop"
            assert final.choices[0].message.content.startswith(DRAFT)


@check
def the_parse_helper_gives_an_object_whole_and_streamed():
    with client() as openai_client:
        for name in READINGS:
            asked = asks(response_format=Advice) | {"model": name}
            got = openai_client.chat.completions.parse(**asked)
            assert got.choices[0].message.parsed.advice.startswith(DRAFT)
            with openai_client.chat.completions.stream(**asked) as stream:
                final = stream.get_final_completion()
            assert final.choices[0].message.parsed == got.choices[0].message.parsed


@check
def json_asked_for_is_json_given():
    schema = {"type": "json_schema", "json_schema": {"name": "a", "strict": True, "schema": ADVICE}}
    with client() as openai_client:
        for form in ({"type": "json_object"}, schema):
            got = openai_client.chat.completions.create(**asks(response_format=form))
            assert set(json.loads(got.choices[0].message.content)) == {"advice", "urgent"}
        got = openai_client.chat.completions.create(**asks(response_format={"type": "text"}))
        assert got.choices[0].message.content == REVISED


@check
def tool_calls_are_relayed_and_their_results_answered():
    with client() as openai_client:
        for name in READINGS:
            asked = asks(tools=[TOOL]) | {"model": name}
            got = openai_client.chat.completions.create(**asked)
            choice = got.choices[0]
            call = choice.message.tool_calls[0]
            assert (choice.finish_reason, choice.message.content) == ("tool_calls", None)
            assert (call.function.name, json.loads(call.function.arguments)) == ("dose", ARGUMENTS)
            assert got.model_extra["revision"]["status"] == "off"
            with openai_client.chat.completions.stream(**asked) as stream:
                streamed = stream.get_final_completion().choices[0]
            assert streamed.finish_reason == "tool_calls"
            assert streamed.message.tool_calls[0].id == call.id
            assert streamed.message.tool_calls[0].function.arguments == call.function.arguments
            result = {"role": "tool", "tool_call_id": call.id, "content": "none known"}
            asked["messages"] += [choice.message.model_dump(exclude_none=True), result]
            after = openai_client.chat.completions.create(**asked)
            assert after.choices[0].finish_reason == "stop"
            assert after.choices[0].message.content.startswith(DRAFT)


@check
def no_tool_is_called_when_none_may_be():
    with client() as openai_client:
        got = openai_client.chat.completions.create(**asks(tools=[TOOL], tool_choice="none"))
    assert got.choices[0].message.content == REVISED


@check
def the_other_roles_and_forms_of_content_are_taken():
    parts = [{"type": "text", "text": asking()}, {"type": "text", "text": "Thank you."}]
    turns = [
        {"role": "developer", "content": "Answer kindly."},
        {"role": "user", "content": "Hello", "name": "someone"},
        {"role": "assistant", "content": "Hello."},
        {"role": "user", "content": parts},
    ]
    with client() as openai_client:
        got = openai_client.chat.completions.create(model=MODEL, messages=turns)
    assert got.choices[0].message.content == REVISED


@check
def sampling_fields_reach_the_model_server_and_the_extension_does_not():
    tag = key()
    wished = {"temperature": 0.3, "top_p": 0.9, "seed": 7, "stop": ["zz"], "max_tokens": 99}
    with client() as openai_client:
        openai_client.chat.completions.create(
            **asks(of=tag, **wished), extra_body={"revision": {"mode": "fast"}, "top_k": 5}
        )
    body = seen(tag)["body"]
    assert {name: body[name] for name in ("temperature", "top_p", "seed", "stop")} == {
        name: wished[name] for name in ("temperature", "top_p", "seed", "stop")
    }
    assert body["top_k"] == 5
    assert 99 in {body.get("max_tokens"), body.get("max_completion_tokens")}
    assert "revision" not in body


@check
def an_answer_that_reached_its_length_says_so():
    with client() as openai_client:
        asked = asks("length") | {"model": f"{MODEL}-draft"}
        got = openai_client.chat.completions.create(**asked)
        assert got.choices[0].finish_reason == "length"
        chunks = list(openai_client.chat.completions.create(**asked, stream=True))
    assert [one.choices[0].finish_reason for one in chunks if one.choices][-1] == "length"


@check
def a_request_that_is_wrong_is_a_bad_request_and_not_repeated():
    wrong = (
        (asks(temperature=9), "temperature"),
        (asks(n=2), "n"),
        (asks(extra_body={"revision": {"top_k": 99}}), "revision.top_k"),
        (asks(extra_body={"chat_template": "x"}), "chat_template"),
        (asks() | {"messages": []}, "messages"),
    )
    with client() as openai_client:
        for asked, param in wrong:
            error = raises(
                openai.BadRequestError,
                lambda asked=asked: openai_client.chat.completions.create(**asked),
            )
            assert (error.status_code, error.param) == (400, param), error
            assert error.type == "invalid_request_error"
            assert error.request_id
        tag = key()
        error = raises(
            openai.BadRequestError,
            lambda: openai_client.chat.completions.create(**asks("refused", tag)),
        )
    assert (error.code, seen(tag)["calls"]) == ("upstream_rejected", 1)


@check
def an_unknown_model_is_not_found():
    with client() as openai_client:
        calls = (
            lambda: openai_client.chat.completions.create(**asks() | {"model": "other"}),
            lambda: openai_client.chat.completions.create(**asks(stream=True) | {"model": "other"}),
            lambda: openai_client.models.retrieve("other"),
        )
        for call in calls:
            error = raises(openai.NotFoundError, call)
            assert (error.code, error.param) == ("model_not_found", "model")


@check
def an_overloaded_model_server_is_asked_again_after_the_pause_it_is_given():
    tag = key()
    with client(max_retries=2) as openai_client:
        # The gateway tries twice itself, so the client meets one refusal.
        raw = openai_client.chat.completions.with_raw_response.create(**asks("overloaded 2", tag))
    assert (raw.retries_taken, seen(tag)["calls"]) == (1, 3)
    assert raw.parse().choices[0].message.content == REVISED


@check
def without_retries_an_overloaded_model_server_is_an_internal_server_error():
    with client(max_retries=0) as openai_client:
        for stream in (False, True):
            error = raises(
                openai.InternalServerError,
                lambda stream=stream: openai_client.chat.completions.create(
                    **asks("overloaded 9", stream=stream)
                ),
            )
            assert (error.status_code, error.code) == (503, "upstream_unavailable"), error.code
            assert 0 < int(error.response.headers["retry-after"]) <= 120


@check
def the_clients_timeout_ends_the_call_all_the_way_down():
    for stream in (False, True):
        tag = key()
        with client(timeout=0.4, max_retries=0) as openai_client:
            raises(
                openai.APITimeoutError,
                lambda stream=stream, tag=tag, openai_client=openai_client: list(
                    openai_client.chat.completions.create(**asks("slow 5", tag, stream=stream))
                ),
            )
        left(tag)


@check
def a_deadline_of_the_request_is_answered_as_such():
    wished = {"revision": {"deadline_ms": 300}}
    with client(max_retries=2) as openai_client:
        tag = key()
        error = raises(
            openai.InternalServerError,
            lambda: openai_client.chat.completions.create(**asks("slow 5", tag, extra_body=wished)),
        )
    assert (error.status_code, error.code) == (504, "deadline_exceeded"), (error.code, error)
    assert seen(tag)["calls"] == 1


@check
def a_stream_that_is_closed_early_ends_the_call_all_the_way_down():
    for name, what in ((f"{MODEL}-draft", "paced 0.3"), (MODEL, "slow 9")):
        tag = key()
        with client() as openai_client:
            asked = asks(what, tag, stream=True) | {"model": name}
            stream = openai_client.chat.completions.create(**asked)
            assert next(iter(stream)).choices[0].delta.role == "assistant"
            stream.close()
            left(tag)


@check
def an_error_inside_a_stream_is_raised():
    with client(max_retries=0) as openai_client:
        for asked in (asks("late-refused"), asks("cut") | {"model": f"{MODEL}-draft"}):
            stream = openai_client.chat.completions.create(**asked, stream=True)
            error = raises(openai.APIError, lambda stream=stream: list(stream))
            assert error.code in {"upstream_rejected", "upstream_malformed"}, error.code


@check
async def the_async_client_answers_whole_and_streamed_side_by_side():
    async with AsyncOpenAI(base_url=BASE_URL, api_key="any") as async_client:

        async def streamed() -> str:
            stream = await async_client.chat.completions.create(**asks(stream=True))
            return text_of([one async for one in stream])

        async def whole() -> str:
            got = await async_client.chat.completions.create(**asks())
            return got.choices[0].message.content

        got = await asyncio.gather(*(streamed() for _ in range(6)), *(whole() for _ in range(6)))
    assert set(got) == {REVISED}


@check
async def a_cancelled_task_ends_the_call_all_the_way_down():
    for stream in (False, True):
        tag = key()
        async with AsyncOpenAI(base_url=BASE_URL, api_key="any") as async_client:

            async def ask(tag: str = tag, stream: bool = stream, it: AsyncOpenAI = async_client):  # noqa: FBT001
                got = await it.chat.completions.create(**asks("slow 9", tag, stream=stream))
                return [one async for one in got] if stream else got

            task = asyncio.create_task(ask())
            await asyncio.to_thread(arrived, tag)
            task.cancel()
            (ended,) = await asyncio.gather(task, return_exceptions=True)
            assert isinstance(ended, asyncio.CancelledError)
            await asyncio.to_thread(left, tag)


@check
def any_key_does_on_loopback_and_the_environment_names_the_gateway():
    import os

    os.environ |= {"OPENAI_BASE_URL": BASE_URL, "OPENAI_API_KEY": "whatever"}
    with OpenAI() as from_environment:
        assert from_environment.models.list().data[0].id == MODEL


if __name__ == "__main__":
    main("openai")
