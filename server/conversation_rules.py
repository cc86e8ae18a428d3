"""Which turns may follow which: OpenAI's rules about tools, and that the user has the last word.

A chat template renders any order without a word and the model then answers something that nobody
asked: a tool's result that belongs to no call, a turn with nothing in it. Two turns of one role in
a row are no mistake, nor is an assistant's turn first, nor instructions anywhere.
"""

from collections.abc import Sequence

from server.errors import InvalidRequest
from server.refused import check_inside
from server.turns import ChatMessage, RefusalPart

ORDER = "invalid_message_order"
MISSING = "missing_required_parameter"


def check_turns(turns: Sequence[ChatMessage]) -> None:
    """Check each turn, each call's result, and how the conversation ends.

    Raises:
        InvalidRequest: naming the first turn that cannot stand where it stands.

    """
    for number, turn in enumerate(turns):
        place = f"messages.{number}"
        check_inside(turn.model_extra or {}, place)
        _check_content(turn, place)
    _check_calls(turns)
    # Instructions stand anywhere, after the question too; they ask nothing.
    spoken = [n for n, turn in enumerate(turns) if turn.role not in {"system", "developer"}]
    last = spoken[-1] if spoken else len(turns) - 1
    _check_end(turns[last], f"messages.{last}")


def _check_content(turn: ChatMessage, place: str) -> None:
    if turn.role != "assistant":
        for field in ("tool_calls", "function_call"):
            if getattr(turn, field) is not None:
                raise _wrong(f"{place}.{field}", "belongs in a message of the role assistant")
        if turn.content is None:
            raise _wrong(f"{place}.content", "is missing; add the text", MISSING)
        for number, part in enumerate(turn.content if isinstance(turn.content, tuple) else ()):
            check_inside(part.model_extra or {}, f"{place}.content.{number}")
            if isinstance(part, RefusalPart):
                raise _wrong(
                    f"{place}.content.{number}.type",
                    "must be 'text': only an assistant's message has refusals",
                    "invalid_value",
                )
    elif turn.content is None and not (turn.tool_calls or turn.function_call or turn.refusal):
        raise _wrong(f"{place}.content", "is missing; add the text, or tool_calls", MISSING)
    if turn.role == "tool" and turn.tool_call_id is None:
        raise _wrong(f"{place}.tool_call_id", "is missing; add the id of the call", MISSING)
    if turn.role == "function" and turn.name is None:
        raise _wrong(f"{place}.name", "is missing; add the function's name", MISSING)


def _check_calls(turns: Sequence[ChatMessage]) -> None:
    """Check that each result has its call before it, and each call its result after it."""
    caller = 0
    called: set[str] = set()
    unanswered: set[str] = set()
    function_called = False
    for number, turn in enumerate(turns):
        match turn.role:
            case "system" | "developer":
                continue
            case "tool":
                _check_result(turn, called, f"messages.{number}")
                unanswered.discard(turn.tool_call_id or "")
                continue
            case "function" if not function_called:
                raise _wrong(
                    f"messages.{number}.role",
                    "must not be function unless the assistant's message before it "
                    "has a function_call",
                )
        if unanswered:
            raise _unanswered(caller)
        calls = turn.tool_calls or ()
        caller, called = number, {call.id for call in calls}
        unanswered = set(called)
        function_called = turn.function_call is not None
    if unanswered:
        raise _unanswered(caller)


def _check_result(turn: ChatMessage, called: set[str], place: str) -> None:
    if not called:
        raise _wrong(
            f"{place}.role", "must not be tool unless the assistant's message before has tool_calls"
        )
    if turn.tool_call_id not in called:
        raise _wrong(f"{place}.tool_call_id", "must be the id of a call in the tool_calls before")


def _check_end(last: ChatMessage, place: str) -> None:
    if last.role not in {"user", "tool", "function"}:
        raise _wrong(f"{place}.role", "must be user or tool: the last message waits for an answer")
    if last.role == "user" and not last.to_message().text.strip():
        raise _wrong(f"{place}.content", "is empty; the last message needs a question", MISSING)


def _unanswered(number: int) -> InvalidRequest:
    return _wrong(
        f"messages.{number}.tool_calls",
        "must each have a tool message with the call's id before the next turn",
    )


def _wrong(param: str, said: str, code: str = ORDER) -> InvalidRequest:
    return InvalidRequest(f"{param} {said}", param=param, code=code)
