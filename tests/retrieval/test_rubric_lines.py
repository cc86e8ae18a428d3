"""Rubric files: this project's form and HealthBench's, plain or packed; faults by line."""

import gzip
import json
from pathlib import Path

import pytest

from retrieval import jsonl
from retrieval.errors import LibraryInvalid
from retrieval.rubric_lines import axis_of, cluster_of, read_rubrics, theme_of

OURS = {
    "id": "one",
    "messages": [{"role": "user", "content": "What now?"}],
    "rubric": [{"criterion": "Says  what\nto do", "points": 5, "principle": "some-id"}],
    "theme": "hedging",
}
HEALTHBENCH = {
    "prompt_id": "two",
    "prompt": [{"role": "user", "content": "What else?"}],
    "rubrics": [
        {
            "criterion": "Names the cause",
            "points": -7,
            "tags": ["level:cluster", "cluster:some_cluster", "axis:accuracy"],
        }
    ],
    "example_tags": ["theme:communication"],
    "theme": None,
    "ideal_answer": None,
}


def write(path: Path, *lines: object) -> Path:
    text = "".join(json.dumps(line) + "\n" for line in lines).encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return path


@pytest.mark.parametrize("name", ["rubrics.jsonl", "rubrics.jsonl.gz"])
def test_both_forms_are_read_side_by_side(tmp_path, name):
    ours, theirs = read_rubrics(write(tmp_path / name, OURS, HEALTHBENCH)).lines
    assert (ours.id, theirs.id) == ("one", "two")
    assert ours.messages[0].content == "What now?"
    assert theirs.messages[0].content == "What else?"
    assert ours.rubric[0].criterion == "Says what to do"
    assert theirs.rubric[0].points == -7
    assert (axis_of(theirs.rubric[0]), cluster_of(theirs.rubric[0])) == ("accuracy", "some_cluster")
    assert (axis_of(ours.rubric[0]), cluster_of(ours.rubric[0])) == ("", "")
    assert (theme_of(ours), theme_of(theirs)) == ("hedging", "communication")


def test_content_parts_are_joined(tmp_path):
    parts = [{"type": "text", "text": "one"}, {"type": "image_url"}, {"text": "two"}]
    line = {**OURS, "messages": [{"role": "user", "content": parts}]}
    (read,) = read_rubrics(write(tmp_path / "a.jsonl", line)).lines
    assert read.messages[0].content == "one\ntwo"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"rubric": []}, "rubric"),
        ({"messages": []}, "messages"),
        ({"rubric": [{"criterion": "", "points": 1}]}, "criterion"),
        ({"rubric": [{"criterion": "x", "points": "many"}]}, "points"),
        ({"rubric": [{"criterion": "x", "points": 1e9}]}, "points"),
        ({"messages": [{"role": "user"}]}, "content"),
    ],
)
def test_a_fault_is_named_by_line_and_field(tmp_path, change, field):
    path = write(tmp_path / "a.jsonl", OURS, {**OURS, **change})
    with pytest.raises(LibraryInvalid, match=f"line 2: field .*{field}"):
        read_rubrics(path)


@pytest.mark.parametrize("content", [b"not gzip", gzip.compress(b"{}" * 999)[:-9], b""])
def test_a_broken_gzip_file_is_told(tmp_path, content):
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(content)
    with pytest.raises(LibraryInvalid, match=r"a\.jsonl\.gz: (is not a complete gzip|the file is)"):
        read_rubrics(path)


def test_what_unpacks_to_too_much_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(jsonl, "MAX_FILE", 10_000)
    path = tmp_path / "bomb.jsonl.gz"
    path.write_bytes(gzip.compress(b" " * 5_000_000))
    assert path.stat().st_size < 10_000
    with pytest.raises(LibraryInvalid, match="larger than"):
        read_rubrics(path)
