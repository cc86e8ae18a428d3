"""How the time of one request is shared among its steps.

One slow step must not eat the time of all: each ends early enough for what is worth more. The
draft may take everything, since nothing can replace it. What has a substitute gets a share: the
search, the worded rubric (the retrieved criteria serve), further drafts. A written critique may
take half of what the revision and its re-check can spare, whose times are only estimated. And
nothing is begun that cannot be finished: a revision without its re-check would be thrown away. How
long those take is told by what this very request has seen: a rewrite writes about as much as the
draft did, edits well under that, a re-check asks the same questions as the first one.
"""

import asyncio

SHARES = {"restate": 0.2, "retrieve": 0.35, "rubric": 0.4, "draft-2": 0.5, "draft-3": 0.5}
"""By when of the whole a step ends that has a substitute."""

EDITS = 0.6
"""Of the draft's time that edits of it take at most, as a rule."""


class TimePlan:
    """The times by which steps must end, on the event loop's clock, in seconds.

    `begins` is when the request came, `ends` when its last step must be over. The first draft may
    take until `draft_ends`: late and unreviewed is more than nothing.
    """

    def __init__(self, *, begins: float, ends: float, draft_ends: float | None = None) -> None:
        self.begins = begins
        self.ends = ends
        self.draft_ends = ends if draft_ends is None else draft_ends
        self._draft_s = 0.0
        self._judging_s = 0.0
        self._written = 1.0

    def left(self) -> float:
        """Return the seconds until the end, never below 0."""
        return max(0.0, self.ends - asyncio.get_running_loop().time())

    def ends_by(self, step: str) -> float:
        """Return when a step of that name must be over."""
        if step == "draft":
            return self.draft_ends
        if step in SHARES:
            return self.begins + SHARES[step] * (self.ends - self.begins)
        if step == "critique":
            needed = self._written * self._draft_s + self._judging_s
            return self.ends - needed - max(0.0, self.left() - needed) / 2
        if step in {"edit", "revise", "merge"}:
            return self.ends - self._judging_s
        return self.ends

    def has_time_for_round(self) -> bool:
        """Say whether a revision and its re-check can be done in what is left."""
        return self.left() > self._written * self._draft_s + self._judging_s

    def writes_less(self, *, by_edits: bool) -> None:
        """Note whether the next revision is one by edits."""
        self._written = EDITS if by_edits else 1.0

    def drafted(self, seconds: float) -> None:
        """Note how long the draft took."""
        self._draft_s = seconds

    def judged(self, seconds: float) -> None:
        """Note how long an answer's judging took, all criteria together."""
        self._judging_s = max(self._judging_s, seconds)
