"""Simon Willison's `llm`: the endpoints beside chat completions."""

import os
import subprocess
import sys
from pathlib import Path

from checks import BASE_URL, REVISED, asking, check, main, model

MODEL = model()
HOME = Path(os.environ["HOME"]) / "llm"
os.environ["LLM_USER_PATH"] = str(HOME)
LLM = str(Path(sys.executable).with_name("llm"))
RECIPE = """\
- model_id: over-responses
  model_name: {id}
  api_base: {url}
  responses: true
- model_id: over-completions
  model_name: {id}
  api_base: {url}
  completion: true
"""


def llm(*words: str) -> str:
    ended = subprocess.run([LLM, *words], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, (ended.stdout, ended.stderr)
    return ended.stdout.strip()


@check
def a_response_is_answered_streamed_and_whole():
    HOME.mkdir(parents=True)
    (HOME / "extra-openai-models.yaml").write_text(RECIPE.format(id=MODEL, url=BASE_URL))
    for options in ((), ("--no-stream",)):
        assert llm("-m", "over-responses", *options, asking()) == REVISED


@check
def an_endpoint_is_asked_for_a_response_without_registration():
    assert llm("openai", "endpoint", BASE_URL, "-m", MODEL, "--responses", asking()) == REVISED


@check
def legacy_completions_are_passed_through():
    for options in ((), ("--no-stream",)):
        assert llm("-m", "over-completions", *options, "Rest") == "and rest"


if __name__ == "__main__":
    main("llm")
