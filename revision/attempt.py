"""One attempt at a better answer, and how it was made."""

from dataclasses import dataclass
from typing import Literal

from models.messages import Completion
from revision.apply import Change

By = Literal["edits", "rewrite", "merge"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """A candidate. `changes` are what became of each edit; none where it was written whole."""

    answer: Completion
    by: By
    changes: tuple[Change, ...] = ()
