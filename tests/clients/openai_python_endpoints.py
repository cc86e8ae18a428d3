"""OpenAI's client for Python: the endpoints beside chat completions."""

import json

import openai
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
from openai import AsyncOpenAI, OpenAI
from openai.types.responses import Response
from pydantic import BaseModel

MODEL = model()
FUNCTION = {"type": "function", "strict": False, **TOOL["function"]}


class Advice(BaseModel):
    advice: str
    urgent: bool


def client(**options: object) -> OpenAI:
    return OpenAI(base_url=BASE_URL, api_key="any", _strict_response_validation=True, **options)


def plain_client() -> OpenAI:
    """Return a client that validates less.

    OpenAI's types have no null finish reason in a completion's stream and no embedding in base64,
    both of which its API sends.
    """
    return OpenAI(base_url=BASE_URL, api_key="any")


@check
def a_response_is_of_openais_type_and_carries_the_review():
    with client() as openai_client:
        for name in (MODEL, f"{MODEL}-fast", f"{MODEL}-draft"):
            got = openai_client.responses.create(model=name, input=asking())
            Response.model_validate(got.model_dump(), strict=True)
            assert (got.object, got.status, got.error) == ("response", "completed", None)
            assert got.output_text.startswith(DRAFT if name.endswith("-draft") else REVISED)
            assert got.usage.total_tokens == got.usage.input_tokens + got.usage.output_tokens
            assert got.model_extra["revision"]["status"] in {"revised", "off"}


@check
def a_response_stream_says_what_the_whole_response_says():
    with client() as openai_client:
        for name in (MODEL, f"{MODEL}-draft"):
            asked = {"model": name, "input": asking()}
            whole = openai_client.responses.create(**asked)
            events = list(openai_client.responses.create(**asked, stream=True))
            kinds = [one.type for one in events]
            assert (kinds[0], kinds[-1]) == ("response.created", "response.completed")
            assert [one.sequence_number for one in events] == sorted(
                {one.sequence_number for one in events}
            )
            said = "".join(one.delta for one in events if one.type == "response.output_text.delta")
            assert said == whole.output_text == events[-1].response.output_text
            assert events[-1].response.usage == whole.usage


@check
def the_response_stream_helper_puts_the_answer_together():
    with (
        client() as openai_client,
        openai_client.responses.stream(model=MODEL, input=asking()) as stream,
    ):
        assert stream.get_final_response().output_text == REVISED


@check
def instructions_and_turns_are_taken():
    tag = key()
    turns = [
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Hello."},
        {"role": "user", "content": [{"type": "input_text", "text": asking(of=tag)}]},
    ]
    with client() as openai_client:
        got = openai_client.responses.create(
            model=MODEL, instructions="Answer kindly.", input=turns, max_output_tokens=99
        )
    assert got.output_text == REVISED
    sent = seen(tag)["body"]["messages"]
    assert [turn["role"] for turn in sent] == ["system", "user", "assistant", "user"]
    assert "Answer kindly." in sent[0]["content"]


@check
def the_extension_is_heeded_in_a_response():
    wished = {"revision": {"mode": "fast", "max_rounds": 0, "include": ["trace"]}}
    with client() as openai_client:
        raw = openai_client.responses.with_raw_response.create(
            model=MODEL, input=asking(), extra_body=wished
        )
    review = raw.parse().model_extra["revision"]
    assert (review["mode"], review["trace"]["draft"]) == ("fast", DRAFT)
    assert raw.headers["x-revision-id"] == review["id"]
    assert raw.headers["x-revision-status"] == review["status"]


@check
def a_response_is_parsed_into_an_object():
    with client() as openai_client:
        got = openai_client.responses.parse(model=MODEL, input=asking(), text_format=Advice)
        form = {"type": "json_schema", "name": "advice", "strict": True, "schema": ADVICE}
        plain = openai_client.responses.create(model=MODEL, input=asking(), text={"format": form})
    assert got.output_parsed.advice == REVISED
    assert set(json.loads(plain.output_text)) == {"advice", "urgent"}


@check
def a_response_calls_a_function_and_takes_its_result():
    with client() as openai_client:
        asked = {"model": MODEL, "tools": [FUNCTION]}
        turns = [{"role": "user", "content": asking()}]
        got = openai_client.responses.create(**asked, input=turns)
        (call,) = [one for one in got.output if one.type == "function_call"]
        assert (call.name, json.loads(call.arguments)) == ("dose", ARGUMENTS)
        with openai_client.responses.stream(**asked, input=turns) as stream:
            streamed = stream.get_final_response()
        assert [one.type for one in streamed.output] == [one.type for one in got.output]
        result = {"type": "function_call_output", "call_id": call.call_id, "output": "none known"}
        after = openai_client.responses.create(
            **asked, input=[*turns, call.model_dump(exclude_none=True), result]
        )
    assert after.output_text.startswith(DRAFT)


@check
def errors_of_responses_are_openais():
    with client(max_retries=0) as openai_client:
        create = openai_client.responses.create
        error = raises(openai.NotFoundError, lambda: create(model="other", input=asking()))
        assert error.code == "model_not_found"
        raises(openai.BadRequestError, lambda: create(model=MODEL, input=asking(), temperature=9))
        error = raises(openai.BadRequestError, lambda: create(model=MODEL, input=asking("refused")))
        assert error.code == "upstream_rejected"
        raises(
            openai.InternalServerError, lambda: create(model=MODEL, input=asking("overloaded 9"))
        )


@check
def a_response_stream_that_is_closed_early_ends_the_call_all_the_way_down():
    tag = key()
    with client() as openai_client:
        stream = openai_client.responses.create(
            model=MODEL, input=asking("slow 9", tag), stream=True
        )
        assert next(iter(stream)).type == "response.created"
        stream.close()
        left(tag)


@check
def legacy_completions_are_passed_through_whole_and_streamed():
    with plain_client() as openai_client:
        asked = {"model": MODEL, "prompt": "Rest", "max_tokens": 5}
        whole = openai_client.completions.create(**asked)
        assert (whole.object, whole.choices[0].text) == ("text_completion", " and rest")
        chunks = list(
            openai_client.completions.create(
                **asked, stream=True, stream_options={"include_usage": True}
            )
        )
    assert "".join(one.choices[0].text for one in chunks if one.choices) == " and rest"
    assert chunks[-1].usage == whole.usage


@check
def embeddings_are_passed_through_in_both_encodings():
    with plain_client() as openai_client:
        got = openai_client.embeddings.create(model=MODEL, input=["rest", "water"])
        plain = openai_client.embeddings.create(
            model=MODEL, input=["rest", "water"], encoding_format="float"
        )
    assert [one.index for one in got.data] == [0, 1]
    assert [one.embedding for one in got.data] == [one.embedding for one in plain.data]
    assert got.usage.total_tokens == 2


@check
def an_unknown_model_is_not_found_here_either():
    with plain_client() as openai_client:
        for call in (
            lambda: openai_client.completions.create(model="other", prompt="Rest"),
            lambda: openai_client.embeddings.create(model="other", input="rest"),
        ):
            assert raises(openai.NotFoundError, call).code == "model_not_found"


@check
async def the_async_client_reaches_them_too():
    async with AsyncOpenAI(base_url=BASE_URL, api_key="any") as async_client:
        got = await async_client.responses.create(model=MODEL, input=asking())
        assert got.output_text == REVISED
        stream = await async_client.responses.create(model=MODEL, input=asking(), stream=True)
        assert [one.type async for one in stream][-1] == "response.completed"
        embedded = await async_client.embeddings.create(model=MODEL, input="rest")
        assert len(embedded.data[0].embedding) == 8


if __name__ == "__main__":
    main("openai")
