"""What a reader is told of a review as it goes: the status line of Open WebUI.

Fixed words and numbers, nothing else: a chat frontend keeps the lines with the chat, where no
criterion and no word of a draft that was never accepted may turn up (docs/adr/0018).
"""

from collections.abc import Mapping

from models.messages import Json
from revision.events import Stage, StageBegan
from revision.review import Review, Status

BROKEN_OFF = "Stopped by an error"

_ONE_OR_MORE: Mapping[Stage, tuple[str, str]] = {
    "draft": ("Drafting", "Writing {} drafts"),
    "retrieve": ("Looking up what matters here", "Looking up what matters here"),
    "rubric": ("Choosing criteria", "Choosing criteria"),
    "critique": ("Checking {} criterion", "Checking {} criteria"),
    "revise": ("Revising", "Revising"),
    "merge": ("Merging the drafts", "Merging {} drafts"),
    "recheck": ("Checking {} criterion again", "Checking {} criteria again"),
}
_ENDED: Mapping[Status, str] = {
    "clean": "Checked",
    "revised": "Checked and revised",
    "kept_draft": "Checked, not revised",
}


def begun(event: StageBegan) -> str:
    """Return what is being done now."""
    one, more = _ONE_OR_MORE[event.stage]
    count = 1 if event.count is None else event.count
    return (one if count == 1 else more).format(count)


def ended(review: Review) -> str:
    """Return how the answer was reviewed, which stays to be read beside it."""
    if review.status == "off":
        calls = bool(review.best.answer.tool_calls)
        return "Not checked: a tool is called" if calls else "Not checked"
    critique = review.best.critique
    if review.status == "unreviewed" or critique is None:
        return "Could not be checked in full"
    met, of = len(critique.met), len(critique.judgements)
    return f"{_ENDED[review.status]}: {met} of {of} criteria met"


def event(description: str, *, done: bool) -> dict[str, Json]:
    """Return the event that Open WebUI shows; its line shimmers until one is `done`."""
    return {"type": "status", "data": {"description": description, "done": done}}
