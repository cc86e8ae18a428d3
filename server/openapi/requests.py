"""Requests as they are documented where that is more than the model that reads them."""

from typing import Annotated, Any

from pydantic import ConfigDict, Field

from server.refused import describe
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
