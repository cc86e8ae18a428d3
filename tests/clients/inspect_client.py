"""Inspect, the evaluation framework, with its provider for OpenAI-compatible servers."""

import asyncio
import os
from typing import Any

from checks import (
    ARGUMENTS,
    BASE_URL,
    DRAFT,
    REVISED,
    asking,
    check,
    key,
    main,
    model,
    seen,
)

# The provider is named in the model, as openai-api/<name>/<model>; these are its settings.
os.environ |= {"CLINALIGN_BASE_URL": BASE_URL, "CLINALIGN_API_KEY": "any"}

import inspect_ai
from inspect_ai.dataset import Sample
from inspect_ai.log import EvalLog
from inspect_ai.model import (
    ChatMessageUser,
    GenerateConfig,
    ResponseSchema,
    get_model,
)
from inspect_ai.scorer import includes
from inspect_ai.solver import generate, use_tools
from inspect_ai.tool import tool
from inspect_ai.util import json_schema
from pydantic import BaseModel

MODEL = model()


class Advice(BaseModel):
    advice: str
    urgent: bool


@tool
def dose():
    async def execute(substance: str) -> str:
        """Look up a dose.

        Args:
            substance: What to look up.

        """
        return f"none known of {substance}"

    return execute


def evaluated(
    questions: list[str], *solvers: Any, name: str = MODEL, stream: bool = False, **options: Any
) -> EvalLog:
    samples = [Sample(input=one, target="stiff neck") for one in questions]
    (log,) = inspect_ai.eval(
        inspect_ai.Task(dataset=samples, solver=[*solvers, generate()], scorer=includes()),
        model=f"openai-api/clinalign/{name}",
        model_args={"stream": stream},
        display="none",
        **options,
    )
    return log


def calls_of(log: EvalLog) -> list[Any]:
    return [event.call for one in log.samples for event in one.events if event.event == "model"]


@check
def an_evaluation_of_the_reviewed_model_succeeds_whole_and_streamed():
    spent, questions = [], [asking() for _ in range(4)]
    for stream in (False, True):
        log = evaluated(questions, stream=stream)
        assert (log.status, log.error) == ("success", None)
        assert log.results.scores[0].metrics["accuracy"].value == 1.0
        assert [one.output.completion for one in log.samples] == [REVISED] * 4
        assert {one.output.stop_reason for one in log.samples} == {"stop"}
        (usage,) = log.stats.model_usage.values()
        spent.append((usage.input_tokens, usage.output_tokens))
    assert spent[0] == spent[1]


@check
def an_evaluation_of_the_plain_draft_tells_the_two_apart():
    log = evaluated([asking(), asking()], name=f"{MODEL}-draft")
    assert log.results.scores[0].metrics["accuracy"].value == 0.0
    assert [one.output.completion for one in log.samples] == [DRAFT] * 2


@check
def the_extension_is_sent_in_the_extra_body_and_kept_in_the_log():
    wished = {"revision": {"mode": "fast", "include": ["trace"]}}
    log = evaluated([asking()], extra_body=wished)
    (call,) = calls_of(log)
    review = call.response["revision"]
    assert (review["mode"], review["status"]) == ("fast", "revised")
    assert set(review["trace"]) >= {"draft", "critiques", "edits"}


@check
def settings_of_generation_reach_the_model_server():
    tag = key()
    evaluated([asking(of=tag)], temperature=0.3, seed=7, max_tokens=99)
    body = seen(tag)["body"]
    assert (body["temperature"], body["seed"]) == (0.3, 7)


@check
def a_tool_is_called_and_its_result_answered():
    for stream in (False, True):
        tag = key()
        log = evaluated([asking(of=tag)], use_tools(dose()), stream=stream)
        assert log.status == "success", log.error
        messages = log.samples[0].messages
        roles = [one.role for one in messages]
        assert roles == ["user", "assistant", "tool", "assistant"]
        (call,) = messages[1].tool_calls
        assert (call.function, call.arguments) == ("dose", ARGUMENTS)
        assert messages[2].text == "none known of x"
        assert log.samples[0].output.completion == REVISED
        assert seen(tag)["calls"] == 2


@check
async def a_schema_gives_json():
    schema = ResponseSchema(name="advice", json_schema=json_schema(Advice), strict=True)
    config = GenerateConfig(response_schema=schema)
    for stream in (False, True):
        asked = get_model(f"openai-api/clinalign/{MODEL}", stream=stream, memoize=False)
        got = await asked.generate([ChatMessageUser(content=asking())], config=config)
        assert Advice.model_validate_json(got.completion).advice == REVISED


@check
async def an_overloaded_model_server_is_asked_again():
    tag = key()
    asked = get_model(f"openai-api/clinalign/{MODEL}", memoize=False)
    got = await asked.generate(asking("overloaded 2", tag), config=GenerateConfig(max_retries=2))
    assert (got.completion, seen(tag)["calls"]) == (REVISED, 3)


@check
async def calls_are_answered_side_by_side():
    asked = get_model(f"openai-api/clinalign/{MODEL}", memoize=False)
    got = await asyncio.gather(*(asked.generate(asking()) for _ in range(8)))
    assert {one.completion for one in got} == {REVISED}


@check
def a_refusal_ends_the_evaluation_with_an_error_that_says_why():
    for name, what, said in (
        (MODEL, "refused", "refused the request"),
        ("other", "plain", "no such model"),
    ):
        log = evaluated([asking(what)], name=name)
        assert log.status == "error"
        assert said in log.error.message


@check
def an_error_inside_a_stream_ends_the_evaluation_with_an_error():
    log = evaluated([asking("cut")], name=f"{MODEL}-draft", stream=True, max_retries=0)
    assert (log.status, log.samples[0].output.completion) == ("error", "")


if __name__ == "__main__":
    main("inspect-ai")
