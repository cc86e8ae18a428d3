"""What changed between two texts, word by word, for a terminal."""

import difflib
import re

from rich.text import Text

LONGEST = 4000
"""Words; beyond that the comparison, quadratic in the worst case, is not worth the wait."""

_WORD = re.compile(r"\S+\s*|\s+")


def difference(old: str, new: str) -> Text:
    """Return the new text with what was added, and what was removed, marked.

    The marks [-…-] and {+…+} stay readable where colours are lost.
    """
    if old == new:
        return Text("nothing changed", style="dim")
    before, after = _WORD.findall(old), _WORD.findall(new)
    if max(len(before), len(after)) > LONGEST:
        return Text("too long to compare", style="dim")
    shown = Text()
    matcher = difflib.SequenceMatcher(a=before, b=after, autojunk=False)
    for kind, start, end, new_start, new_end in matcher.get_opcodes():
        gone, come = "".join(before[start:end]), "".join(after[new_start:new_end])
        if kind == "equal":
            shown.append(gone)
            continue
        if gone:
            shown.append(f"[-{gone}-]", style="red strike")
        if come:
            shown.append(f"{{+{come}+}}", style="green")
    return shown
