"""LiteLLM's client: the provider `openai`, and `hosted_vllm` where users are told to use that."""

import asyncio
import json
import os

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # else it fetches a price list when imported

import litellm
from checks import (
    ADVICE,
    ARGUMENTS,
    BASE_URL,
    DRAFT,
    REVISED,
    TOOL,
    asking,
    check,
    key,
    left,
    main,
    model,
    raises,
    seen,
)

litellm.suppress_debug_info = True
MODEL = model()
PROVIDERS = ("openai", "hosted_vllm")
READINGS = (MODEL, f"{MODEL}-fast", f"{MODEL}-thorough", f"{MODEL}-draft")


def asks(
    what: str = "plain",
    of: str | None = None,
    *,
    provider: str = "openai",
    name: str = MODEL,
    **fields: object,
) -> dict[str, object]:
    return {
        "model": f"{provider}/{name}",
        "api_base": BASE_URL,
        "api_key": "any",
        "messages": [{"role": "user", "content": asking(what, of)}],
        **fields,
    }


def text_of(chunks: list) -> str:
    return "".join(one.choices[0].delta.content or "" for one in chunks if one.choices)


@check
def a_whole_answer_carries_the_review():
    for provider in PROVIDERS:
        for name in READINGS:
            got = litellm.completion(**asks(provider=provider, name=name))
            is_draft = name.endswith("-draft")
            assert got.choices[0].message.content.startswith(DRAFT if is_draft else REVISED)
            assert got.choices[0].finish_reason == "stop"
            assert got.revision["status"] == ("off" if is_draft else "revised")


@check
def a_stream_says_what_the_whole_answer_says_and_ends_once():
    for provider in PROVIDERS:
        for name in READINGS:
            asked = asks(of=key(), provider=provider, name=name)
            whole = litellm.completion(**asked)
            options = {"stream": True, "stream_options": {"include_usage": True}}
            chunks = list(litellm.completion(**asked, **options))
            assert text_of(chunks) == whole.choices[0].message.content
            finished = [one for one in chunks if one.choices and one.choices[0].finish_reason]
            assert [one.choices[0].finish_reason for one in finished] == ["stop"]
            assert chunks[-1].usage.total_tokens == whole.usage.total_tokens
            together = litellm.stream_chunk_builder(chunks)
            assert together.choices[0].message.content == whole.choices[0].message.content


@check
def the_closing_chunk_of_the_provider_openai_carries_the_review():
    chunks = list(litellm.completion(**asks(stream=True)))
    (finished,) = [one for one in chunks if one.choices and one.choices[0].finish_reason]
    assert finished.revision["status"] == "revised"


@check
def the_extension_is_heeded_and_answered():
    wished = {"revision": {"mode": "fast", "max_rounds": 0, "include": ["trace"]}}
    for provider in PROVIDERS:
        got = litellm.completion(**asks(provider=provider, extra_body=wished))
        assert (got.revision["mode"], got.revision["rounds"]) == ("fast", 0)
        assert got.revision["trace"]["draft"] == DRAFT


@check
def the_headers_are_there():
    got = litellm.completion(**asks())
    headers = got._hidden_params["additional_headers"]
    assert headers["llm_provider-x-revision-id"] == got.revision["id"]
    assert headers["llm_provider-x-revision-status"] == got.revision["status"]
    assert headers["llm_provider-x-request-id"]


@check
def tool_calls_are_relayed_whole_and_streamed():
    for provider in PROVIDERS:
        for name in (MODEL, f"{MODEL}-draft"):
            asked = asks(provider=provider, name=name, tools=[TOOL])
            got = litellm.completion(**asked)
            call = got.choices[0].message.tool_calls[0]
            assert got.choices[0].finish_reason == "tool_calls"
            assert (call.function.name, json.loads(call.function.arguments)) == ("dose", ARGUMENTS)
            streamed = litellm.stream_chunk_builder(list(litellm.completion(**asked, stream=True)))
            again = streamed.choices[0].message.tool_calls[0]
            assert (again.id, again.function.arguments) == (call.id, call.function.arguments)
            result = {"role": "tool", "tool_call_id": call.id, "content": "none known"}
            asked["messages"] += [got.choices[0].message, result]
            after = litellm.completion(**asked)
            assert after.choices[0].message.content.startswith(DRAFT)


@check
def json_asked_for_is_json_given():
    schema = {"type": "json_schema", "json_schema": {"name": "a", "strict": True, "schema": ADVICE}}
    for form in ({"type": "json_object"}, schema):
        got = litellm.completion(**asks(response_format=form))
        assert set(json.loads(got.choices[0].message.content)) == {"advice", "urgent"}


@check
def sampling_fields_reach_the_model_server():
    tag = key()
    litellm.completion(**asks(of=tag, temperature=0.3, seed=7, stop=["zz"], max_tokens=99))
    body = seen(tag)["body"]
    assert (body["temperature"], body["seed"], body["stop"]) == (0.3, 7, ["zz"])


@check
def errors_are_of_litellms_classes():
    wrong = (
        (asks(name="other"), litellm.NotFoundError, 404),
        (asks(temperature=9), litellm.BadRequestError, 400),
        (asks(extra_body={"revision": {"top_k": 99}}), litellm.BadRequestError, 400),
        (asks("refused"), litellm.BadRequestError, 400),
        (asks("overloaded 9", max_retries=0), litellm.ServiceUnavailableError, 503),
    )
    for asked, kind, status in wrong:
        error = raises(kind, lambda asked=asked: litellm.completion(**asked))
        assert error.status_code == status
        assert "prompt" not in str(error)


@check
def an_overloaded_model_server_is_asked_again():
    tag = key()
    got = litellm.completion(**asks("overloaded 2", tag, max_retries=2))
    assert (got.choices[0].message.content, seen(tag)["calls"]) == (REVISED, 3)
    tag = key()
    got = litellm.completion(**asks("overloaded 2", tag, max_retries=0, num_retries=2))
    assert (got.choices[0].message.content, seen(tag)["calls"]) == (REVISED, 3)


@check
def the_clients_timeout_ends_the_call_all_the_way_down():
    for stream in (False, True):
        tag = key()
        asked = asks("slow 5", tag, timeout=0.4, max_retries=0, stream=stream)
        raises(litellm.Timeout, lambda asked=asked: list(litellm.completion(**asked)))
        left(tag)


@check
def an_error_inside_a_stream_is_raised():
    for asked in (asks("late-refused"), asks("cut", name=f"{MODEL}-draft")):
        stream = litellm.completion(**asked, stream=True, max_retries=0)
        raises(litellm.ServiceUnavailableError, lambda stream=stream: list(stream))


@check
async def the_async_client_answers_whole_and_streamed_side_by_side():
    async def streamed() -> str:
        return text_of([one async for one in await litellm.acompletion(**asks(), stream=True)])

    async def whole() -> str:
        return (await litellm.acompletion(**asks())).choices[0].message.content

    got = await asyncio.gather(*(streamed() for _ in range(4)), *(whole() for _ in range(4)))
    assert set(got) == {REVISED}


if __name__ == "__main__":
    main("litellm")
