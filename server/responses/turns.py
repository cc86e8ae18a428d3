"""From the items of a response's `input` to the turns of a chat.

The conversation is never flattened: roles, parts, calls and their results keep their places. What
a chat turn holds together (words and calls, in whichever order) comes as several items here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from models.messages import Json
from server.conversation_rules import MISSING, ORDER
from server.errors import InvalidRequest
from server.responses.items import (
    CallItem,
    Item,
    MessageItem,
    ReasoningItem,
    RefusalPart,
    ResultItem,
    TextPart,
)


@dataclass(slots=True, kw_only=True)
class Turns:
    """The chat turns as they are put together; `places` says which item each came from."""

    turns: list[dict[str, Json]] = field(default_factory=list)
    places: list[str] = field(default_factory=list)

    def add(self, place: str, **turn: Json) -> None:
        """Add a turn."""
        self.turns.append(turn)
        self.places.append(place)

    def add_words(self, place: str, content: Json) -> None:
        """Add what the assistant said to its turn whose calls still wait, which it belongs to."""
        for turn in reversed(self.turns):
            if turn["role"] == "assistant":
                before = turn["content"]
                turn["content"] = [*_parts(before), *_parts(content)] if before else content
                return
        self.add(place, role="assistant", content=content)

    def add_call(self, place: str, item: CallItem) -> None:
        """Add a call to the assistant's turn that it belongs to, or to one of its own."""
        call: Mapping[str, Json] = {
            "id": item.call_id,
            "type": "function",
            "function": {"name": item.name, "arguments": item.arguments},
        }
        if not self.turns or self.turns[-1]["role"] != "assistant":
            self.add(place, role="assistant", content=None)
        before = self.turns[-1].get("tool_calls")
        self.turns[-1]["tool_calls"] = [*(before if isinstance(before, list) else ()), call]


def turns_of(items: Sequence[Item], turns: Turns) -> None:
    """Add the turns that the items stand for.

    Raises:
        InvalidRequest: a call and its result do not belong together.

    """
    waiting: dict[str, str] = {}
    for number, item in enumerate(items):
        place = f"input.{number}"
        match item:
            case MessageItem():
                if item.role == "user":
                    _check_answered(waiting)
                if item.role == "assistant" and waiting:
                    turns.add_words(place, _content(item.content))
                else:
                    turns.add(place, role=item.role, content=_content(item.content))
            case CallItem():
                waiting[item.call_id] = place
                turns.add_call(place, item)
            case ResultItem():
                if waiting.pop(item.call_id, None) is None:
                    raise InvalidRequest(
                        f"{place}.call_id must be that of a function_call before it, once",
                        param=f"{place}.call_id",
                        code=ORDER,
                    )
                content = _content(item.output)
                turns.add(place, role="tool", tool_call_id=item.call_id, content=content)
            case _:
                pass
    _check_answered(waiting)
    if all(isinstance(item, ReasoningItem) for item in items):
        raise InvalidRequest(
            "input is empty but for reasoning; add the user's message",
            param="input",
            code=MISSING,
        )


def _check_answered(waiting: Mapping[str, str]) -> None:
    for place in waiting.values():
        raise InvalidRequest(
            f"{place} is a function_call without its function_call_output; add that item, with "
            "the same call_id, before the next message",
            param=place,
            code=ORDER,
        )


def _content(content: str | tuple[TextPart | RefusalPart, ...]) -> Json:
    """Return the content; a lone text as a string, which every chat template takes."""
    if isinstance(content, str):
        return content
    if len(content) == 1 and isinstance(content[0], TextPart):
        return content[0].text
    return [part.to_chat() for part in content]


def _parts(content: Json) -> list[Json]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return list(content) if isinstance(content, list) else []
