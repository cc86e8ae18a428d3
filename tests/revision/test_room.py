"""What is left of a hidden prompt in a small context: properties, whatever the conversation."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import ContextOverflow
from models.messages import Call, Completion, Message, Usage
from revision.conversation import Conversation
from revision.room import HISTORY, NoRoom, Room


class Words:
    """A context of so many tokens, each word one; counts, or does not."""

    def __init__(self, length: int | None, *, counts: bool = True) -> None:
        self._length = length
        self._counts = counts

    async def length(self) -> int | None:
        return self._length

    async def count(self, messages: Sequence[Message], options: object, affinity: str):
        return tokens(messages) if self._counts else None


def tokens(messages: Sequence[Message]) -> int:
    return sum(2 + len(turn.text.split()) for turn in messages)


def room(length: int | None, history: tuple[Message, ...], **wishes: bool) -> Room:
    return Room(Words(length, **wishes), history)  # type: ignore[arg-type]


ROLES = st.sampled_from(["system", "user", "assistant", "tool", "developer"])
TURNS = st.builds(
    lambda role, words: Message(role=role, content="extraordinarily " * words),
    ROLES,
    st.integers(0, 60),
)
QUESTION = Message(role="user", content="What now?")
TALKS = st.lists(TURNS, max_size=9).map(lambda turns: (*turns, QUESTION))
STEPS = st.sampled_from(["judge", "rubric", "critique", "revise"])


def hidden(step: str, talk: tuple[Message, ...], max_tokens: int | None) -> Call:
    conversation = Conversation(messages=talk)
    if step == "rubric":
        messages = conversation.with_instruction("Word a rubric.")
    else:
        messages = conversation.with_answer("Rest.", "Is it good?")
    return Call(step=step, messages=messages, max_tokens=max_tokens)


@given(TALKS, STEPS, st.integers(1, 400), st.integers(20, 900))
async def test_a_prompt_fits_or_there_is_no_room_and_the_question_is_always_in_it(
    talk: tuple[Message, ...], step: str, max_tokens: int, length: int
):
    call = hidden(step, talk, max_tokens)
    place = room(length, talk)
    try:
        fitted = await place.fit(call)
    except NoRoom:
        shortest = [turn for turn in talk[:-1] if turn.role in {"system", "developer"}]
        kept = (*shortest, *call.messages[len(talk) - 1 :])
        assert tokens(kept) + max(1, max_tokens // 2) > length
        assert place.limits
        return
    assert tokens(fitted.messages) + (fitted.max_tokens or 1) <= length
    assert "What now?" in fitted.messages[-1 if step == "rubric" else -3].text
    assert [turn for turn in fitted.messages if turn.role in {"system", "developer"}] == [
        turn for turn in talk if turn.role in {"system", "developer"}
    ]
    dropped = len(call.messages) - len(fitted.messages)
    assert (HISTORY in place.limits) == (dropped > 0)
    rest = [turn for turn in fitted.messages if turn.role not in {"system", "developer"}]
    whole = [turn for turn in call.messages if turn.role not in {"system", "developer"}]
    assert rest == whole[len(whole) - len(rest) :]
    if dropped:
        assert rest[0].role == "user"
    if tokens(call.messages) + max_tokens <= length:
        assert fitted.messages == call.messages


async def test_a_model_of_unknown_length_gets_prompts_as_they_are():
    call = hidden("judge", (QUESTION,), 1)
    assert await room(None, (QUESTION,)).fit(call) is call
    assert await Room(None, ()).fit(call) is call


LONG = tuple(
    Message(role=role, content="extraordinarily " * 100)
    for _ in range(3)
    for role in ("user", "assistant")
)


async def test_a_limit_told_by_a_refusal_is_kept_to():
    talk = (*LONG, QUESTION)
    call, place = hidden("judge", talk, 1), room(None, talk)
    refused = ContextOverflow("too long", status=400, limit=500)
    again = await place.refit(call, call, refused)
    assert tokens(again.messages) + 1 <= 500
    assert tokens((await place.fit(call)).messages) + 1 <= 500


async def test_a_refusal_without_a_limit_shortens_all_the_same():
    talk = (*LONG, QUESTION)
    call, place = hidden("judge", talk, 1), room(None, talk)
    again = await place.refit(call, call, ContextOverflow("too long", status=400))
    assert len(again.messages) < len(call.messages)


async def test_a_limit_below_what_was_already_given_is_not_believed():
    """A refusal may quote a patient, and a patient may write of a limit of ten tokens."""
    talk = (*LONG, QUESTION)
    call, place = hidden("judge", talk, 1), room(5000, talk)
    usage = Usage(prompt_tokens=620, completion_tokens=10)
    place.learn(
        Call(step="draft", messages=talk), Completion(text="x", finish_reason="stop", usage=usage)
    )
    await place.refit(call, call, ContextOverflow("too long", status=400, limit=10))
    assert (await place.fit(call)).messages == call.messages


@pytest.mark.parametrize("limit", [700, 400, 260])
async def test_a_guess_keeps_below_the_limit_once_the_draft_is_known(limit: int):
    talk = (*LONG, QUESTION)
    place = room(limit, talk, counts=False)
    usage = Usage(prompt_tokens=tokens(talk), completion_tokens=10)
    place.learn(
        Call(step="draft", messages=talk), Completion(text="x", finish_reason="stop", usage=usage)
    )
    fitted = await place.fit(hidden("judge", talk, 1))
    assert tokens(fitted.messages) + 1 <= limit


async def test_a_revision_gets_room_for_what_the_draft_took_and_more():
    talk = (*LONG, QUESTION)
    place = room(1000, talk)
    usage = Usage(prompt_tokens=tokens(talk), completion_tokens=300)
    place.learn(
        Call(step="draft", messages=talk), Completion(text="x", finish_reason="stop", usage=usage)
    )
    fitted = await place.fit(hidden("revise", talk, None))
    assert 1000 - tokens(fitted.messages) >= 1.3 * 300
    assert fitted.max_tokens is None
    fitted = await place.fit(hidden("revise", talk, 900))
    assert 390 <= fitted.max_tokens <= 1000 - tokens(fitted.messages)
