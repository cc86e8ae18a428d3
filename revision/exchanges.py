"""A hidden prompt with ever less of the conversation's past in it.

Whole exchanges go, from the oldest on: a question without its answer, or a tool's result without
its call, would be another conversation, and templates refuse some of those.
"""

from itertools import pairwise

from models.messages import Message

SYSTEM = frozenset({"system", "developer"})


def shortened(
    prompt: tuple[Message, ...], history: tuple[Message, ...]
) -> list[tuple[Message, ...]]:
    """Return the prompt, then with one exchange more left out each time.

    System turns, the user's last turn and all after it stay. A prompt that does not begin with
    the history is all there is.
    """
    users = [number for number, turn in enumerate(history) if turn.role == "user"]
    last = users[-1] if users else 0
    prompts = [prompt]
    if prompt[:last] != history[:last]:
        return prompts
    for before, start in pairwise([0, *users]):
        if any(turn.role not in SYSTEM for turn in history[before:start]):
            system = [turn for turn in history[:start] if turn.role in SYSTEM]
            prompts.append((*system, *prompt[start:]))
    return prompts
