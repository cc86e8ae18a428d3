"""Finding what physicians demand for a conversation: principles, and similar bank entries.

Principles that always apply are always there, and leave room for those that matter here. What is
dangerous to miss, an emergency, and what is easily missed among much else, the form asked for, keep
a place of their own.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from models.protocols import Embedder
from retrieval.bank import Bank, BankEntry
from retrieval.classifier import ScenarioClassifier
from retrieval.demand import DemandModel
from retrieval.form_words import SOURCES, asks_for_sources, form_requests
from retrieval.index import VectorIndex
from retrieval.language import is_english
from retrieval.principles import Library, Principle
from retrieval.query import query_text
from retrieval.ranking import Near, PrincipleHit, rank, weigh, with_places
from retrieval.scenario import Scenario

EMERGENCY_FLOOR = 0.35
"""Where an emergency is possible, the emergency principle whose words are nearest has a place, from
this cosine on, whatever its rank: on 24 questions it took one four times, twice rightly."""

CANDIDATES = 200
"""Principles that the scenario may still move up: all, in a library of the usual size."""

TOPIC_FLOOR = 0.35
"""The nearest principle on one topic has a place from this cosine on, lest what is asked for
everywhere crowd out the subject: in cross-validation +.004 of the points covered."""

SOURCES_FLOOR = 0.3
"""Where sources are asked for, the principle nearest to that wish has a place: of 21 questions that
speak of them physicians asked 14 for them."""

FORM_FLOOR = 0.3
"""Where a sentence asks for a text or its form, the principle on documents that is nearest to it
has a place, from this cosine on: of 35 such questions physicians asked 21 for that very one."""

EXAMPLES = 3
EXAMPLE_FLOOR = 0.35
"""Bank entries below this cosine are about something else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A bank entry similar to the question."""

    entry: BankEntry
    similarity: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrieved:
    """What was found for one conversation, best first."""

    scenario: Scenario
    principles: tuple[PrincipleHit, ...]
    examples: tuple[Example, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Retriever:
    """The libraries, their indexes and the embedder, as one immutable snapshot.

    Its methods block while the embedder works; call them off the event loop.
    """

    library: Library
    bank: Bank
    principle_index: VectorIndex
    bank_index: VectorIndex
    classifier: ScenarioClassifier
    embedder: Embedder
    demand: DemandModel = field(default_factory=DemandModel.empty)
    multilingual: bool = False

    def needs_english(self, turns: Sequence[tuple[str, str]]) -> bool:
        """Say whether the conversation should be restated in English before it is searched for."""
        return not self.multilingual and not is_english(query_text(turns))

    def retrieve(
        self, turns: Sequence[tuple[str, str]], *, top_k: int, restated: str | None = None
    ) -> Retrieved:
        """Return what matters for a conversation of (role, text) turns.

        `restated` is what they ask in a language that the embedder knows, where they do not.

        Raises:
            EmbedderError: the embedder gave an unusable vector.

        """
        query = self._query(turns, restated)
        said = "\n".join([words for role, words in turns if role == "user"] + [restated or ""])
        scenario = self.classifier.classify(query, said)
        last = next((words for role, words in reversed(turns) if role == "user"), "")
        asked = f"{last}\n{restated or ''}"
        return Retrieved(
            scenario=scenario,
            principles=self._principles(query, scenario, asked, top_k),
            examples=self._examples(query),
        )

    def _query(self, turns: Sequence[tuple[str, str]], restated: str | None) -> NDArray[np.float32]:
        """Return the unit vector to search by.

        Halfway between the English line and the words as they are, where there is a line: the
        language alone tells something, and a line that a weak model made up then does less harm.
        """
        texts = [query_text(turns), *([restated] if restated else [])]
        middle = self.embedder.embed(texts).mean(axis=0)
        length = float(np.linalg.norm(middle))
        if not length:  # opposite vectors; no real text is another's opposite
            middle, length = self.embedder.embed(texts[-1:])[0], 1.0
        query: NDArray[np.float32] = (middle / length).astype(np.float32)
        return query

    def search(self, text: str, *, limit: int) -> tuple[PrincipleHit, ...]:
        """Return the principles nearest to the text, by cosine alone.

        Raises:
            EmbedderError: the embedder gave an unusable vector.

        """
        query = self.embedder.embed([text])[0]
        return tuple(
            PrincipleHit(principle=self.library.principles[hit.item], score=hit.similarity)
            for hit in self.principle_index.search(query, limit=limit)
        )

    def _principles(
        self, query: NDArray[np.float32], scenario: Scenario, asked: str, top_k: int
    ) -> tuple[PrincipleHit, ...]:
        standing = self.library.standing[: max(1, top_k // 2)]
        near = self._near(query, query)
        urgent = (one for one in near if _has(one.principle, "urgency", "emergent"))
        emergency = next(urgent, None) if scenario.emergent else None  # hits come nearest first
        kept = [
            *_above(EMERGENCY_FLOOR, emergency),
            *_above(TOPIC_FLOOR, next((one for one in near if one.of_one_topic), None)),
            *_above(FORM_FLOOR, self._form(query, asked)),
            *_above(SOURCES_FLOOR, self._sources(query, asked)),
        ]
        found = with_places(
            rank(near, scenario), [weigh(one, scenario) for one in kept], top_k - len(standing)
        )
        return (*found, *(PrincipleHit(principle=known, score=1.0) for known in standing))

    def _near(self, words: NDArray[np.float32], query: NDArray[np.float32]) -> list[Near]:
        """Return the principles nearest to the words, as they matter for the query."""
        demanded, typical = self.demand.shares(query), self.demand.typical
        base = self.demand.base_rates
        return [
            Near(
                principle=principle,
                cosine=hit.similarity,
                demanded=demanded.get(principle.id, typical),
                typical=base.get(principle.id, 1.0),
            )
            for hit in self.principle_index.search(words, limit=CANDIDATES)
            if not (principle := self.library.principles[hit.item]).always
        ]

    def _form(self, query: NDArray[np.float32], asked: str) -> Near | None:
        """Return the principle on documents nearest to a sentence that asks for one."""
        sentences = form_requests(asked)
        if not sentences:
            return None
        near = [
            one
            for words in self.embedder.embed(sentences)
            for one in self._near(words, query)
            if _has(one.principle, "task", "documents")
        ]
        return max(near, key=lambda one: one.cosine, default=None)

    def _sources(self, query: NDArray[np.float32], asked: str) -> Near | None:
        """Return the principle nearest to a wish for sources, where there is one."""
        if not asks_for_sources(asked):
            return None
        (wish,) = self.embedder.embed([SOURCES])
        return next(iter(self._near(wish, query)), None)

    def _examples(self, query: NDArray[np.float32]) -> tuple[Example, ...]:
        return tuple(
            Example(entry=self.bank.entries[hit.item], similarity=hit.similarity)
            for hit in self.bank_index.search(query, limit=EXAMPLES)
            if hit.similarity >= EXAMPLE_FLOOR
        )


def _has(principle: Principle, dimension: str, value: str) -> bool:
    return value in principle.dimensions.get(dimension, ())


def _above(floor: float, near: Near | None) -> Sequence[Near]:
    return [near] if near is not None and near.cosine >= floor else []
