"""A proposed change: the answer that is there, the candidate for its place, and the reasons."""

from dataclasses import dataclass
from functools import cached_property

from models.messages import Completion
from revision.conversation import Conversation
from revision.critique import Critique, Finding
from revision.form import AnswerForm, words
from revision.points import Said, said
from revision.rejected import Rejected, rejected
from revision.wanted_form import WantedForm, wanted_form

MOST_ASKED = 4000
"""Characters of the user's last words, from their end, in which wishes are looked for."""


@dataclass(frozen=True, kw_only=True)  # not slotted: cached_property keeps its value in __dict__
class Change:
    """An answer and the candidate to replace it, with all that may speak for the change.

    `critique` and `findings` are of the answer that is there, not of the candidate.
    """

    best: Completion
    candidate: Completion
    conversation: Conversation
    form: AnswerForm
    critique: Critique | None = None
    findings: tuple[Finding, ...] = ()

    @cached_property
    def texts_before(self) -> tuple[str, ...]:
        """What the answer says: of JSON the values, of prose all."""
        return _said(self.best.text.strip(), self.form)

    @cached_property
    def texts_after(self) -> tuple[str, ...]:
        """What the candidate says."""
        return _said(self.candidate.text.strip(), self.form)

    @cached_property
    def before(self) -> Said:
        """What the answer says, point by point."""
        return said(self.texts_before)

    @cached_property
    def after(self) -> Said:
        """What the candidate says, point by point."""
        return said(self.texts_after)

    @cached_property
    def rejected(self) -> Rejected:
        """What the critique found wrong."""
        return rejected(self.critique, self.findings)

    @cached_property
    def wanted(self) -> WantedForm:
        """The form that the operator and the user's last words ask for."""
        turns = self.conversation.messages
        operator = [one.text for one in turns if one.role in {"system", "developer"}]
        return wanted_form([*operator, self.asked])

    @property
    def should_shorten(self) -> bool:
        """Whether the user or the critique wants it short."""
        return (
            self.conversation.asks_for_brevity or bool(self.wanted.limits) or self.rejected.length
        )

    @property
    def asked(self) -> str:
        """The end of the user's last words."""
        turns = self.conversation.messages
        return next((one.text[-MOST_ASKED:] for one in reversed(turns) if one.role == "user"), "")


def _said(text: str, form: AnswerForm) -> tuple[str, ...]:
    """Return what an answer says: the values if it is JSON or holds it, as in a fence; else all."""
    value = form.read(text) or form.read(text[text.find("{") : text.rfind("}") + 1])
    return (text,) if value is None else tuple(words(value))
