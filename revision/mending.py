"""What a revision is told to mend: the unmet criteria, weightiest first, and what is wrong."""

from collections.abc import Mapping

from revision.critique import Critique, Finding


def to_mend(
    critique: Critique, findings: tuple[Finding, ...]
) -> tuple[tuple[int, ...], list[Mapping[str, str | int]]]:
    """Return the criteria's numbers and how a prompt shows them: numbered from 1, in that order.

    What is merely unclear is among them where it was explained.
    """
    explained = {finding.criterion: finding for finding in findings}
    numbers = (*sorted(critique.unmet), *sorted(critique.unclear & explained.keys()))
    criteria = critique.rubric.criteria
    return numbers, [
        {
            "number": place,
            "text": criteria[number].text,
            "kind": criteria[number].kind,
            "verdict": critique.judgements[number].verdict,
            "problem": explained[number].problem if number in explained else "",
            "remedy": explained[number].remedy if number in explained else "",
        }
        for place, number in enumerate(numbers, 1)
    ]
