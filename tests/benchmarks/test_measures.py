"""The measures by which retrieval is judged, on rankings that can be counted by hand."""

from math import log2

import pytest

from benchmarks.devset import is_held_out
from benchmarks.labels import read_coverage, read_parts, read_relevance
from benchmarks.matching import accuracy, best_threshold, read_matches
from benchmarks.measures import interval, ndcg, recall
from retrieval.principles import load_library

GRADES = {"a": 2, "b": 1, "c": 0, "d": 1}


def test_recall_counts_what_is_relevant_among_the_first():
    assert recall(["a", "c", "b", "d"], GRADES, 2) == 1 / 2
    assert recall(["a", "b", "d", "c"], GRADES, 8) == 1.0
    assert recall(["c", "x"], GRADES, 2) == 0.0


def test_ndcg_weighs_the_grade_by_its_place():
    best = 2 / log2(2) + 1 / log2(3) + 1 / log2(4)
    assert ndcg(["a", "b", "d"], GRADES, 3) == pytest.approx(1.0)
    assert ndcg(["b", "a", "c"], GRADES, 3) == pytest.approx((1 / log2(2) + 2 / log2(3)) / best)


def test_an_interval_holds_the_mean_and_is_a_point_where_all_are_alike():
    assert interval([0.5] * 10) == (0.5, 0.5, 0.5)
    mean, low, high = interval([0.0, 1.0] * 50)
    assert low < mean == 0.5 < high
    assert (low, high) == pytest.approx((0.4, 0.6), abs=0.02)


def test_a_matcher_is_told_how_often_it_is_right():
    told = accuracy([0.9, 0.8, 0.3, 0.7], [True, False, False, True], 0.75)
    assert told == {"accuracy": 0.5, "precision": 0.5, "recall": 0.5}


def test_the_balanced_threshold_calls_as_many_as_there_are():
    cosines = [0.3, 0.4, 0.5, 0.6, 0.7, 0.8]
    threshold = best_threshold(cosines, [False, True, False, False, False, True])
    assert sum(one >= threshold for one in cosines) == 2


IDS = {principle.id for principle in load_library()}
PARTS = read_parts()


def test_labels_speak_of_principles_that_there_are():
    named = {one for grades in read_relevance().values() for one in grades}
    named |= {one for covered in read_coverage().values() for one in covered.principles}
    assert named <= IDS


def test_a_criterion_is_covered_exactly_when_some_principle_is_named():
    assert all(bool(one.code) == bool(one.principles) for one in read_coverage().values())


def test_every_measured_question_is_held_out_and_in_one_part_only():
    ids = [one for part in PARTS.values() for one in part]
    assert len(ids) == len(set(ids))
    assert [one for one in ids if not is_held_out(one)] == []
    assert len(PARTS["test"]) >= 60
    assert set(ids) == set(read_relevance())


def test_three_hundred_pairs_were_labelled_by_hand():
    assert len(read_matches()) >= 300
