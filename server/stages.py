"""Which hidden stages are under way: a fold over the loop's events.

Draft, search and rubric overlap, so a stage is not over just because another one has begun.
"""

from collections.abc import Mapping
from typing import get_args

from revision.events import (
    Critiqued,
    Decided,
    Drafted,
    Event,
    Found,
    PreparationFailed,
    RubricReady,
    Stage,
    StageBegan,
    Stopped,
)

_ENDS: Mapping[type[Event], tuple[Stage, ...]] = {
    Drafted: ("draft",),
    Found: ("retrieve",),
    RubricReady: ("rubric",),
    PreparationFailed: ("retrieve", "rubric"),
    Critiqued: ("critique", "recheck"),
    Decided: ("revise", "merge"),
    Stopped: get_args(Stage),
}


class Stages:
    """The stages that have begun and not ended, in the order in which they began."""

    def __init__(self) -> None:
        self._running: dict[Stage, StageBegan] = {}

    def __str__(self) -> str:
        return ", ".join(map(told, self._running.values())) or "waiting"

    def see(self, event: Event) -> None:
        """Take one event."""
        for stage in ended_by(event):
            self._running.pop(stage, None)
        if isinstance(event, StageBegan):
            self._running[event.stage] = event


def told(began: StageBegan) -> str:
    """Return a stage's name, and what it works on in numbers."""
    return began.stage if began.count is None else f"{began.stage} {began.count}"


def ended_by(event: Event) -> tuple[Stage, ...]:
    """Return the stages that are over when this has happened, as far as they were under way."""
    if isinstance(event, StageBegan):
        return ("revise", "merge") if event.stage == "recheck" else ()
    return _ENDS.get(type(event), ())
