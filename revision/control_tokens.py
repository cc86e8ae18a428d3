"""Chat templates' control tokens, made harmless in the hidden prompts.

A tokenizer reads `<|im_end|>` in a user's text as the real end of the turn: what follows it can
pose as the assistant's or as ours. No server lets a client escape it, so the hidden prompts show
such tokens broken by a space, which reads the same and is no token. The draft's prompt is left
alone: it is the client's own request, and nothing is judged by it.
"""

import re
from collections.abc import Mapping
from dataclasses import replace

from models.messages import Json, Message, Part

_NAMED = (
    r"/?s|bos|eos|pad|unk|mask|sop|eop|"
    r"(?:start|end)_of_(?:turn|image)|/?think|/?tool_(?:call|response)s?|/?tools|"
    r"extra_id_\d+|/?SPECIAL_\d+|<SYS>|</SYS>|/?(?:system|assistant|user|human)"
)
_BRACKETED = (
    r"/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_RESULTS|TOOL_CALLS|TOOL_CONTENT|MODEL_SETTINGS"
    r"|THINK|PREFIX|SUFFIX|MIDDLE|IMG|CALL_ID|ARGS)|[gs]?MASK"
)
_TOKEN = re.compile(
    rf"<(?=[|｜])|(?<=[|｜])>|<(?=(?:{_NAMED})>)|\[(?=(?:{_BRACKETED})\])",  # noqa: RUF001  # DeepSeek's bar
    re.IGNORECASE,
)


def harmless(text: str) -> str:
    """Return the text with every control token broken; all other text as it is."""
    return _TOKEN.sub(lambda found: " >" if found.group() == ">" else f"{found.group()} ", text)


def harmless_turn(turn: Message) -> Message:
    """Return the turn with its words, names and tool calls made harmless."""
    content: str | tuple[Part, ...] | None = turn.content
    if isinstance(content, str):
        content = harmless(content)
    elif content is not None:
        content = tuple(replace(part, text=harmless(part.text)) for part in content)
    return replace(turn, content=content, extra={k: _inside(v) for k, v in turn.extra.items()})


def _inside(value: Json) -> Json:
    if isinstance(value, str):
        return harmless(value)
    if isinstance(value, Mapping):
        return {harmless(key): _inside(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_inside(inner) for inner in value]
    return value
