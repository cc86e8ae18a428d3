"""Requests as they are documented where that is more than the model that reads them."""

from typing import Annotated, Any

from pydantic import ConfigDict, Field

from server.refused import describe, refusal_words
from server.responses.request import UNSUPPORTED
from server.routes.critiques import REFUSED_HERE
from server.schemas import ChatRequest

NEUTRAL = {"n": [1, None], "stream": [False, None], "logprobs": [False, None]}
"""What says no more than leaving the field out, where that is more than null."""


def _without_what_means_nothing(schema: dict[str, Any]) -> None:
    describe(schema)
    for name in REFUSED_HERE:
        schema["properties"][name] = {
            "enum": NEUTRAL.get(name, [None]),
            "description": "Means nothing to a review of an answer; leave it out.",
        }


class ReviewRequest(ChatRequest):
    """A request to critique or revise an answer; the options say how a revision is written."""

    model_config = ConfigDict(json_schema_extra=_without_what_means_nothing)

    answer: Annotated[str, Field(min_length=1)]


def complete(schemas: dict[str, Any]) -> None:
    """Add to the request for a response what it shares with chat completions and what it refuses.

    Its model names what the Responses API calls otherwise and hands all else on to `ChatRequest`.
    """
    chat, asked = schemas["ChatRequest"], schemas["ResponsesRequest"]
    refused = {name: refusal_words(said) for name, said in UNSUPPORTED.items()}
    asked["properties"] = {**chat["properties"], **refused, **asked["properties"]}
    asked["patternProperties"] = chat["patternProperties"]
    asked["required"] = ["model", *asked["required"]]
