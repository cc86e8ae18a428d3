"""What of the review is given up when more is asked than the model server can do.

A worse review for all is better than none for some, as long as it says so: first the rounds, then
the rubric, then the review. The operator's minimum holds under any pressure.
"""

from dataclasses import replace
from typing import Literal

from revision.policy import MODES, Mode, Policy, policy_for
from revision.review import Review

Rung = Literal["fewer_rounds", "fast", "draft"]

RUNGS: tuple[tuple[float, Rung], ...] = ((0.75, "draft"), (0.5, "fast"), (0.25, "fewer_rounds"))
"""From which fullness of the queue on a request that begins is cut to what."""

_AS_PLANNED = frozenset({"all_met", "no_gain", "max_rounds", "off"})


def rung_for(pressure: float) -> Rung | None:
    """Return what a request that begins now is cut to."""
    return next((rung for least, rung in RUNGS if pressure >= least), None)


def lowered(policy: Policy, rung: Rung | None, *, floor: Mode) -> Policy:
    """Return the policy under pressure; its mode never falls below `floor`."""
    if rung is None or not policy.reviewed:
        return policy
    fewer = replace(policy, max_rounds=max(0, policy.max_rounds - 1), drafts=1)
    mode: Mode = policy.mode if rung == "fewer_rounds" else rung
    mode = max(mode, floor, key=MODES.index)
    if MODES.index(mode) >= MODES.index(policy.mode):
        return fewer
    cut = policy_for(mode, max_rounds=fewer.max_rounds, top_k=policy.top_k)
    return replace(cut, live_draft=policy.live_draft)


def told(review: Review, asked: Policy, given: Policy) -> Review:
    """Say `overload` where the cut decided how the review ended; a failure tells itself."""
    if review.stop_reason not in _AS_PLANNED or given == asked:
        return review
    if given.mode == asked.mode and review.stop_reason != "max_rounds":
        return review
    return replace(review, stop_reason="overload")
