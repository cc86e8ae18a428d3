"""LiteLLM's client: the endpoints beside chat completions."""

import os

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # else it fetches a price list when imported

import litellm
from checks import BASE_URL, REVISED, asking, check, main, model, raises

litellm.suppress_debug_info = True
MODEL = model()
AT = {"model": f"openai/{MODEL}", "api_base": BASE_URL, "api_key": "any"}


def text_of(response: object) -> str:
    return "".join(
        part.text for item in response.output if item.type == "message" for part in item.content
    )


@check
def a_response_is_answered_whole_and_streamed():
    asked = {**AT, "input": asking()}
    whole = litellm.responses(**asked)
    assert (whole.status, text_of(whole)) == ("completed", REVISED)
    events = list(litellm.responses(**asked, stream=True))
    assert events[-1].type == "response.completed"
    assert text_of(events[-1].response) == REVISED


@check
def a_response_for_an_unknown_model_is_not_found():
    asked = {**AT, "model": "openai/other", "input": asking()}
    error = raises(litellm.NotFoundError, lambda: litellm.responses(**asked))
    assert "no such model" in str(error)


@check
def legacy_completions_are_passed_through():
    asked = {**AT, "model": f"text-completion-openai/{MODEL}", "prompt": "Rest", "max_tokens": 5}
    assert litellm.text_completion(**asked).choices[0].text == " and rest"
    pieces = [one.choices[0].text or "" for one in litellm.text_completion(**asked, stream=True)]
    assert "".join(pieces) == " and rest"


@check
def embeddings_are_passed_through():
    got = litellm.embedding(**AT, input=["rest", "water"], encoding_format="float")
    assert [len(one["embedding"]) for one in got.data] == [8, 8]


if __name__ == "__main__":
    main("litellm")
