"""Finding what physicians demand for a conversation: principles, and similar bank entries.

The scenario weighs principles and never filters them: a classifier that misses an emergency must
not hide the emergency principles that the words themselves call for. What physicians demanded of
similar questions weighs in the same way. Principles that always apply are always there, and leave
room for those that matter here.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from models.protocols import Embedder
from retrieval.bank import Bank, BankEntry
from retrieval.classifier import ScenarioClassifier
from retrieval.demand import DemandModel
from retrieval.index import VectorIndex
from retrieval.language import is_english
from retrieval.principles import Library, Principle
from retrieval.query import query_text
from retrieval.scenario import Scenario

SCENARIO_WEIGHT = 0.2
"""How much a perfect fit of the scenario adds to a cosine; set as the next one."""

DEMAND_WEIGHT = 0.8
"""How much a principle that physicians surely demand here gains on one that they never do; set in
cross-validation on the questions learned from (`benchmarks/demand.py`), where .6 to 1 do alike."""

RELEVANCE_FLOOR = 0.12
"""A principle whose cosine is below this has nothing to do with the question's words."""

DEMAND_FLOOR = 0.2
"""Unless physicians demand it of questions like this one at least this often."""

EMERGENCY_FLOOR = 0.35
"""Where an emergency is possible, the emergency principle whose words are nearest has a place, from
this cosine on, whatever its rank: on 24 questions it took one four times, twice rightly."""

CANDIDATES = 200
"""Principles that the scenario may still move up: all, in a library of the usual size."""

EXAMPLES = 3
EXAMPLE_FLOOR = 0.35
"""Bank entries below this cosine are about something else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PrincipleHit:
    """A principle and why it is here: its cosine, weighed by scenario and physicians' demands."""

    principle: Principle
    score: float


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
        return Retrieved(
            scenario=scenario,
            principles=self._principles(query, scenario, top_k),
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
        self, query: NDArray[np.float32], scenario: Scenario, top_k: int
    ) -> tuple[PrincipleHit, ...]:
        standing = self.library.standing[: max(1, top_k // 2)]
        demanded, typical = self.demand.shares(query), self.demand.typical
        found: list[PrincipleHit] = []
        emergency: PrincipleHit | None = None
        for hit in self.principle_index.search(query, limit=CANDIDATES):
            principle = self.library.principles[hit.item]
            share = demanded.get(principle.id, typical)
            if principle.always or (hit.similarity < RELEVANCE_FLOOR and share < DEMAND_FLOOR):
                continue
            fit = scenario_fit(principle, scenario)
            score = hit.similarity + SCENARIO_WEIGHT * fit + DEMAND_WEIGHT * share
            found.append(PrincipleHit(principle=principle, score=score))
            speaks_of_one = "emergent" in principle.dimensions.get("urgency", ())
            if emergency is None and speaks_of_one and hit.similarity >= EMERGENCY_FLOOR:
                emergency = found[-1]  # hits come nearest first
        found.sort(key=lambda hit: -hit.score)
        relevant = found[: top_k - len(standing)]
        if emergency is not None and relevant and scenario.emergent and emergency not in relevant:
            relevant[-1] = emergency
        return (*relevant, *(PrincipleHit(principle=known, score=1.0) for known in standing))

    def _examples(self, query: NDArray[np.float32]) -> tuple[Example, ...]:
        return tuple(
            Example(entry=self.bank.entries[hit.item], similarity=hit.similarity)
            for hit in self.bank_index.search(query, limit=EXAMPLES)
            if hit.similarity >= EXAMPLE_FLOOR
        )


def scenario_fit(principle: Principle, scenario: Scenario) -> float:
    """Return how much likelier than even the principle's values are, averaged over dimensions.

    0 for a principle that depends on nothing; below 0 where the scenario speaks against it.
    """
    lifts = [
        max(scenario.lift(dimension, value) for value in values)
        for dimension, values in principle.dimensions.items()
        if values
    ]
    return sum(lifts) / len(lifts) if lifts else 0.0
