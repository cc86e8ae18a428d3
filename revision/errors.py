"""What can go wrong in a step of the loop, beside `models.errors` and `retrieval.errors`.

RevisionError
├── DeadlinePassed   the request's time is up
│   └── ShareSpent   the step's share of it is
├── Unparsable       a model's reply to a hidden step could not be read, even after one retry
├── JudgeUnfit       the judge has not shown that it can judge, and is not to be used then
├── StepBroke        a step failed as nobody foresaw, which is a mistake of ours
└── EmptyDraft       the model gave no answer to review, even after one retry
"""


class RevisionError(Exception):
    """A step of the loop failed."""


class DeadlinePassed(RevisionError):  # noqa: N818  # named after the state, as in the tree above
    """The request's time is up."""


class ShareSpent(DeadlinePassed):
    """The step's share of the request's time is up; others may go on."""


class Unparsable(RevisionError):  # noqa: N818
    """A hidden step's reply could not be read; it never counts as a verdict."""


class JudgeUnfit(RevisionError):  # noqa: N818
    """The judge failed the known answers, or was not yet asked them."""


class StepBroke(RevisionError):  # noqa: N818
    """A step raised what it must not; the log says what."""


class EmptyDraft(RevisionError):  # noqa: N818
    """The model gave an empty answer."""
