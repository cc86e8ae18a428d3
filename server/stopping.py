"""Ending on SIGTERM without dropping anybody.

The first signal closes the door: `/readyz` says so, nothing new begins, and what runs goes on.
The listener stays open meanwhile, since a load balancer that is refused connections learns less
than one that is told 503. When all is answered, or the grace is over, what still runs is handed
back: a review gives the best answer it has, the others an error, streams with `[DONE]`. A second
signal ends everything at once.
"""

import asyncio
import logging
from collections.abc import Callable
from types import FrameType

import uvicorn

from server.admission import Admission

log = logging.getLogger("clinalign")

FLUSH_S = 2.0
"""For what was handed back to reach its clients."""


class Drained(uvicorn.Server):
    """Uvicorn that drains first.

    Args:
        config: uvicorn's own.
        admission: returns the door to close, None before the application is up.
        grace_s: for requests that run.

    """

    def __init__(
        self, config: uvicorn.Config, *, admission: Callable[[], Admission | None], grace_s: float
    ) -> None:
        config.timeout_graceful_shutdown = max(1, round(FLUSH_S))
        super().__init__(config)
        self.forced = False
        self._admission = admission
        self._grace_s = grace_s
        self._is_told = False
        self._began_at: float | None = None
        self._handed_back_at: float | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002  # uvicorn's
        """Take a signal; the loop acts on it at its next tick."""
        if not self._is_told:
            self._is_told = True
            self._captured_signals.append(sig)
        else:
            self.forced = self.force_exit = self.should_exit = True

    async def on_tick(self, counter: int) -> bool:
        """Return whether it is time to end."""
        is_over = await super().on_tick(counter)
        return is_over or (self._is_told and self._has_drained())

    def _has_drained(self) -> bool:
        now = asyncio.get_running_loop().time()
        door = self._admission()
        if self._began_at is None:
            self._began_at = now
            running = len(self.server_state.tasks)
            log.info("stopping: %d running, at most %.0f s", running, self._grace_s)
            if door is not None:
                door.close()
        if not self.server_state.tasks:
            return True
        if self._handed_back_at is None and now - self._began_at >= self._grace_s:
            self._handed_back_at = now
            log.warning("stopping: the grace is over, handing back what still runs")
            if door is not None:
                door.hand_back()
        return self._handed_back_at is not None and now - self._handed_back_at >= FLUSH_S
