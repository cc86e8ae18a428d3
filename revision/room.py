"""What fits into a model's context, for the hidden prompts of one request.

The draft's prompt is the user's and never touched: if it does not fit, the user is told. Hidden
prompts are ours, and shrink: first what the rubric's prompt shows (`revision/synthesis.py`), then
the oldest exchanges of the conversation. The system turn, the user's last turn and all after it
stay: a review that has not seen the question is none. Where even that does not fit, the step is
left out, and the answer says so. Every hidden prompt begins with the conversation as it came.
"""

import asyncio
from dataclasses import replace

from models.errors import ContextOverflow
from models.messages import Call, Completion, Message
from models.protocols import Measured
from models.token_bounds import A_TEMPLATE, Guess, at_most
from revision.exchanges import shortened

SKIPPED = {
    "rubric": "rubric_skipped",
    "judge": "review_skipped",
    "judge-retry": "review_skipped",
    "alone": "review_skipped",
    "alone-retry": "review_skipped",
    "critique": "findings_skipped",
    "merge": "merge_skipped",
    "revise": "revision_skipped",
}
"""What is told of a step that found no room."""

HISTORY = "history_shortened"
PRINCIPLES = "principles_shortened"

MANY = frozenset({"judge", "judge-retry"})
"""Steps of many prompts that differ in their last words only."""

ANSWERS = frozenset({"edit", "revise", "merge"})
LONGER = 1.3
LEAST_ANSWER = 200
"""A revision is longer than the draft by this factor, and this long at least."""

UNDERRATED = 64
"""What is left free beyond the known limit after a server has refused what should have fitted."""


class NoRoom(ContextOverflow):
    """A hidden prompt does not fit, however short it is made."""

    def __init__(self) -> None:
        super().__init__("the conversation leaves no room for this step", status=400)


class Room:
    """Makes hidden prompts fit; `limits` says what that has cost the review.

    Args:
        model: whose context it is; None where nothing is known of it.
        history: the conversation's turns, with which every hidden prompt begins.
        affinity: as in `Call`.
        guess: of a model with the same tokenizer; what one room learns, both know.

    """

    def __init__(
        self,
        model: Measured | None,
        history: tuple[Message, ...],
        *,
        affinity: str = "",
        guess: Guess | None = None,
    ) -> None:
        self.limits: set[str] = set()
        self._model = model
        self._history = history
        self._affinity = affinity
        self._counts = model is not None
        self.guess = guess or Guess()
        self._refused_at: int | None = None
        self._slack = 0
        self._seen = 0
        self._answer_tokens = 0
        self._sizes: dict[tuple[bool, tuple[tuple[str, str], ...]], int] = {}
        self._dropped: dict[str, int] = {}
        self._fitting = asyncio.Lock()

    def expect(self, answer: str) -> None:
        """Note an answer that was not written here, so that a revision gets room for its like."""
        self._answer_tokens = self.guess.of((Message(role="assistant", content=answer),))

    def learn(self, call: Call, completion: Completion) -> None:
        """Note what a call has cost: the best measure for the next one."""
        usage = completion.usage
        self.guess.learn(call.messages, usage)
        self._seen = max(self._seen, usage.total_tokens)
        if call.step == "draft":
            self._answer_tokens = usage.completion_tokens

    async def holds(self, call: Call) -> bool:
        """Say whether the call fits as it is."""
        limit = await self._limit()
        if limit is None or self._surely(call, limit):
            return True
        async with self._fitting:
            return await self._size(call.messages, call) + _asked(call, self._needed(call)) <= limit

    async def fit(self, call: Call) -> Call:
        """Return the call, made to fit.

        Raises:
            NoRoom: it cannot be.

        """
        limit = await self._limit()
        if limit is None or self._surely(call, limit):
            return call
        async with self._fitting:
            return await self._made_to_fit(call, limit)

    async def refit(self, call: Call, sent: Call, refused: ContextOverflow) -> Call:
        """Return the call made to fit after the server refused it as `sent`.

        A refusal may quote the prompt, so the limit that it tells is believed for this request
        only, and not below what the request has already been given.

        Raises:
            NoRoom: it cannot be.

        """
        known, told = await self._limit(), refused.limit
        if told is not None and told >= self._seen and (known is None or told < known):
            self._refused_at = told
        elif known is None:
            async with self._fitting:
                self._refused_at = await self._size(sent.messages, sent) + self._needed(sent) - 1
        else:
            self._slack += UNDERRATED
        return await self.fit(call)

    async def _limit(self) -> int | None:
        known = await self._model.context.length() if self._model is not None else None
        limits = [one for one in (known, self._refused_at) if one is not None]
        return min(limits) - self._slack if limits else None

    def _surely(self, call: Call, limit: int) -> bool:
        return at_most(call.messages) + _asked(call, self._needed(call)) <= limit

    def _needed(self, call: Call) -> int:
        """Return how many tokens the reply may take; of an answer, how many it likely does."""
        if call.step not in ANSWERS and call.max_tokens is not None:
            return call.max_tokens
        likely = max(LEAST_ANSWER, int(LONGER * self._answer_tokens))
        return likely if call.max_tokens is None else min(likely, call.max_tokens)

    async def _made_to_fit(self, call: Call, limit: int) -> Call:
        prompts = shortened(call.messages, self._history)
        needed = self._needed(call)
        # What one prompt of a step had to drop, its next one drops too: they share a cache.
        number = min(self._dropped.get(call.step, 0), len(prompts) - 1)
        if call.step in MANY and await self._by_bytes(prompts[number], call) + needed <= limit:
            return replace(call, messages=prompts[number])

        async def left(number: int) -> int:
            return limit - await self._size(prompts[number], call)

        room = await left(number)
        if room < needed:
            low, number = number, len(prompts) - 1
            room = await left(number)
            if room < needed:
                needed = max(1, needed // 2)
            if room < needed:
                self.limits |= {SKIPPED[call.step]} if call.step in SKIPPED else set()
                raise NoRoom
            while number - low > 1:
                middle = (low + number) // 2
                found = await left(middle)
                low, number, room = (
                    (low, middle, found) if found >= needed else (middle, number, room)
                )
        self._dropped[call.step] = number
        if number:
            self.limits.add(HISTORY)
        tokens = None if call.max_tokens is None else min(call.max_tokens, room)
        return replace(call, messages=prompts[number], max_tokens=tokens)

    async def _by_bytes(self, messages: tuple[Message, ...], call: Call) -> int:
        """Return a number of tokens that a prompt cannot exceed, near its true one.

        The turns before the last are counted once for all prompts that end differently.
        """
        *before, last = messages
        counted = await self._size((*before, Message(role=last.role, content="?")), call)
        return counted + at_most((last,)) - A_TEMPLATE

    async def _size(self, messages: tuple[Message, ...], call: Call) -> int:
        """Return a prompt's tokens: counted by the server, or guessed."""
        said = (call.thinks, tuple((turn.role, turn.text) for turn in messages))
        if said not in self._sizes:
            counted = await self._counted(messages, call)
            self._sizes[said] = self.guess.of(messages) if counted is None else counted
        return self._sizes[said]

    async def _counted(self, messages: tuple[Message, ...], call: Call) -> int | None:
        if self._model is None or not self._counts:
            return None
        template = self._model.template(call)
        count = await self._model.context.count(messages, template, self._affinity)
        self._counts = count is not None  # a server that is too busy to count is not asked again
        return count


def _asked(call: Call, needed: int) -> int:
    """Return what the server will set aside for the reply."""
    return max(needed, call.max_tokens or 0)
