"""What is known of the judges: how each did on the known answers."""

import asyncio

from revision.known_answers import Outcome


class Judges:
    """Outcomes by the judge's name. `unasked` is set where one was needed that is not there."""

    def __init__(self) -> None:
        self.outcomes: dict[str, Outcome] = {}
        self.unasked = asyncio.Event()

    def has_passed(self, name: str) -> bool:
        """Say whether the judge passed; one that was not asked yet has not."""
        outcome = self.outcomes.get(name)
        if outcome is None:
            self.unasked.set()
        return outcome is not None and outcome.passed

    @property
    def problem(self) -> str | None:
        """Which judges failed, if any."""
        failed = [f"{name}: {one}" for name, one in self.outcomes.items() if not one.passed]
        return "; ".join(failed) or None
