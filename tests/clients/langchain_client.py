"""LangChain's ChatOpenAI.

It drops what it does not know from a response, the extension too; `Reviewed` is the recipe that
docs/clients.md gives for keeping it.
"""

import asyncio
from typing import Any

import openai
from checks import (
    ADVICE,
    ARGUMENTS,
    BASE_URL,
    DRAFT,
    REVISED,
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
from langchain_core.messages import AIMessageChunk, HumanMessage, SystemMessage, ToolMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import BaseModel

MODEL = model()
READINGS = (MODEL, f"{MODEL}-fast", f"{MODEL}-thorough", f"{MODEL}-draft")


class Advice(BaseModel):
    """What to do."""

    advice: str
    urgent: bool


class Dose(BaseModel):
    """A dose to look up."""

    substance: str


@tool
def dose(substance: str) -> str:
    """Look up a dose."""
    return f"none known of {substance}"


class Reviewed(ChatOpenAI):
    """ChatOpenAI that keeps the extension, as `response_metadata["revision"]`."""

    def _create_chat_result(self, response: Any, generation_info: Any = None) -> Any:
        result = super()._create_chat_result(response, generation_info)
        review = (response.model_extra or {}).get("revision")
        result.generations[0].message.response_metadata["revision"] = review
        return result

    def _convert_chunk_to_generation_chunk(self, chunk: dict, *rest: Any) -> Any:
        generation = super()._convert_chunk_to_generation_chunk(chunk, *rest)
        if generation and chunk.get("revision"):
            generation.message.response_metadata["revision"] = chunk["revision"]
        return generation


def chat(kind: type[ChatOpenAI] = ChatOpenAI, **options: Any) -> ChatOpenAI:
    return kind(**{"base_url": BASE_URL, "api_key": "any", "model": MODEL, **options})


def together(chunks: list[AIMessageChunk]) -> AIMessageChunk:
    whole = chunks[0]
    for one in chunks[1:]:
        whole += one
    return whole


@check
def a_stream_says_what_the_whole_answer_says_and_ends_once():
    for name in READINGS:
        question = asking()
        whole = chat(model=name).invoke(question)
        assert whole.content.startswith(DRAFT if name.endswith("-draft") else REVISED)
        assert whole.response_metadata["finish_reason"] == "stop"
        chunks = list(chat(model=name, stream_usage=True).stream(question))
        streamed = together(chunks)
        assert streamed.content == whole.content
        assert streamed.usage_metadata["total_tokens"] == whole.usage_metadata["total_tokens"]
        reasons = [one.response_metadata.get("finish_reason") for one in chunks]
        assert [one for one in reasons if one] == ["stop"]


@check
def usage_comes_in_a_stream_only_when_asked_for():
    chunks = list(chat(stream_usage=False).stream(asking()))
    assert all(one.usage_metadata is None for one in chunks)


@check
def the_extension_is_heeded():
    tag = key()
    wished = {"revision": {"mode": "draft"}}
    assert chat(extra_body=wished).invoke(asking(of=tag)).content == DRAFT
    assert chat().invoke(asking(of=tag)).content == REVISED
    body = seen(tag)["body"]
    assert "revision" not in body


@check
def the_headers_are_there_when_asked_for():
    whole = chat(include_response_headers=True).invoke(asking())
    headers = whole.response_metadata["headers"]
    assert headers["x-revision-id"].startswith("rev_")
    assert headers["x-revision-status"] == "revised"
    streamed = together(list(chat(include_response_headers=True).stream(asking())))
    assert streamed.response_metadata["headers"]["x-revision-id"].startswith("rev_")


@check
def a_small_subclass_keeps_the_extension():
    whole = chat(Reviewed).invoke(asking())
    assert whole.response_metadata["revision"]["status"] == "revised"
    streamed = together(list(chat(Reviewed).stream(asking())))
    assert streamed.response_metadata["revision"]["status"] == "revised"


@check
def tools_are_called_and_their_results_answered():
    for name in (MODEL, f"{MODEL}-draft"):
        bound = chat(model=name).bind_tools([dose])
        turns = [SystemMessage("Answer kindly."), HumanMessage(asking())]
        got = bound.invoke(turns)
        (call,) = got.tool_calls
        assert (call["name"], call["args"]) == ("dose", ARGUMENTS)
        streamed = together(list(bound.stream(turns)))
        assert [(one["name"], one["args"]) for one in streamed.tool_calls] == [("dose", ARGUMENTS)]
        result = ToolMessage(dose.invoke(call["args"]), tool_call_id=call["id"])
        assert bound.invoke([*turns, got, result]).content.startswith(DRAFT)


@check
def structured_output_is_an_object_by_every_method():
    for name in (MODEL, f"{MODEL}-draft"):
        by_schema = chat(model=name).with_structured_output(Advice)
        assert by_schema.invoke(asking()).advice.startswith(DRAFT)
        by_mode = chat(model=name).with_structured_output(Advice, method="json_mode")
        assert by_mode.invoke(asking()).advice.startswith(DRAFT)
        by_tool = chat(model=name).with_structured_output(Dose, method="function_calling")
        assert by_tool.invoke(asking()) == Dose(**ARGUMENTS)
        plain = chat(model=name).with_structured_output({"title": "a", **ADVICE})
        assert set(plain.invoke(asking())) == {"advice", "urgent"}
        assert list(by_schema.stream(asking()))[-1].advice.startswith(DRAFT)


@check
def it_stands_in_a_chain_and_answers_a_batch():
    prompt = ChatPromptTemplate.from_messages([("system", "Be kind."), ("human", "{question}")])
    chain = prompt | chat() | StrOutputParser()
    assert chain.batch([{"question": asking()} for _ in range(4)]) == [REVISED] * 4
    assert "".join(chain.stream({"question": asking()})) == REVISED


@check
async def async_calls_answer_side_by_side_and_a_cancelled_one_ends_all_the_way_down():
    # In one event loop: LangChain shares its connections among all clients of a process.
    async def streamed() -> str:
        return "".join([one.content async for one in chat().astream(asking())])

    async def whole() -> str:
        return (await chat().ainvoke(asking())).content

    got = await asyncio.gather(*(streamed() for _ in range(4)), *(whole() for _ in range(4)))
    assert set(got) == {REVISED}

    tag = key()
    task = asyncio.create_task(chat().ainvoke(asking("slow 9", tag)))
    await asyncio.to_thread(arrived, tag)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await asyncio.to_thread(left, tag)


@check
def errors_are_openais():
    wrong = (
        ({"model": "other"}, "plain", openai.NotFoundError),
        ({"temperature": 9}, "plain", openai.BadRequestError),
        ({"extra_body": {"revision": {"top_k": 99}}}, "plain", openai.BadRequestError),
        ({}, "refused", openai.BadRequestError),
        ({"max_retries": 0}, "overloaded 9", openai.InternalServerError),
        ({"max_retries": 0, "timeout": 0.4}, "slow 5", openai.APITimeoutError),
    )
    for options, what, kind in wrong:
        error = raises(
            kind, lambda options=options, what=what: chat(**options).invoke(asking(what))
        )
        assert kind is openai.APITimeoutError or error.request_id


@check
def an_overloaded_model_server_is_asked_again():
    tag = key()
    got = chat(max_retries=2).invoke(asking("overloaded 2", tag))
    assert (got.content, seen(tag)["calls"]) == (REVISED, 3)


@check
def an_error_inside_a_stream_is_raised():
    for name, what in ((MODEL, "late-refused"), (f"{MODEL}-draft", "cut")):
        stream = chat(model=name, max_retries=0).stream(asking(what))
        raises(openai.APIError, lambda stream=stream: list(stream))


if __name__ == "__main__":
    main("langchain-openai")
