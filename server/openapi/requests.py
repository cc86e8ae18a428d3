"""Requests as they are documented where that is more than the model that reads them."""

from typing import Annotated, Any

from pydantic import ConfigDict, Field

from server.refused import describe
from server.routes.critiques import REFUSED_HERE
from server.schemas import ChatRequest


def _without_what_means_nothing(schema: dict[str, Any]) -> None:
    describe(schema)
    said = "Means nothing to a review of an answer; leave it out."
    schema["properties"] |= dict.fromkeys(
        REFUSED_HERE, {"type": "null", "description": said}
    )


class ReviewRequest(ChatRequest):
    """A request to critique or revise an answer; the options say how a revision is written."""

    model_config = ConfigDict(json_schema_extra=_without_what_means_nothing)

    answer: Annotated[str, Field(min_length=1)]
