"""Inspect over the Responses API."""

import json
import os

from checks import ARGUMENTS, BASE_URL, REVISED, asking, check, main, model

os.environ |= {"CLINALIGN_BASE_URL": BASE_URL, "CLINALIGN_API_KEY": "any"}

from inspect_ai.model import get_model
from inspect_ai.tool import ToolInfo, ToolParams

MODEL = model()


@check
async def a_response_is_answered_whole_and_streamed():
    for stream in (False, True):
        asked = get_model(
            f"openai-api/clinalign/{MODEL}", responses_api=True, stream=stream, memoize=False
        )
        got = await asked.generate(asking())
        assert (got.completion, got.stop_reason) == (REVISED, "stop")
        assert got.usage.total_tokens > 0


@check
async def a_response_calls_a_tool():
    parameters = {"type": "object", "properties": {"substance": {"type": "string"}}}
    tool = ToolInfo(
        name="dose",
        description="Looks up a dose",
        parameters=ToolParams.model_validate_json(json.dumps(parameters)),
    )
    asked = get_model(f"openai-api/clinalign/{MODEL}", responses_api=True, memoize=False)
    got = await asked.generate(asking(), tools=[tool])
    (call,) = got.message.tool_calls
    assert (call.function, call.arguments) == ("dose", ARGUMENTS)


if __name__ == "__main__":
    main("inspect-ai")
