"""Simon Willison's `llm`: its commands, with the gateway in extra-openai-models.yaml."""

import json
import os
import subprocess
import sys
from pathlib import Path

from checks import (
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

MODEL = model()
HOME = Path(os.environ["HOME"]) / "llm"
os.environ["LLM_USER_PATH"] = str(HOME)
LLM = str(Path(sys.executable).with_name("llm"))
RECIPE = """\
- model_id: {id}
  model_name: {id}
  api_base: {url}
  supports_schema: true
  supports_tools: true
"""
FUNCTION = 'def dose(substance: str) -> str:\n    "Look up a dose"\n    return "none known"\n'


def llm(*words: str, status: int = 0, said: str | None = None) -> str:
    """Run the command; give its standard output, or with another status its standard error."""
    ended = subprocess.run(
        [LLM, *words], input=said, capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == status, (ended.returncode, ended.stdout, ended.stderr)
    return ended.stderr if status else ended.stdout


def logged() -> dict:
    return json.loads(llm("logs", "list", "-n", "1", "--json"))[0]


@check
def the_gateways_models_are_taken_from_the_file():
    HOME.mkdir(parents=True)
    recipes = [RECIPE.format(id=name, url=BASE_URL) for name in (MODEL, f"{MODEL}-draft")]
    (HOME / "extra-openai-models.yaml").write_text("".join(recipes))
    assert f"OpenAI Chat: {MODEL}\n" in llm("models", "list")


@check
def a_prompt_is_answered_streamed_and_whole():
    for name, answer in ((MODEL, REVISED), (f"{MODEL}-draft", DRAFT)):
        question = asking()
        assert llm("-m", name, question).strip() == answer
        streamed = logged()
        assert llm("-m", name, "--no-stream", question).strip() == answer
        whole = logged()
        for count in ("input_tokens", "output_tokens"):
            assert streamed[count] == whole[count] > 0


@check
def the_log_keeps_the_review_of_a_whole_answer():
    llm("-m", MODEL, "--no-stream", asking())
    review = logged()["response_json"]["revision"]
    assert (review["status"], review["changed"]) == ("revised", True)


@check
def a_system_prompt_and_options_reach_the_model_server():
    tag = key()
    llm("-m", MODEL, "-s", "Answer kindly.", "-o", "temperature", "0.3", asking(of=tag))
    body = seen(tag)["body"]
    assert body["messages"][0] == {"role": "system", "content": "Answer kindly."}
    assert body["temperature"] == 0.3


@check
def a_conversation_goes_on():
    llm("-m", MODEL, asking())
    tag = key()
    assert llm("-c", asking(of=tag)).strip() == REVISED
    assert [turn["role"] for turn in seen(tag)["body"]["messages"]] == ["user", "assistant", "user"]


@check
def an_interactive_chat_is_answered():
    said = f"{asking()}\n{asking()}\nexit\n"
    assert llm("chat", "-m", MODEL, said=said).count(REVISED) == 2


@check
def a_schema_gives_json():
    got = json.loads(llm("-m", MODEL, "--schema", "advice str, urgent bool", asking()))
    assert got == {"advice": REVISED, "urgent": False}


@check
def a_tool_is_called_and_its_result_answered():
    tag = key()
    got = llm("-m", MODEL, "--functions", FUNCTION, "--td", asking(of=tag))
    assert got.strip().endswith(REVISED)
    sent = seen(tag)
    assert [turn["role"] for turn in sent["body"]["messages"]] == ["user", "assistant", "tool"]
    assert sent["body"]["messages"][-1]["content"] == "none known"


@check
def an_endpoint_needs_no_registration():
    at = ("openai", "endpoint", BASE_URL)
    assert MODEL in llm(*at, "--models")
    assert llm(*at, "-m", MODEL, asking()).strip() == REVISED
    assert llm(*at, "-m", f"{MODEL}-draft", "--no-stream", asking()).strip() == DRAFT


@check
def a_refusal_is_told_and_the_status_is_one():
    assert "refused the request" in llm("-m", MODEL, asking("refused"), status=1)
    at = ("openai", "endpoint", BASE_URL)
    assert "no such model" in llm(*at, "-m", "other", asking(), status=1)


@check
def an_error_inside_a_stream_is_told_and_the_status_is_one():
    assert "refused the request" in llm("-m", MODEL, asking("late-refused"), status=1)
    assert "the model server" in llm("-m", f"{MODEL}-draft", asking("cut"), status=1)


@check
def an_overloaded_model_server_is_asked_again():
    tag = key()
    assert llm("-m", MODEL, asking("overloaded 2", tag)).strip() == REVISED
    assert seen(tag)["calls"] == 3


@check
def the_python_api_answers_too():
    import llm as library

    response = library.get_model(MODEL).prompt(asking(), stream=False)
    assert response.text() == REVISED
    assert response.response_json["revision"]["status"] == "revised"
    assert "".join(library.get_model(MODEL).prompt(asking())) == REVISED


if __name__ == "__main__":
    main("llm")
