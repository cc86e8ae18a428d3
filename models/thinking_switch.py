"""Switching a model's thinking off, for replies that must begin with the verdict.

The switch is a variable of the chat template, sent as `chat_template_kwargs`: vLLM and llama.cpp
take the field, and templates ignore a variable they do not know. Other servers refuse unknown
fields, so what a server does with it is learned once from its own answer, never from its name.
"""

from collections.abc import Mapping

from models.errors import ContextOverflow, ModelRejected
from models.messages import Json

FIELD = "chat_template_kwargs"
OFF: Mapping[str, Json] = {"enable_thinking": False, "thinking": False}
"""Qwen, GLM and others name it the first way; DeepSeek, Granite and Kimi the second."""

_UNKNOWN_FIELD = frozenset({400, 422})


def without_thinking(body: Mapping[str, Json]) -> dict[str, Json]:
    """Return the request with the switch, beside the template's other variables."""
    known = body.get(FIELD)
    variables = known if isinstance(known, Mapping) else {}
    return {**body, FIELD: {**variables, **OFF}}


def may_be_the_switch(error: ModelRejected) -> bool:
    """Say whether the server may have refused the request for the switch in it."""
    return error.status in _UNKNOWN_FIELD and not isinstance(error, ContextOverflow)
