"""Taking others' rubric data into the bank: what is taken, what is left out, and why."""

import gzip
import json
from pathlib import Path

import pytest

from retrieval.bank import load_bank
from retrieval.errors import LibraryInvalid
from retrieval.importing import (
    HELD_OUT_FILE,
    Import,
    conversation_hash,
    read_hashes,
    read_import,
    to_line,
)

CANARY = "zanary"


def line(name: str = "one", **changes: object) -> dict:
    return {
        "id": name,
        "messages": [{"role": "user", "content": f"What about {name}?"}],
        "rubric": [{"criterion": f"Says {name}", "points": 5}],
    } | changes


def healthbench(name: str = "hb", **changes: object) -> dict:
    return {
        "prompt_id": name,
        "prompt": [{"role": "user", "content": f"What about {name}?"}],
        "rubrics": [
            {"criterion": f"Says {name}", "points": 7, "tags": ["axis:accuracy"]},
            {"criterion": "Says the opposite", "points": -4.0, "tags": []},
        ],
        "example_tags": ["theme:hedging"],
    } | changes


def write(folder: Path, *lines: object) -> Path:
    path = folder / "data.jsonl"
    text = "\n".join(one if isinstance(one, str) else json.dumps(one) for one in lines)
    path.write_text(text + "\n", encoding="utf-8")
    return path


def take(path: Path, **changes: object) -> Import:
    wishes = {"name": "mine", "source": "a trial", "licence": "MIT", "known": ()}
    return read_import(path, **{**wishes, "evaluated": frozenset(), **changes})


def test_healthbench_and_rubric_lines_are_both_read(tmp_path):
    found = take(write(tmp_path, line(), healthbench()))
    assert found.left_out == ()
    first, second = found.entries
    assert (first.id, second.id) == ("mine-one", "mine-hb")
    assert [(one.criterion, one.points) for one in second.rubric] == [
        ("Says hb", 7),
        ("Says the opposite", -4),
    ]
    assert (second.theme, second.source, second.licence) == ("hedging", "a trial", "MIT")


def test_a_line_keeps_the_source_and_licence_that_it_names(tmp_path):
    (entry,) = take(write(tmp_path, line(source="ours", licence="CC0"))).entries
    assert (entry.source, entry.licence) == ("ours", "CC0")


def test_packed_files_are_read(tmp_path):
    path = tmp_path / "data.jsonl.gz"
    path.write_bytes(gzip.compress(json.dumps(line()).encode()))
    assert len(take(path).entries) == 1


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ("{", "malformed"),
        ('{"id": "x"}', "malformed: field messages"),
        (line("x", rubric=[]), "malformed: field rubric"),
        (line("x", rubric=[{"criterion": "Says", "points": 0}]), "no criterion"),
        (line("x", rubric=[{"criterion": "a" * 401, "points": 3}]), "no criterion"),
        (line("x", rubric=[{"criterion": "Says", "points": "five"}]), "malformed"),
        (
            line("x", messages=[{"role": "assistant", "content": "Hello"}]),
            "the conversation does not end with a user turn",
        ),
        (line("x", messages=[{"role": "user", "content": " "}]), "malformed: field messages"),
        (line(), "in the bank already"),
        (line("one", messages=[{"role": "user", "content": "Other"}]), "an id that is taken"),
    ],
)
def test_what_cannot_be_used_is_named_and_the_rest_is_taken(tmp_path, bad, reason):
    found = take(write(tmp_path, line(), bad, line("three")))
    assert [entry.id for entry in found.entries] == ["mine-one", "mine-three"]
    ((told, lines),) = found.by_reason().items()
    assert told.startswith(reason)
    assert lines == (2,)


def test_a_fault_is_told_without_what_the_line_said(tmp_path):
    found = take(write(tmp_path, line(), line("x", rubric=[{"criterion": CANARY, "points": []}])))
    assert CANARY not in str(found.by_reason())


def test_a_conversation_that_the_bank_has_is_not_taken_twice(tmp_path):
    known = take(write(tmp_path, line())).entries
    again = line("other", messages=[{"role": "user", "content": " what ABOUT  one?"}])
    found = take(write(tmp_path, again, line("new")), known=known)
    assert [entry.id for entry in found.entries] == ["mine-new"]
    assert found.by_reason() == {"in the bank already": (1,)}


def test_what_is_evaluated_on_is_kept_out_whatever_its_id_and_spaces(tmp_path):
    evaluated = frozenset({conversation_hash([("user", "What about one?")])})
    disguised = line("x", messages=[{"role": "user", "content": "What  about ONE?\n"}])
    found = take(write(tmp_path, disguised, line("two")), evaluated=evaluated)
    assert [entry.id for entry in found.entries] == ["mine-two"]
    assert found.by_reason() == {"an evaluation item": (1,)}


@pytest.mark.parametrize(
    "turns",
    [
        [{"role": "user", "content": "What ab\u200bout one?"}],
        [{"role": "user", "content": "\u200fWhat about one?\ufeff"}],
        [{"role": "user", "content": "What about\u00a0o\u00adne?"}],
        [{"role": "tool", "content": "What about one?"}, {"role": "user", "content": "x"}],
    ],
)
def test_an_evaluation_item_in_disguise_is_kept_out_by_its_own_file(tmp_path, turns):
    item = line("item", messages=turns)
    evaluated = read_hashes(write(tmp_path, item))
    found = take(write(tmp_path, item, line("two")), evaluated=evaluated)
    assert [entry.id for entry in found.entries] == ["mine-two"]


def test_invisible_characters_disguise_nothing():
    plain = conversation_hash([("user", "What about one?")])
    filled = "W\u034fhat\ufe0f ab\U000e0100out\u3164 o\u2800ne?"
    assert conversation_hash([("user", filled)]) == plain
    assert conversation_hash([("user", "W\u200bhat a\u2060bout\u00a0one\u200f?")]) == plain


def test_the_bundled_bank_holds_no_question_that_is_measured_on():
    held_out = read_hashes(HELD_OUT_FILE)
    assert len(held_out) == 197
    assert [entry.id for entry in load_bank() if conversation_hash(entry.turns) in held_out] == []


def test_points_of_another_scale_keep_their_proportion(tmp_path):
    rubric = [{"criterion": "a b", "points": 100}, {"criterion": "c d", "points": -30}]
    (entry,) = take(write(tmp_path, line(rubric=rubric))).entries
    assert [one.points for one in entry.rubric] == [10, -3]


def test_ids_that_look_alike_stay_apart(tmp_path):
    lines = [
        line(name, messages=[{"role": "user", "content": name}])
        for name in ("A.1", "a 1", "問1", "答1")
    ]
    found = take(write(tmp_path, *lines))
    assert found.left_out == ()
    assert len({entry.id for entry in found.entries}) == 4


def test_evaluation_items_are_named_by_hashes_or_by_their_file(tmp_path):
    wanted = frozenset({conversation_hash([("user", "What about one?")])})
    assert read_hashes(write(tmp_path, line())) == wanted
    hashes = tmp_path / "hashes.txt"
    hashes.write_text("".join(f"{one}\n" for one in wanted))
    assert read_hashes(hashes) == wanted


@pytest.mark.parametrize("content", [b"", b"neither\n", b"\xff\xfe"])
def test_a_file_of_neither_is_refused(tmp_path, content):
    path = tmp_path / "hashes.txt"
    path.write_bytes(content)
    with pytest.raises(LibraryInvalid):
        read_hashes(path)


def test_roles_and_turns_make_another_hash(tmp_path):
    one = conversation_hash([("user", "a"), ("user", "b")])
    assert one != conversation_hash([("user", "a b")])
    assert one != conversation_hash([("user", "a"), ("assistant", "b")])


def test_control_characters_and_long_lists_are_cut_to_the_banks_form(tmp_path):
    said = "A\u202ename\tand\r\nline\x07"
    many = [{"criterion": f"Says {number}", "points": 90} for number in range(70)]
    (entry,) = take(
        write(tmp_path, line(messages=[{"role": "user", "content": said}], rubric=many))
    ).entries
    assert entry.messages[0].content == "Aname and\nline"
    assert len(entry.rubric) == 60
    assert {one.points for one in entry.rubric} == {10}


def test_points_below_one_still_count(tmp_path):
    rubric = [{"criterion": "a b", "points": 0.4}, {"criterion": "c d", "points": -0.2}]
    (entry,) = take(write(tmp_path, line(rubric=rubric))).entries
    assert [one.points for one in entry.rubric] == [1, -1]


@pytest.mark.parametrize("name", ["ÜBER", "a/b\\c", "../..", "x" * 200, "病"])
def test_any_id_becomes_one_of_the_banks(tmp_path, name):
    found = take(write(tmp_path, line(name)))
    path = tmp_path / "bank.jsonl"
    path.write_text("".join(f"{to_line(entry)}\n" for entry in found.entries), encoding="utf-8")
    assert load_bank(path).entries == found.entries


def test_an_empty_file_is_refused(tmp_path):
    with pytest.raises(LibraryInvalid, match="empty"):
        take(write(tmp_path, ""))
