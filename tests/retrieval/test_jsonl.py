"""Reading JSON Lines: which line is at fault, and nothing of what stands in it."""

import hashlib
import os
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from retrieval import jsonl
from retrieval.errors import LibraryInvalid
from retrieval.jsonl import read_records
from retrieval.principles import Asks

GOOD = b'{"id": "a", "asks": ["q"]}'
OTHER = b'{"id": "b", "asks": ["q"]}'
KIND = TypeAdapter(Asks)


def read(tmp_path: Path, content: bytes) -> jsonl.Lines[Asks]:
    path = tmp_path / "records.jsonl"
    path.write_bytes(content)
    return read_records(path, KIND)


@pytest.mark.parametrize(
    ("content", "numbers"),
    [
        (GOOD, [1]),
        (GOOD + b"\n", [1]),
        (GOOD + b"\n" + OTHER, [1, 2]),
        (b"\n\n" + GOOD + b"\n   \n" + OTHER + b"\n\n", [3, 5]),
        (GOOD + b"\r\n" + OTHER + b"\r\n", [1, 2]),
    ],
)
def test_lines_keep_their_numbers_and_blank_ones_are_skipped(tmp_path, content, numbers):
    assert [number for number, _ in read(tmp_path, content).records] == numbers


def test_a_line_separator_inside_a_string_ends_no_line(tmp_path):
    path = tmp_path / "records.jsonl"
    path.write_bytes('{"said": "one\u2028two"}'.encode() + b"\n" + b'{"said": "three"}')
    lines = read_records(path, TypeAdapter(dict[str, str]))
    assert [number for number, _ in lines.records] == [1, 2]


def test_the_hash_is_that_of_the_file_byte_by_byte(tmp_path):
    with_end, without = read(tmp_path, GOOD + b"\n"), read(tmp_path, GOOD)
    assert with_end.sha256 == hashlib.sha256(GOOD + b"\n").hexdigest()
    assert with_end.sha256 != without.sha256


@pytest.mark.parametrize(
    ("content", "line", "told"),
    [
        (b"", None, "empty"),
        (b"\n \n\t\n", None, "empty"),
        (GOOD + b"\n" + b"\xff\xfe", 2, "UTF-8"),
        (GOOD + b"\n" + "{}".encode("utf-16"), 2, "UTF-8"),
        (b"\xef\xbb\xbf" + GOOD, 1, "byte order mark"),
        (GOOD + b"\n\xef\xbb\xbf" + OTHER, 2, "byte order mark"),
        (GOOD + b"\n\n{'id': 'canary'}", 3, "JSON"),
        (GOOD + b'\n{"id": "canary', 2, "JSON"),
        (GOOD + b"\n" + OTHER + OTHER, 2, "JSON"),
        (GOOD + b"\n" + b"[" * 100_000, 2, "JSON"),
        (GOOD + b"\n[]", 2, "object"),
        (GOOD + b"\nnull", 2, "object"),
        (GOOD + b'\n{"id": "b", "asks": "canary"}', 2, "field asks"),
        (GOOD + b'\n{"id": "b", "asks": []}', 2, "field asks"),
        (GOOD + b'\n{"id": "b", "asks": ["q", 7]}', 2, "field asks.1"),
    ],
)
def test_a_fault_names_its_line_and_what_is_wrong(tmp_path, content, line, told):
    with pytest.raises(LibraryInvalid) as caught:
        read(tmp_path, content)
    message = str(caught.value)
    assert caught.value.line == line
    assert message.startswith(f"records.jsonl, line {line}: " if line else "records.jsonl: ")
    assert told in message
    assert "canary" not in message
    assert "\n" not in message


def test_broken_json_names_no_second_line_number(tmp_path):
    with pytest.raises(LibraryInvalid) as caught:
        read(tmp_path, GOOD + b"\n" + OTHER + b"\n{broken")
    assert "line 3" in str(caught.value)
    assert "line 1" not in str(caught.value)


def test_a_missing_file_is_told_in_one_line(tmp_path):
    with pytest.raises(LibraryInvalid, match=r"^none\.jsonl: cannot be read \(No such file"):
        read_records(tmp_path / "none.jsonl", KIND)


def test_a_folder_is_no_library(tmp_path):
    with pytest.raises(LibraryInvalid, match="cannot be read"):
        read_records(tmp_path, KIND)


def test_a_file_beyond_the_limit_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(jsonl, "MAX_FILE", len(GOOD) - 1)
    with pytest.raises(LibraryInvalid, match="larger than"):
        read(tmp_path, GOOD)


@pytest.mark.timeout(20)
def test_a_pipe_or_a_device_is_refused_before_it_is_read(tmp_path):
    pipe = tmp_path / "records.jsonl"
    os.mkfifo(pipe)
    for path in (pipe, Path("/dev/zero")):
        with pytest.raises(LibraryInvalid, match="is not a file"):
            read_records(path, KIND)
