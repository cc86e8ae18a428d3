"""Doing without a JSON schema where the server takes none.

The loop's own hidden replies are asked for under a schema, and their prompts name the form in words
as well. A server that refuses the field would otherwise cost every written critique and rubric.
That it does is learned from its own answer: it refuses the call with the schema and takes the same
call without it. A schema of the client's is none of ours and is never left out.
"""

from dataclasses import replace

from models.errors import ContextOverflow, ModelRejected
from models.messages import Call

_REFUSALS = frozenset({400, 422, 501})


def without_schema(call: Call) -> Call:
    """Return the call as it is made of a server that takes no schema."""
    return replace(call, schema=None)


def may_be_the_schema(error: ModelRejected) -> bool:
    """Say whether the server may have refused the call for the schema in it."""
    return error.status in _REFUSALS and not isinstance(error, ContextOverflow)
