"""What of a conversation is searched for: the last turn, in its context, within 256 tokens."""

from collections.abc import Sequence

_LAST_TURN = 800
_CONTEXT = 300
_QUERY = 1000  # characters; about 250 of the embedder's 256 tokens in English


def query_text(messages: Sequence[tuple[str, str]]) -> str:
    """Return the text to embed: the last user turn, then the tail of the earlier ones.

    `messages` are (role, text) pairs. The embedder cuts at 256 tokens, so what matters most comes
    first; a very long last turn keeps its head and its tail, where the question usually is. Empty
    when no user has spoken.
    """
    turns = [text.strip() for role, text in messages if role == "user" and text.strip()]
    if not turns:
        return ""
    last = turns[-1]
    if len(last) > _LAST_TURN:
        last = f"{last[:500].rstrip()} ... {last[-(_LAST_TURN - 505) :].lstrip()}"
    room = min(_CONTEXT, _QUERY - len(last))
    earlier = "\n".join(turns[:-1])[-room:].strip()
    return f"{last}\n{earlier}" if earlier else last
