"""Principles behind an answer, as the `url_citation` annotations of OpenAI's API.

A citation tells a reader that the answer rests on its source. So only an answer that was reviewed
cites, and only principles that it was judged by and does not fall short of (docs/adr/0018).
"""

from collections.abc import Iterable, Iterator

from models.messages import Completion, Json
from retrieval.principles import Principle
from revision.critique import Critique
from revision.events import Event, Found
from revision.review import Review
from server.job import Job

_REVIEWED = frozenset({"clean", "revised", "kept_draft"})


def annotations(
    job: Job, review: Review, answer: Completion, events: Iterable[Event]
) -> list[Json]:
    """Return the annotations of the answer as it goes out; none unless they were asked for."""
    critique = review.best.critique
    if not job.cites or review.status not in _REVIEWED or critique is None:
        return []
    base = job.services.settings.public_url
    upheld = _upheld(critique)
    pages: dict[str, str] = {}  # the first title of each: two principles may share a source
    for event in events:
        if isinstance(event, Found):
            for hit in event.retrieved.principles:
                if hit.principle.id in upheld:
                    for url, title in _pages(hit.principle, base):
                        pages.setdefault(url, title)
    return [_annotation(url, title, len(answer.text)) for url, title in pages.items()]


def _upheld(critique: Critique) -> frozenset[str | None]:
    """Return the principles of which the answer meets some criterion and fails none."""
    criteria = critique.rubric.criteria
    failed = {criteria[number].principle for number in critique.unmet}
    return frozenset(criteria[number].principle for number in critique.met) - failed


def _pages(principle: Principle, base: str | None) -> Iterator[tuple[str, str]]:
    """Yield where a principle can be read, with a title: here, or else at its own sources."""
    if base is not None:
        yield f"{base}/v1/principles/{principle.id}", principle.title
        return
    for source in principle.sources:
        if source.url:
            yield source.url, f"{principle.title} ({source.label})"


def _annotation(url: str, title: str, at: int) -> Json:
    """Return one that marks no words of the answer: an empty place after its last character.

    A principle bears on the answer as a whole, and clients may put a link in place of marked words.
    """
    place: dict[str, Json] = {"url": url, "title": title, "start_index": at, "end_index": at}
    return {"type": "url_citation", "url_citation": place}
