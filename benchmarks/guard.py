"""How often the guard refuses harmful revisions, and how often good ones, on pairs of our own.

    python -m benchmarks.guard [--each]

`data/guard_pairs.jsonl` has one pair a line: an answer, a candidate for its place, the question,
what the critique rejected and which cited criteria there were, whether taking the candidate would
harm, and the rule that should say so (`new`: what is new goes to a judgement of its own). The sets
were written one after the other: each was measured before the lists were mended by it, and those
first readings are in the log. `--each` names every pair that comes out otherwise than it should.
"""

import argparse
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from models.messages import Completion, Message
from revision.change import Change
from revision.conversation import Conversation
from revision.critique import Critique, Finding, Judgement, Verdict
from revision.form import AnswerForm
from revision.guard import inspect
from revision.rubric import Criterion, Rubric

PAIRS = Path(__file__).parent / "data" / "guard_pairs.jsonl"
Outcome = Literal["refused", "held", "let through"]
_95 = 1.959964


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One labelled pair."""

    id: str
    set: str
    rule: str
    harmful: bool
    change: Change

    @property
    def reason(self) -> str | None:
        """What the guard says: its objection, `new` where something is to be judged, or None."""
        found = inspect(self.change)
        return found.objection or ("new" if found.unsupported else None)


def pairs(path: Path = PAIRS) -> list[Pair]:
    """Return the labelled pairs."""
    lines = map(json.loads, path.read_text("utf-8").splitlines())
    return [
        Pair(
            id=line["id"],
            set=line["set"],
            rule=line["rule"],
            harmful=line["harmful"],
            change=_change(line),
        )
        for line in lines
    ]


def wilson(hits: int, of: int) -> tuple[float, float]:
    """Return Wilson's 95% interval of a share."""
    if not of:
        return 0.0, 1.0
    share, z2 = hits / of, _95**2
    middle = (share + z2 / (2 * of)) / (1 + z2 / of)
    half = _95 / (1 + z2 / of) * math.sqrt(share * (1 - share) / of + z2 / (4 * of**2))
    return max(0.0, middle - half), min(1.0, middle + half)


def outcome(reason: str | None) -> Outcome:
    """Return what becomes of a candidate by the guard alone."""
    return "let through" if reason is None else "held" if reason == "new" else "refused"


def _change(line: Mapping[str, object]) -> Change:
    rejected: list[dict[str, object]] = line.get("rejected", [])  # type: ignore[assignment]
    cited: list[str] = line.get("cited", [])  # type: ignore[assignment]
    criteria = [_criterion(one) for one in rejected]
    criteria += [Criterion(text=text, points=5, origin="principle") for text in cited]
    verdicts = [Verdict.UNMET] * len(rejected) + [Verdict.MET] * len(cited)
    return Change(
        best=Completion(text=str(line["draft"]), finish_reason="stop"),
        candidate=Completion(text=str(line["candidate"]), finish_reason="stop"),
        conversation=Conversation(
            messages=(Message(role="user", content=str(line["question"])),),
        ),
        form=AnswerForm(),
        critique=Critique(
            rubric=Rubric(criteria=tuple(criteria), made_by="retrieval"),
            judgements=tuple(Judgement(verdict=one) for one in verdicts),
        ),
        findings=tuple(
            Finding(criterion=number, problem=str(one["problem"]), remedy="")
            for number, one in enumerate(rejected)
            if one.get("problem")
        ),
    )


def _criterion(one: Mapping[str, object]) -> Criterion:
    return Criterion(
        text=str(one["text"]),
        points=int(str(one.get("points", 5))),
        kind="forbid" if one["kind"] == "forbid" else "require",
        critical=bool(one.get("critical", False)),
        origin="principle",
    )


def _row(name: str, listed: Iterable[tuple[Pair, str | None]]) -> str:
    """Return one line of the table."""
    listed = list(listed)
    cells = [name]
    for harmful in (True, False):
        reasons = [reason for pair, reason in listed if pair.harmful is harmful]
        ends = [outcome(reason) for reason in reasons]
        stopped = sum(end != "let through" for end in ends) if harmful else ends.count("refused")
        hits = stopped if harmful else len(ends) - stopped
        low, high = wilson(hits, len(ends))
        share = hits / len(ends) if ends else math.nan
        cells += [f"{hits} of {len(ends)}", f"{share:.3f} ({low:.3f} to {high:.3f})"]
        cells.append(str(ends.count("held")))
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    """Print both rates, set by set."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--each", action="store_true", help="name what comes out otherwise")
    each = parser.parse_args().each
    found = [(pair, pair.reason) for pair in pairs()]
    print("| pairs | harmful stopped | share (95%) | of these held | good not refused ", end="")
    print("| share (95%) | of these held |\n|---|--:|--:|--:|--:|--:|--:|")
    for name in dict.fromkeys(pair.set for pair, _ in found):
        print(_row(name, [(pair, reason) for pair, reason in found if pair.set == name]))
    print(_row("all", found))
    for pair, reason in found if each else ():
        wrong = reason != pair.rule if pair.harmful else outcome(reason) == "refused"
        if wrong:
            print(f"{pair.id}: {'harmful' if pair.harmful else 'good'}, {pair.rule}: {reason}")


if __name__ == "__main__":
    main()
