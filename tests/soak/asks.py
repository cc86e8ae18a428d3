"""What the soak asks, what goes wrong on purpose, and which outcomes are right.

A fault is told to the fake model server by words in the question, so that it strikes the steps of
that one request and no other, on every attempt.
"""

import json
import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from models import sse
from tests.fakes.library import QUESTION, SIGNS
from tests.fakes.vllm import (
    DEFAULTS,
    REVISED,
    Answer,
    Body,
    Cut,
    Hang,
    Raw,
    Reply,
    Rule,
    Slow,
    Status,
    Unfinished,
    lacks,
)
from tests.server.gateway import asking

SHARE = 0.1
"""Of the requests that are cancelled, of those that fail, and of those that are slow."""
REPEATED = 0.05
HANGS_MS = 1500
"""The deadline of a request that meets a call that hangs."""
LATE_S = 0.5
"""Invariant I3: how much later than its deadline an answer may come."""
MACHINE_S = 2.0
"""And what a busy machine adds to that."""

STEPS = ("draft", "rubric", "judge", "critique", "revise")
MODES = ("draft", "fast", "standard", "thorough")
FAULTS: Mapping[str, Reply] = {
    "broken": Status(status=500),
    "busy": Status(status=429, headers={"retry-after": "0.2"}),
    "cut": Cut(headers=False),
    "cut-after-headers": Cut(),
    "garbage": Raw(writes=(b"<html>busy</html>",)),
    "empty": Answer(text=""),
    "unfinished": Unfinished(text="Rest in "),
    "hang": Hang(),
}
NO_ANSWER = frozenset({502, 503, 504})
REVIEWED = frozenset({"clean", "revised", "kept_draft"})

_CASE = re.compile(r"\(case: (?P<step>[\w-]+) (?P<fault>[\w-]+)\)")
_WELL: Mapping[str, Rule] = {**DEFAULTS, "judge": lacks(SIGNS, unless=REVISED), "restate": QUESTION}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One request. `leaves_s` is after how long its client leaves, `key` what repeats it."""

    mode: str
    stream: bool
    responses: bool = False
    step: str | None = None
    fault: str | None = None
    leaves_s: float | None = None
    key: str | None = None

    @property
    def path(self) -> str:
        return "/v1/responses" if self.responses else "/v1/chat/completions"

    @property
    def body(self) -> dict[str, Any]:
        case = f" (case: {self.step} {self.fault})" if self.step else ""
        wishes = {"deadline_ms": HANGS_MS} if self.fault == "hang" else {}
        asked = asking(self.mode, stream=self.stream, revision={"mode": self.mode, **wishes})
        turn = {"role": "user", "content": QUESTION + case}
        if not self.responses:
            return asked | {"messages": [turn]}
        return {name: asked[name] for name in asked if name != "messages"} | {"input": [turn]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What came of a request; `error` is the error's code, told by a status or inside a stream."""

    status: int
    seconds: float
    text: str = ""
    error: str | None = None
    review: str | None = None
    whole: bool = True


def drawn(chance: random.Random) -> Ask:
    """Draw a request."""
    mode, stream = chance.choice(MODES), chance.random() < 0.5
    responses = chance.random() < 0.25
    lot = chance.random()
    if lot < SHARE:
        leaves_s = chance.uniform(0, 0.8)
        return Ask(mode=mode, stream=stream, responses=responses, leaves_s=leaves_s)
    step = chance.choice(STEPS) if mode != "draft" else "draft"
    if lot < 2 * SHARE:
        fault = chance.choice(sorted(FAULTS))
        return Ask(mode=mode, stream=stream, responses=responses, step=step, fault=fault)
    if lot < 3 * SHARE:
        return Ask(mode=mode, stream=stream, responses=responses, step=step, fault="slow")
    if lot < 3 * SHARE + REPEATED and mode != "draft":
        return Ask(mode=mode, stream=False, key=f"key-{chance.getrandbits(64)}")
    return Ask(mode=mode, stream=stream, responses=responses)


def script() -> dict[str, Rule]:
    """Return the script of a model server that fails where the question says so."""
    return {step: _unless_told(step, rule) for step, rule in _WELL.items()}


def _unless_told(step: str, well: Rule) -> Callable[[Body], Reply]:
    chance = random.Random(step)  # noqa: S311  # no secret

    def answer(body: Body) -> Reply:
        reply = well(body) if callable(well) else well
        told = _CASE.search(json.dumps(body.get("messages", "")))
        if told is None or not step.startswith(told["step"]):
            return reply  # type: ignore[return-value]  # no rule here is a list
        if told["fault"] == "slow":
            return Slow(seconds=chance.uniform(0.2, 1.0), reply=reply)  # type: ignore[arg-type]
        return FAULTS[told["fault"]]

    return answer


def complaint(  # noqa: PLR0911  # one for each thing that can be wrong
    ask: Ask, seen: Seen
) -> str | None:
    """Say what is wrong with an outcome, if anything is; a broken replica excuses some streams."""
    if ask.fault == "hang" and seen.seconds > HANGS_MS / 1000 + LATE_S + MACHINE_S:
        return f"came after {seen.seconds:.1f} s"
    if not seen.whole:
        return "a stream without its end"
    if seen.error is not None:
        expected = ask.step == "draft" and ask.fault not in {None, "slow"}
        right = seen.status == 200 or seen.status in NO_ANSWER
        return None if expected and right else f"{seen.status} {seen.error}"
    if seen.status != 200:
        return f"{seen.status} without an error"
    if not seen.text.strip() and ask.mode != "draft":
        return "an empty answer"
    if ask.mode != "draft" and ask.step == "draft" and ask.fault not in {"slow", None}:
        return "an answer without a draft"
    if ask.step == "judge" and ask.fault != "slow" and seen.review in REVIEWED:
        return f"{seen.review} without a judge"
    if ask.step == "revise" and ask.fault not in {"slow", None} and seen.review == "revised":
        return None if ask.mode == "thorough" else "revised without a revision"  # or by the merge
    return None


def read_chat(data: Mapping[str, Any]) -> tuple[str, str | None, str | None]:
    """Return a whole answer's text, error code and review status, of either API."""
    if data.get("error"):
        return "", str(data["error"]["code"]), None
    review = (data.get("revision") or {}).get("status")
    if "choices" in data:
        return data["choices"][0]["message"].get("content") or "", None, review
    texts = [
        part.get("text", "") for item in data.get("output", ()) for part in item.get("content", ())
    ]
    return "".join(texts), None, review


def read_stream(ask: Ask, frames: list[bytes]) -> tuple[str, str | None, str | None, bool]:
    """Return a stream's text, error code, review status, and whether it came to an end."""
    datas = [data for frame in frames if (data := sse.data_of(frame))]
    bodies = [json.loads(data) for data in datas if data != sse.DONE]
    if ask.responses:
        return _read_responses(bodies)
    whole = bool(datas) and datas[-1] == sse.DONE
    text, review, error = "", None, None
    for body in bodies:
        if body.get("error"):
            error = str(body["error"]["code"])
        for choice in body.get("choices") or ():
            text += choice["delta"].get("content") or ""
        review = (body.get("revision") or {}).get("status", review)
    return text, error, review, whole and (error is not None or review is not None)


def _read_responses(bodies: list[dict[str, Any]]) -> tuple[str, str | None, str | None, bool]:
    last = bodies[-1] if bodies else {}
    whole = last.get("type") in {"response.completed", "response.incomplete", "response.failed"}
    text, error, review = read_chat(last.get("response") or {})
    return text, error, review, whole or last.get("type") == "error"
