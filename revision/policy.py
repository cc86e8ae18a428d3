"""How much review a request gets: the four modes as numbers."""

from dataclasses import dataclass
from typing import Literal

Mode = Literal["draft", "fast", "standard", "thorough"]
MODES: tuple[Mode, ...] = ("draft", "fast", "standard", "thorough")
"""From the least review to the most."""

DEFAULT_TOP_K = 8
DEFAULT_ROUNDS: dict[Mode, int] = {"draft": 0, "fast": 1, "standard": 1, "thorough": 2}
THOROUGH_DRAFTS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What one request may do. Rounds count attempts at a better answer, rejected ones too."""

    mode: Mode
    max_rounds: int
    top_k: int = DEFAULT_TOP_K
    drafts: int = 1
    live_draft: bool = False

    @property
    def reviewed(self) -> bool:
        """Whether the answer is reviewed at all."""
        return self.mode != "draft"

    @property
    def words_rubric(self) -> bool:
        """Whether a model words the rubric; else the retrieved criteria serve as they are."""
        return self.mode in {"standard", "thorough"}

    @property
    def explains(self) -> bool:
        """Whether unmet criteria get a written critique before the revision."""
        return self.mode in {"standard", "thorough"}


def at_least(minimum: Mode, mode: Mode) -> Mode:
    """Return the mode, or the minimum where that reviews more."""
    return max(minimum, mode, key=MODES.index)


def policy_for(
    mode: Mode,
    *,
    max_rounds: int | None = None,
    top_k: int | None = None,
    live_draft: bool = False,
) -> Policy:
    """Return the mode's policy with the request's own wishes; `fast` never takes a second round."""
    rounds = DEFAULT_ROUNDS[mode] if max_rounds is None else max_rounds
    return Policy(
        mode=mode,
        max_rounds=min(rounds, DEFAULT_ROUNDS[mode]) if mode in {"draft", "fast"} else rounds,
        top_k=DEFAULT_TOP_K if top_k is None else top_k,
        drafts=THOROUGH_DRAFTS if mode == "thorough" else 1,
        live_draft=live_draft,
    )
