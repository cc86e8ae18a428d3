"""One request as its steps see it."""

import secrets
from dataclasses import dataclass, field

from revision.calls import Calls
from revision.conversation import AnswerOptions, Conversation
from revision.policy import Policy


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """What was asked, how it may be answered, and the calls to answer it with.

    `nonce` fences quoted text in prompts; one for the whole request, so that the prompts share
    their beginning.
    """

    conversation: Conversation
    options: AnswerOptions
    policy: Policy
    calls: Calls
    nonce: str = field(default_factory=lambda: secrets.token_hex(6))
