"""A chat model that plays a script: for tests, demonstrations and reading the loop.

It is a real implementation of the protocol and fails loudly: a call that no line of the script
answers is an error, so a test that passes has seen exactly the calls it expected.
"""

from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import TypeAlias

from models.messages import Call, Completion, Delta, Usage

Line: TypeAlias = str | Completion | Exception | Callable[[Call], "str | Completion"]


class ScriptExhausted(AssertionError):  # noqa: N818  # a failed expectation, like AssertionError
    """A step was called more often than its script says."""


class ScriptedModel:
    """Answers each step's calls by its list of lines, in order.

    A line is the reply's text, a whole `Completion`, an exception to raise, or a function of the
    call. A step whose script is a single function answers any number of calls. Every call is kept
    in `calls`.
    """

    def __init__(
        self,
        script: Mapping[str, Sequence[Line] | Callable[[Call], str | Completion]],
        *,
        name: str = "scripted",
    ) -> None:
        self.name = name
        self.calls: list[Call] = []
        self._script = script
        self._position: defaultdict[str, int] = defaultdict(int)

    async def complete(self, call: Call) -> Completion:
        """Return the next line of the call's step."""
        self.calls.append(call)
        line = self._next(call.step)
        if isinstance(line, Exception):
            raise line
        spoken = line(call) if callable(line) else line
        if isinstance(spoken, Completion):
            return spoken
        words = sum(len(turn.text.split()) for turn in call.messages)
        usage = Usage(prompt_tokens=words, completion_tokens=len(spoken.split()))
        return Completion(text=spoken, finish_reason="stop", usage=usage)

    async def stream(self, call: Call) -> AsyncIterator[Delta | Completion]:
        """Yield the next line word by word, then whole."""
        completion = await self.complete(call)
        for word in completion.text.split(" "):
            yield Delta(text=word)
        yield completion

    def _next(self, step: str) -> Line:
        lines = self._script.get(step, ())
        if callable(lines):
            return lines
        position = self._position[step]
        self._position[step] += 1
        if position >= len(lines):
            raise ScriptExhausted(f"the script has {len(lines)} lines for the step {step!r}")
        return lines[position]
