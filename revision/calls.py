"""The model calls of one request: bounded by one deadline, counted, seeded.

Every call of a request goes through here, so that the usage a client sees is the sum of what its
request has really cost, and no step can outlive the request's time.
"""

import asyncio
import hashlib
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from typing import Literal

from models.errors import ModelError, ModelTimeout
from models.messages import Call, Completion, Delta, Usage
from models.protocols import ChatModel
from revision.control_tokens import harmless_turn
from revision.errors import DeadlinePassed

Step = Literal["draft", "rubric", "critique", "revise"]
"""What a call's cost is booked under, as the response extension names it."""


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
        seed: the client's seed; each step derives its own from it.
        affinity: keeps the calls of one request on one replica.
        parallel: how many judgements may run at once.

    """

    def __init__(
        self,
        *,
        writer: ChatModel,
        judge: ChatModel,
        deadline: float,
        seed: int | None = None,
        affinity: str = "",
        parallel: int = 16,
    ) -> None:
        self.records: list[CallRecord] = []
        self.deadline = deadline
        self._writer = writer
        self._judge = judge
        self._seed = seed
        self._affinity = affinity
        self._gate = asyncio.Semaphore(parallel)
        self._seeded: Counter[str] = Counter()

    def time_left(self) -> float:
        """Return the seconds until the deadline, never below 0."""
        return max(0.0, self.deadline - asyncio.get_running_loop().time())

    async def write(self, step: Step, call: Call) -> Completion:
        """Have the writer answer.

        Raises:
            ModelError: as the model says.
            DeadlinePassed: the request's time was up first.

        """
        return await self._complete(self._writer, step, call)

    async def judge(self, call: Call) -> Completion:
        """Have the judge answer, with no more calls at once than the engine likes."""
        async with self._gate:
            return await self._complete(self._judge, "critique", call)

    async def stream(self, step: Step, call: Call) -> AsyncIterator[Delta | Completion]:
        """Have the writer answer piece by piece; the last piece is the whole."""
        started = asyncio.get_running_loop().time()
        pieces = self._writer.stream(self._prepare(step, call))
        try:
            while True:
                async with asyncio.timeout_at(self.deadline):
                    piece = await anext(pieces, None)
                if piece is None:
                    return
                if isinstance(piece, Completion):
                    self._book(step, started, piece.usage)
                yield piece
        except (TimeoutError, ModelError) as error:
            self._book(step, started, Usage(), error)
            raise self._in_time(error) from None
        finally:
            if hasattr(pieces, "aclose"):
                await pieces.aclose()

    async def _complete(self, model: ChatModel, step: Step, call: Call) -> Completion:
        started = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout_at(self.deadline):
                completion = await model.complete(self._prepare(step, call))
        except (TimeoutError, ModelError) as error:
            self._book(step, started, Usage(), error)
            raise self._in_time(error) from None
        self._book(step, started, completion.usage)
        return completion

    def _prepare(self, step: Step, call: Call) -> Call:
        """Return the call as it goes out; here, so that no hidden prompt is forgotten."""
        messages = call.messages if step == "draft" else tuple(map(harmless_turn, call.messages))
        return replace(
            call,
            messages=messages,
            deadline=self.deadline,
            affinity=self._affinity,
            seed=self._derived_seed(call.step) if call.seed is None else call.seed,
        )

    def _derived_seed(self, step: str) -> int | None:
        """Return a seed of the step's own, so that no two steps sample alike."""
        if self._seed is None:
            return None
        self._seeded[step] += 1
        text = f"{self._seed}:{step}:{self._seeded[step]}".encode()
        return int.from_bytes(hashlib.blake2b(text, digest_size=4).digest()) >> 1

    def _in_time(self, error: Exception) -> Exception:
        """Call a timeout at the deadline by its name."""
        late = isinstance(error, TimeoutError | ModelTimeout) and self.time_left() <= 0
        return DeadlinePassed("the request's time is up") if late else error

    def _book(
        self, step: Step, started: float, usage: Usage, error: Exception | None = None
    ) -> None:
        seconds = asyncio.get_running_loop().time() - started
        name = type(error).__name__ if error else None
        self.records.append(CallRecord(step=step, seconds=seconds, usage=usage, error=name))


def usage_by_step(records: list[CallRecord]) -> dict[Step, Usage]:
    """Return what each step has cost; a step without calls is left out."""
    spent: dict[Step, Usage] = {}
    for record in records:
        spent[record.step] = spent.get(record.step, Usage()) + record.usage
    return spent


def total_usage(records: list[CallRecord]) -> Usage:
    """Return what all calls have cost."""
    return sum((record.usage for record in records), Usage())
