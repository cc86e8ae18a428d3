"""What whole replies, chunks and lists of a model server are made of.

Null is the same as absent. A count that makes no sense is one that was not told: a number beside
the answer must not cost the answer, and our own sums and counters must be able to hold it.
"""

import math
from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)

from models.messages import Json, Usage

MOST = 10**9
"""No reply costs as many tokens, and no model reads as many."""


class Wire(BaseModel):
    """A part of a reply."""

    model_config = ConfigDict(extra="ignore", frozen=True)


def _sensible(value: object, read: ValidatorFunctionWrapHandler) -> object:
    try:
        return read(value)
    except ValidationError:
        return None


IF_SENSIBLE = WrapValidator(_sensible)
NULL_IS_EMPTY = BeforeValidator(lambda value: () if value is None else value)
NULL_SAYS_NOTHING = BeforeValidator(lambda value: {} if value is None else value)

Tokens = Annotated[int, Field(strict=True, ge=0, le=MOST)]
Context = Annotated[Annotated[int, Field(strict=True, ge=1, le=MOST)] | None, IF_SENSIBLE]


class PromptDetails(Wire):
    """What of the prompt came from the cache."""

    cached_tokens: Annotated[Tokens | None, IF_SENSIBLE] = None


class CompletionDetails(Wire):
    """What of the completion was reasoning."""

    reasoning_tokens: Annotated[Tokens | None, IF_SENSIBLE] = None


class WireUsage(Wire):
    """Tokens as the server counted them."""

    prompt_tokens: Tokens | None = None
    completion_tokens: Tokens | None = None
    prompt_tokens_details: Annotated[PromptDetails | None, IF_SENSIBLE] = None
    completion_tokens_details: Annotated[CompletionDetails | None, IF_SENSIBLE] = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.prompt_tokens is None and self.completion_tokens is None:
            raise ValueError("no count")
        return self

    def to_usage(self) -> Usage:
        """Return the loop's own value."""
        details, thinking = self.prompt_tokens_details, self.completion_tokens_details
        return Usage(
            prompt_tokens=self.prompt_tokens or 0,
            completion_tokens=self.completion_tokens or 0,
            cached_tokens=(details.cached_tokens or 0) if details else 0,
            reasoning_tokens=(thinking.reasoning_tokens or 0) if thinking else 0,
        )


ToldUsage = Annotated[WireUsage | None, IF_SENSIBLE]
"""A usage, or None where the server says none or one that is none."""


LEAST = -9999.0
"""OpenAI's log-probability of what is as good as impossible; JSON knows no infinity."""


def _of_a_probability(value: float) -> float:
    if math.isnan(value) or value == math.inf:
        raise ValueError("no log-probability")
    return max(value, LEAST)


Logprob = Annotated[float, AfterValidator(_of_a_probability)]
Byte = Annotated[int, Field(strict=True, ge=0, le=255)]


class Alternative(Wire):
    """A token that could have stood at a place, and its log-probability."""

    token: str
    logprob: Logprob
    bytes: Annotated[tuple[Byte, ...] | None, IF_SENSIBLE] = None


class Position(Alternative):
    """One place of the reply and its likeliest tokens."""

    top_logprobs: Annotated[tuple[Alternative, ...], NULL_IS_EMPTY] = ()


class Logprobs(Wire):
    """Log-probabilities of a reply."""

    content: tuple[Position, ...] | None = None
    refusal: tuple[Position, ...] | None = None

    def first_token(self) -> Mapping[str, float]:
        """Return the likeliest first tokens; the same word at two ids keeps both by its text."""
        if not self.content:
            return {}
        first = self.content[0]
        found = {option.token: option.logprob for option in reversed(first.top_logprobs)}
        return found or {first.token: first.logprob}

    def to_wire(self) -> dict[str, Json]:
        """Return them in the form of OpenAI's API."""
        return self.model_dump(mode="json")
