"""Whether a text is English: the bundled embedder knows no other language."""

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

HARDLY = 0.02
"""Below this probability of English a text is taken for another language. On 598 development
conversations it names all those written in one, and some ten clipped English ones besides; such a
mistake costs one short call, the opposite one the principles."""

LEAST_LETTERS = 3


def is_english(text: str) -> bool:
    """Say whether the embedder can be expected to understand a text; True if it says nothing."""
    if sum(map(str.isalpha, text)) < LEAST_LETTERS:
        return True
    shares: dict[str, float] = dict(_identifier().rank(text))
    return shares.get("en", 0.0) >= HARDLY


@cache
def _identifier() -> "LanguageIdentifier":
    # Unpacks its model for a second; what asks no such question should not wait for it.
    from py3langid.langid import MODEL_FILE, LanguageIdentifier  # noqa: PLC0415

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
