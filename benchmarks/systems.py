"""The ways to find principles that are compared: the shipped one and what it must beat.

Each ranks all principles that do not always apply, best first, for one question.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

import bm25s
import numpy as np

from benchmarks.devset import Question
from benchmarks.labels import Covered
from models.protocols import Embedder
from retrieval.demand import DemandModel
from retrieval.principles import Library, Principle
from retrieval.query import query_text
from retrieval.retriever import Retriever
from revision.policy import DEFAULT_TOP_K

Ranking: TypeAlias = tuple[str, ...]
System: TypeAlias = Callable[[Question], Ranking]


def systems(
    retriever: Retriever, questions: Sequence[Question], labels: Mapping[str, Covered]
) -> dict[str, System]:
    """Return all systems by name; "most frequent" learns from those questions not held out."""
    library, embedder = retriever.library, retriever.embedder
    return {
        "random": shuffled(library),
        "most frequent": most_frequent(library, questions, labels),
        "BM25": lexical(library, lambda one: [_whole(one)]),
        "BM25, with questions": lexical(library, lambda one: [_whole(one), *_asks(library, one)]),
        "plain embedding": plain(library, embedder, lambda one: [_whole(one)]),
        "plain embedding, by row": plain(library, embedder, _rows),
        "shipped, without demand": shipped(replace(retriever, demand=DemandModel.empty())),
        "shipped, as an answer gets it": shipped(retriever, DEFAULT_TOP_K),
        "shipped": shipped(retriever),
    }


def found_by(library: Library) -> list[Principle]:
    """Return the principles that are searched for, in the library's order."""
    return [principle for principle in library if not principle.always]


def shuffled(library: Library) -> System:
    """Return an order by hashes, another one for each question, which no change of others moves."""

    def rank(question: Question) -> Ranking:
        def place(principle: Principle) -> bytes:
            return hashlib.sha256(f"{question.id} {principle.id}".encode()).digest()

        return tuple(one.id for one in sorted(found_by(library), key=place))

    return rank


def most_frequent(
    library: Library, questions: Sequence[Question], labels: Mapping[str, Covered]
) -> System:
    """Return those first that physicians demanded of most other questions, whatever is asked."""
    counts = Counter(
        one
        for question in questions
        if not question.held_out
        for one in {one for each in question.demands for one in labels[each.id].principles}
    )
    order = tuple(sorted((one.id for one in found_by(library)), key=lambda one: -counts[one]))
    return lambda _: order


def lexical(library: Library, texts: Callable[[Principle], Sequence[str]]) -> System:
    """Return BM25 over a document of those texts for each principle."""
    known = found_by(library)
    index = bm25s.BM25()
    index.index(_words([" ".join(texts(one)) for one in known]), show_progress=False)

    def rank(question: Question) -> Ranking:
        (words,) = _words([query_text(question.turns)])
        scores = index.get_scores(words) if words else np.zeros(len(known))
        return tuple(known[n].id for n in np.argsort(-scores, kind="stable"))

    return rank


def plain(
    library: Library, embedder: Embedder, texts: Callable[[Principle], Sequence[str]]
) -> System:
    """Return cosine order; a principle of several texts counts by its best."""
    known = found_by(library)
    rows = [(number, text) for number, one in enumerate(known) for text in texts(one)]
    vectors = embedder.embed([text for _, text in rows])
    owners = np.array([number for number, _ in rows])

    def rank(question: Question) -> Ranking:
        cosines = vectors @ embedder.embed([query_text(question.turns)])[0]
        best = np.full(len(known), -np.inf)
        np.maximum.at(best, owners, cosines)
        return tuple(known[n].id for n in np.argsort(-best, kind="stable"))

    return rank


def shipped(retriever: Retriever, top_k: int | None = None) -> System:
    """Return the gateway's own order of all, or what a request of that `top_k` gets.

    In the latter one may be an emergency's, whatever its rank.
    """
    size = len(retriever.library) if top_k is None else top_k
    return lambda question: searched_for(retriever, question, size)


def searched_for(
    retriever: Retriever, question: Question, top_k: int, restated: str | None = None
) -> Ranking:
    """Return what the gateway finds, without those that always apply."""
    found = retriever.retrieve(question.turns, top_k=top_k, restated=restated)
    return tuple(hit.principle.id for hit in found.principles if not hit.principle.always)


def _words(texts: Sequence[str]) -> list[list[str]]:
    tokens: list[list[str]] = bm25s.tokenize(
        list(texts), stopwords="en", return_ids=False, show_progress=False
    )
    return tokens


def _whole(principle: Principle) -> str:
    criteria = " ".join(check.criterion for check in principle.criteria)
    return f"{principle.title}. {principle.text} {criteria}"


def _rows(principle: Principle) -> Sequence[str]:
    criteria = [check.criterion for check in principle.criteria]
    return [f"{principle.title}. {principle.text}", *criteria]


def _asks(library: Library, principle: Principle) -> Sequence[str]:
    return library.asks.get(principle.id, ())
