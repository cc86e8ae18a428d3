"""The model calls of one request: bounded in time, counted, seeded.

Every call of a request goes through here, so that the usage a client sees is the sum of what its
request has really cost, and no step can outlive its share of the request's time.
"""

import asyncio
import hashlib
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from typing import Literal

from models.errors import ContextOverflow, ModelError, ModelTimeout
from models.messages import Call, Completion, Delta, Usage
from models.protocols import ChatModel
from revision.control_tokens import harmless_turn
from revision.errors import DeadlinePassed, ShareSpent
from revision.plan_time import TimePlan
from revision.room import NoRoom, Room

Step = Literal["draft", "rubric", "critique", "revise"]
"""What a call's cost is booked under, as the response extension names it."""


DRAFTS = "draft"
"""Steps whose prompt is the user's own and stays as it is begin with this word."""

LATE_S = 0.05
"""A transport that gives up this little before a step's time is up gave up because of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRecord:
    """One finished call. `seconds` from sending to the last byte; `error` is a class name."""

    step: Step
    seconds: float
    usage: Usage = field(default_factory=Usage)
    error: str | None = None


class Calls:
    """Makes calls and keeps their records. One for each request.

    Args:
        writer: the model that drafts, words rubrics and revises.
        judge: the model that judges answers; often the same.
        deadline: a time of the event loop's clock, in seconds, after which nothing may run.
        review_by: the time by which all but the draft must be over, where that is earlier.
        seed: the client's seed; each step derives its own from it.
        affinity: keeps the calls of one request on one replica.
        salt: as in `Call`.
        parallel: how many judgements may run at once.
        room: makes hidden prompts fit the writer's context; `judge_room` the judge's, where that
            is another model.

    """

    def __init__(  # noqa: PLR0913  # by name, and no two of a kind
        self,
        *,
        writer: ChatModel,
        judge: ChatModel,
        deadline: float,
        review_by: float | None = None,
        seed: int | None = None,
        affinity: str = "",
        salt: str = "",
        parallel: int = 16,
        room: Room | None = None,
        judge_room: Room | None = None,
    ) -> None:
        self.records: list[CallRecord] = []
        self.deadline = deadline
        self.time = TimePlan(
            begins=asyncio.get_running_loop().time(),
            ends=deadline if review_by is None else min(deadline, review_by),
            draft_ends=deadline,
        )
        self.room = room or Room(None, ())
        self._judge_room = judge_room or self.room
        self._writer = writer
        self._judge = judge
        self._seed = seed
        self._affinity = affinity
        self._salt = salt
        self._gate = asyncio.Semaphore(parallel)
        self._seeded: Counter[str] = Counter()

    def time_left(self) -> float:
        """Return the seconds until the review must be over, never below 0."""
        return self.time.left()

    @property
    def limits(self) -> tuple[str, ...]:
        """What a lack of room has cost the review, as `revision.room` names it."""
        return tuple(sorted(self.room.limits | self._judge_room.limits))

    async def write(self, step: Step, call: Call) -> Completion:
        """Have the writer answer.

        Raises:
            ModelError: as the model says.
            DeadlinePassed: the request's time was up first; `ShareSpent` if only the step's.

        """
        return await self._complete(self._writer, self.room, step, call)

    async def judge(self, call: Call) -> Completion:
        """Have the judge answer, with no more calls at once than the engine likes."""
        async with self._gate:
            return await self._complete(self._judge, self._judge_room, "critique", call)

    async def has_room(self, call: Call) -> bool:
        """Say whether the writer's context holds a hidden call as it is.

        Raises:
            DeadlinePassed: that was not known in the step's time.

        """
        _, until = self._begin(call)
        try:
            async with asyncio.timeout_at(until):
                return await self.room.holds(call)
        except TimeoutError:
            raise self._too_late() from None

    async def stream(self, step: Step, call: Call) -> AsyncIterator[Delta | Completion]:
        """Have the writer answer piece by piece; the last piece is the whole."""
        started, until = self._begin(call)
        pieces = self._writer.stream(self._prepare(step, call, until))
        try:
            while True:
                async with asyncio.timeout_at(until):
                    piece = await anext(pieces, None)
                if piece is None:
                    return
                if isinstance(piece, Completion):
                    self.room.learn(call, piece)
                    self._book(step, started, piece.usage)
                yield piece
        except (TimeoutError, ModelError) as error:
            self._book(step, started, _spent(error), error)
            raise self._in_time(error, until) from None
        finally:
            if hasattr(pieces, "aclose"):
                await pieces.aclose()

    async def _complete(self, model: ChatModel, room: Room, step: Step, call: Call) -> Completion:
        started, until = self._begin(call)
        try:
            async with asyncio.timeout_at(until):
                completion = await _fitted(model, room, self._prepare(step, call, until))
        except NoRoom:
            raise  # there was no call
        except (TimeoutError, ModelError) as error:
            self._book(step, started, _spent(error), error)
            raise self._in_time(error, until) from None
        self._book(step, started, completion.usage)
        return completion

    def _begin(self, call: Call) -> tuple[float, float]:
        """Return the time, and by when the call must be over.

        Raises:
            DeadlinePassed: that was before now; a call that must fail is none.

        """
        now, until = asyncio.get_running_loop().time(), self.time.ends_by(call.step)
        if until <= now:
            raise self._too_late()
        return now, until

    def _prepare(self, step: Step, call: Call, until: float) -> Call:
        """Return the call as it goes out; here, so that no hidden prompt is forgotten."""
        messages = call.messages if step == "draft" else tuple(map(harmless_turn, call.messages))
        return replace(
            call,
            messages=messages,
            deadline=until,
            affinity=self._affinity,
            salt=self._salt,
            seed=self._derived_seed(call.step) if call.seed is None else call.seed,
        )

    def _derived_seed(self, step: str) -> int | None:
        """Return a seed of the step's own, so that no two steps sample alike."""
        if self._seed is None:
            return None
        self._seeded[step] += 1
        text = f"{self._seed}:{step}:{self._seeded[step]}".encode()
        return int.from_bytes(hashlib.blake2b(text, digest_size=4).digest()) >> 1

    def _in_time(self, error: Exception, until: float) -> Exception:
        """Call a timeout at the end of the step's time by its name."""
        now = asyncio.get_running_loop().time()
        late = isinstance(error, TimeoutError | ModelTimeout) and now >= until - LATE_S
        return self._too_late() if late else error

    def _too_late(self) -> DeadlinePassed:
        if self.time.left() <= LATE_S:
            return DeadlinePassed("the request's time is up")
        return ShareSpent("the step's share of the request's time is up")

    def _book(
        self, step: Step, started: float, usage: Usage, error: Exception | None = None
    ) -> None:
        seconds = asyncio.get_running_loop().time() - started
        name = type(error).__name__ if error else None
        if step == "draft" and error is None:
            self.time.drafted(seconds)
        self.records.append(CallRecord(step=step, seconds=seconds, usage=usage, error=name))


async def _fitted(model: ChatModel, room: Room, call: Call) -> Completion:
    """Make the call, a hidden one so that it fits; refused all the same, once more and shorter."""
    if call.step.startswith(DRAFTS):
        sent = call
        completion = await model.complete(call)
    else:
        sent = await room.fit(call)
        try:
            completion = await model.complete(sent)
        except ContextOverflow as refused:
            sent = await room.refit(call, sent, refused)
            completion = await model.complete(sent)
    room.learn(sent, completion)
    return completion


def _spent(error: Exception) -> Usage:
    return error.spent if isinstance(error, ModelError) else Usage()


def usage_by_step(records: list[CallRecord]) -> dict[Step, Usage]:
    """Return what each step has cost; a step without calls is left out."""
    spent: dict[Step, Usage] = {}
    for record in records:
        spent[record.step] = spent.get(record.step, Usage()) + record.usage
    return spent


def total_usage(records: list[CallRecord]) -> Usage:
    """Return what all calls have cost."""
    return sum((record.usage for record in records), Usage())
