"""Why a reply ended, in OpenAI's words: its clients reject any other.

A server that gave up on a reply says so here and nowhere else, so it is here that a fragment is
kept from passing for an answer.
"""

from models.errors import ModelUnavailable
from models.messages import Usage

FINISH_REASONS = frozenset({"stop", "length", "tool_calls", "content_filter", "function_call"})
"""OpenAI's; its clients reject any other."""

BROKEN_OFF = frozenset(
    {"abort", "aborted", "cancelled", "canceled", "error", "insufficient_system_resource"}
)
"""What servers say of a reply that they gave up on: a fragment, however it reads."""

CUT_SHORT = frozenset({"max_tokens", "model_length", "repetition"})
"""What servers say of a reply that they ended before the model did."""


def finish_reason(told: str, spent: Usage | None = None) -> str:
    """Return what a server says of a reply's end, in OpenAI's vocabulary.

    Raises:
        ModelUnavailable: the server broke the reply off.

    """
    if told in BROKEN_OFF:
        raise ModelUnavailable("the model server broke its answer off", spent=spent)
    if told in CUT_SHORT:
        return "length"
    return told if told in FINISH_REASONS else "stop"
