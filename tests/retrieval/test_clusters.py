"""Clusters of criteria: weighed, ordered, the same for the same seed."""

import numpy as np
import pytest

from retrieval.clusters import SHOWN, cluster, groups_of
from retrieval.rubric_lines import Demand, Turn, _Ours
from tests.retrieval.hashing import HashingEmbedder

TOPICS = ("dose of the medicine", "call the emergency number", "plain words explained")
EMBEDDER = HashingEmbedder()


def demands() -> list[tuple[str, float]]:
    """Thirty criteria in three clear groups, the second with the most points."""
    return [
        (f"{topic} {number}", 5.0 if topic == TOPICS[1] else -1.0)
        for topic in TOPICS
        for number in range(10)
    ]


def line(*criteria: tuple[str, float]) -> _Ours:
    return _Ours(
        id="one",
        messages=(Turn(role="user", content="?"),),
        rubric=tuple(Demand(criterion=text, points=points) for text, points in criteria),
    )


def test_criteria_of_one_kind_fall_together_and_the_weightiest_group_is_first():
    groups = groups_of([line(*demands())], EMBEDDER, count=3, seed=0)
    assert [len(group.cluster.members) for group in groups] == [10, 10, 10]
    topics = [{demand.criterion.rsplit(" ", 1)[0] for demand in one.support} for one in groups]
    assert all(len(topic) == 1 for topic in topics)
    assert topics[0] == {TOPICS[1]}
    assert groups[0].cluster.share == pytest.approx(50 / 70)
    assert sum(group.cluster.share for group in groups) == pytest.approx(1)


def test_the_same_seed_gives_the_same_clusters():
    one, two = (groups_of([line(*demands())], EMBEDDER, count=4, seed=3) for _ in range(2))
    assert one == two


def test_the_same_text_counts_once():
    again = line(*demands(), *((text.upper(), points) for text, points in demands()))
    groups = groups_of([again], EMBEDDER, count=3, seed=0)
    assert sum(len(group.cluster.members) for group in groups) == 30


def test_there_are_no_more_clusters_than_different_criteria():
    groups = groups_of([line(("one thing", 1), ("another matter", 2))], EMBEDDER, count=9, seed=0)
    assert len(groups) == 2


def test_a_large_cluster_is_shown_by_its_centre():
    many = [(f"dose of the medicine number {n}", 1.0) for n in range(SHOWN * 2)]
    (group,) = groups_of([line(*many)], EMBEDDER, count=1, seed=0)
    assert len(group.support) == SHOWN
    assert len(group.cluster.members) == SHOWN * 2
    vectors = EMBEDDER.embed([text for text, _ in many])
    centre = vectors.mean(axis=0)
    nearness = [float(vectors[n] @ centre) for n in group.cluster.members]
    assert nearness == sorted(nearness, reverse=True)


def test_progress_is_told_up_to_the_end():
    told: list[tuple[int, int]] = []
    groups_of(
        [line(*demands())],
        EMBEDDER,
        count=2,
        seed=0,
        progress=lambda now, of: told.append((now, of)),
    )
    assert told[-1] == (30, 30)


def test_no_clusters_are_refused():
    with pytest.raises(ValueError, match="at least one"):
        cluster(np.ones((1, 4), dtype=np.float32), [1.0], count=0, seed=0)
