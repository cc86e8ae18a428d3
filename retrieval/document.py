"""The library as a page that a clinician can read."""

from collections.abc import Iterator
from itertools import groupby

from retrieval.dimensions import DIMENSIONS
from retrieval.principles import Library, Principle

INTRODUCTION = """\
# The principles

{principles} principles with {criteria} criteria, generated from `{file}` by
`clinalign-serve principles document`; do not edit this page. Wording and selection are this
project's own, grounded in what physicians demanded of answers and in public guidance, which each
principle names. No clinician has signed them off yet.

A criterion is a yes/no check of an answer. *Must not* marks what may not be in it; **critical**
what may harm if it is missed. Points say how much it weighs. A dimension that a principle does
not name does not matter to it.
"""


def document(library: Library, file: str) -> str:
    """Return the library as Markdown, by urgency and in its own order."""
    criteria = sum(len(principle.criteria) for principle in library)
    intro = INTRODUCTION.format(principles=len(library), criteria=criteria, file=file)
    return "\n".join([intro, *_table(library), *_sections(library)]) + "\n"


def _table(library: Library) -> Iterator[str]:
    yield "| dimension | value | principles |"
    yield "|---|---|--:|"
    for dimension, values in DIMENSIONS.items():
        for value in values:
            count = sum(value in one.dimensions.get(dimension, ()) for one in library)
            yield f"| {dimension} | {value} | {count} |"
    yield f"| applies always | | {len(library.standing)} |"
    yield ""


def _sections(library: Library) -> Iterator[str]:
    order = ["Always", "Emergencies", "Possible emergencies", "Everything else"]
    ranked = sorted(library, key=lambda one: order.index(_section(one)))
    for title, members in groupby(ranked, key=_section):
        yield f"## {title}\n"
        for principle in members:
            yield from _principle(principle)


def _section(principle: Principle) -> str:
    urgency = principle.dimensions.get("urgency", ())
    if principle.always:
        return "Always"
    if urgency == ("emergent",):
        return "Emergencies"
    if "emergent" in urgency or urgency == ("conditionally-emergent",):
        return "Possible emergencies"
    return "Everything else"


def _principle(principle: Principle) -> Iterator[str]:
    yield f"### {principle.title}\n"
    yield f"`{principle.id}`\n"
    yield f"{principle.text}\n"
    named = [f"{name}: {', '.join(of)}" for name, of in principle.dimensions.items() if of]
    if named:
        yield f"{'; '.join(named)}\n"
    for check in principle.criteria:
        kind = "" if check.kind == "require" else "*must not:* "
        critical = ", **critical**" if check.critical else ""
        yield f"- {kind}{check.criterion} ({check.points}{critical})"
    yield ""
    for source in principle.sources:
        yield f"Source: {f'[{source.label}]({source.url})' if source.url else source.label}  "
    yield ""
