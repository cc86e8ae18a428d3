"""Choosing among retrieved criteria: which serve a question, in what order.

This is the whole rubric in `fast` mode, and what every other mode falls back on, so it must be
good on its own.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from retrieval.retriever import Retrieved
from revision.rubric import Criterion, Rubric, from_bank, from_principle

SIZE = 18
"""Criteria in a rubric of retrieved ones. A token each; they foresee .68 of physicians' points
where twelve, two from each of few origins, foresaw .61 (24 questions, by reading)."""

PER_STANDING = 4
"""Taken before the turns: broad demands of what always applies foresee what no narrow one does."""

PER_ENTRY = 4
"""And what physicians demanded of nearly the same question."""

MOST_URGENT = 8
"""Urgent criteria in an emergency, whatever else is there; of more, those of most weight."""

NEAR_BONUS = 0.4
"""Puts a near entry's cosine on the scale of a principle's score, which holds more than cosine."""

STANDING_SCORE = 1.0
"""What a principle that always applies weighs, beside the score of one that was found."""

EMERGENCY_FROM = 0.5
"""Even odds, as a red flag gives. The classifier's own lower threshold finds nine emergencies in
ten but is wrong as often as right: enough to show a principle, not to demand a referral."""

VERBATIM_FLOOR = 0.75
"""A bank entry's criteria name its own facts; they serve word for word only this near. At .55 a
question about warfarin and ibuprofen was judged by a dose plan's criteria."""


def candidates(retrieved: Retrieved) -> tuple[Criterion, ...]:
    """Return all retrieved criteria, urgent ones first, then by weight; no text twice."""
    weighed = sorted(_weighed(retrieved), key=lambda pair: (not pair[1].urgent, -pair[0]))
    found: dict[str, Criterion] = {}
    for _, criterion in weighed:
        found.setdefault(criterion.text.casefold(), criterion)
    return tuple(found.values())


def as_they_are(retrieved: Retrieved, *, size: int = SIZE) -> Rubric:
    """Return the rubric of the retrieved criteria, unworded."""
    usable = (one for one in candidates(retrieved) if may_serve_verbatim(one, retrieved))
    standing = frozenset(hit.principle.id for hit in retrieved.principles if hit.principle.always)
    return Rubric(criteria=_spread(usable, size, standing), made_by="retrieval")


def may_serve_verbatim(criterion: Criterion, retrieved: Retrieved) -> bool:
    """Say whether a criterion may be used as it is, or only as an example to word others by."""
    return criterion.source is None or any(
        example.entry.id == criterion.source and example.similarity >= VERBATIM_FLOOR
        for example in retrieved.examples
    )


def in_order(criteria: Iterable[Criterion]) -> tuple[Criterion, ...]:
    """Return criteria in judging order: urgent, critical, then by points."""
    return tuple(sorted(criteria, key=lambda one: (not one.urgent, not one.critical, -one.points)))


def in_scenario(criterion: Criterion, retrieved: Retrieved) -> Criterion:
    """Return the criterion as it counts here: urgent only in an emergency."""
    if retrieved.scenario.probability("urgency", "emergent") >= EMERGENCY_FROM:
        return criterion
    return replace(criterion, urgent=False)


def _weighed(retrieved: Retrieved) -> Iterable[tuple[float, Criterion]]:
    for hit in retrieved.principles:
        score = STANDING_SCORE if hit.principle.always else hit.score
        for check in hit.principle.criteria:
            criterion = in_scenario(from_principle(hit.principle, check), retrieved)
            yield score * criterion.points, criterion
    for example in retrieved.examples:
        for line in example.entry.rubric:
            criterion = from_bank(example.entry, line)
            yield (example.similarity + NEAR_BONUS) * criterion.points, criterion


def _spread(
    criteria: Iterable[Criterion], size: int, standing: frozenset[str]
) -> tuple[Criterion, ...]:
    """Return the first criteria when each origin in turn gives its weightiest, and then its next.

    What must not be there comes after what must: a prohibition is kept by most answers anyway. Of
    urgent ones more than enough come last.
    """
    turns: Counter[str] = Counter()
    placed: list[tuple[int, Criterion]] = []
    for criterion in sorted(criteria, key=lambda one: (not one.urgent, one.kind == "forbid")):
        origin = "urgent" if criterion.urgent else criterion.source or criterion.principle or ""
        turn = max(0, turns[origin] + 1 - _at_once(criterion, standing))
        placed.append((size if turn and criterion.urgent else turn, criterion))
        turns[origin] += 1
    placed.sort(key=lambda pair: pair[0])  # stable: within a turn by weight
    return in_order(criterion for _, criterion in placed[:size])


def _at_once(criterion: Criterion, standing: frozenset[str]) -> int:
    """Return how many criteria of this one's origin are taken in the first turn."""
    if criterion.urgent:
        return MOST_URGENT
    if criterion.source is not None:
        return PER_ENTRY
    return PER_STANDING if criterion.principle in standing else 1
