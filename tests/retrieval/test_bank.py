"""The rubric bank: every fault is told by line and field, without repeating the file."""

import hashlib
import json
from pathlib import Path

import pytest

from retrieval.bank import Bank, load_bank
from retrieval.errors import LibraryInvalid

CANARY = "zanary"


def criterion(**changes: object) -> dict:
    return {"criterion": "Says so", "points": 5, "principle": None} | changes


def entry(**changes: object) -> dict:
    return {
        "id": "first",
        "messages": [{"role": "user", "content": "What now?"}],
        "rubric": [criterion()],
    } | changes


def load(tmp_path: Path, *entries: dict) -> Bank:
    path = tmp_path / "bank.jsonl"
    path.write_text("\n".join(json.dumps(one, ensure_ascii=False) for one in entries), "utf-8")
    return load_bank(path)


def fault(tmp_path: Path, **changes: object) -> str:
    """Return what is said about a second line with these changes."""
    with pytest.raises(LibraryInvalid) as caught:
        load(tmp_path, entry(), entry(**{"id": "second"} | changes))
    message = str(caught.value)
    assert caught.value.line == 2
    assert message.startswith("bank.jsonl, line 2: ")
    assert CANARY not in message
    return message


def field_of(message: str) -> str:
    return message.split("field ", 1)[1].split(":", 1)[0]


def test_an_entry_keeps_what_its_line_says(tmp_path):
    turns = [
        {"role": "user", "content": "A lab table:\n1\n2"},
        {"role": "assistant", "content": "Whose is it?"},
        {"role": "user", "content": "Mine."},
    ]
    rubric = [criterion(principle="p", critical=True), criterion(points=-10)]
    bank = load(tmp_path, entry(messages=turns, rubric=rubric, theme="hedging"))
    (known,) = bank
    assert len(bank) == 1
    assert [(turn.role, turn.content) for turn in known.messages] == [
        (turn["role"], turn["content"]) for turn in turns
    ]
    assert [(one.points, one.principle, one.critical) for one in known.rubric] == [
        (5, "p", True),
        (-10, None, False),
    ]
    assert known.theme == "hedging"
    assert bank.sha256 == hashlib.sha256((tmp_path / "bank.jsonl").read_bytes()).hexdigest()


def test_healthbench_keys_of_a_criterion_are_no_fault(tmp_path):
    graded = criterion(tags=["axis:accuracy"], criteria_met=True)
    assert load(tmp_path, entry(rubric=[graded])).entries[0].rubric[0].points == 5


@pytest.mark.parametrize("points", [-10, -1, 1, 10])
def test_points_below_zero_are_prohibitions(tmp_path, points):
    assert (
        load(tmp_path, entry(rubric=[criterion(points=points)])).entries[0].rubric[0].points
        == points
    )


@pytest.mark.parametrize("points", [0, 11, -11, "5", True, 5.0, 0.5, None])
def test_points_that_are_no_whole_number_up_to_ten_and_not_zero_are_refused(tmp_path, points):
    message = fault(tmp_path, rubric=[criterion(), criterion(points=points)])
    assert field_of(message).startswith("rubric")
    assert field_of(message).endswith("points")


def test_an_id_given_twice_names_both_lines(tmp_path):
    with pytest.raises(LibraryInvalid) as caught:
        load(tmp_path, entry(), entry(id="other"), entry())
    assert caught.value.line == 3
    assert "field id" in str(caught.value)
    assert "line 1" in str(caught.value)


@pytest.mark.parametrize("field", ["id", "messages", "rubric"])
def test_a_missing_field_is_named(tmp_path, field):
    broken = entry(id="second")
    del broken[field]
    with pytest.raises(LibraryInvalid, match=f"line 2: field {field}"):
        load(tmp_path, entry(), broken)


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("rubric", {"rubric": []}),
        ("rubric", {"rubric": [criterion()] * 61}),
        ("rubric", {"rubric": CANARY}),
        ("rubric.0", {"rubric": [CANARY]}),
        ("rubric.0.points", {"rubric": [{"criterion": CANARY}]}),
        ("rubric.0.criterion", {"rubric": [criterion(criterion="")]}),
        ("rubric.0.criterion", {"rubric": [criterion(criterion=f"{CANARY}\u200f")]}),
        ("rubric.0.criterion", {"rubric": [criterion(criterion=CANARY * 100)]}),
        ("rubric.0.principle", {"rubric": [criterion(principle=[CANARY])]}),
        ("rubric.0.critical", {"rubric": [criterion(critical=CANARY)]}),
        ("messages", {"messages": []}),
        ("messages", {"messages": CANARY}),
        ("messages.0.role", {"messages": [{"role": CANARY, "content": "q"}]}),
        ("messages.0.content", {"messages": [{"role": "user", "content": " \n"}]}),
        ("messages.0.content", {"messages": [{"role": "user", "content": f"{CANARY}\u0007"}]}),
        ("messages.0.content", {"messages": [{"role": "user", "content": [CANARY]}]}),
        ("messages.0.content", {"messages": [{"role": "user", "content": CANARY * 10_000}]}),
        ("messages.0.content", {"messages": [{"role": "user"}]}),
        ("id", {"id": f"{CANARY} spaces"}),
        ("rubrik", {"rubrik": CANARY}),
    ],
)
def test_a_value_of_another_form_is_named_and_not_repeated(tmp_path, field, changes):
    assert field_of(fault(tmp_path, **changes)) == field


@pytest.mark.parametrize("value", ["true", "yes", 1, 0])
def test_only_true_and_false_are_booleans(tmp_path, value):
    assert field_of(fault(tmp_path, rubric=[criterion(critical=value)])) == "rubric.0.critical"


@pytest.mark.parametrize(
    "changes",
    [
        {"rubric": [criterion(principle="\u001b[2J")]},
        {"theme": "\u202e"},
        {"source": "\u0000"},
        {"licence": "\u200b"},
    ],
    ids=["principle", "theme", "source", "licence"],
)
def test_every_text_of_an_entry_is_printable(tmp_path, changes):
    fault(tmp_path, **changes)


@pytest.mark.parametrize("role", ["assistant", "system", "developer"])
def test_an_entry_ends_in_a_question(tmp_path, role):
    turns = [{"role": "user", "content": "q"}, {"role": role, "content": CANARY}]
    assert field_of(fault(tmp_path, messages=turns)).startswith("messages")


def test_an_empty_file_is_no_bank(tmp_path):
    with pytest.raises(LibraryInvalid, match="the file is empty"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"\xef\xbb\xbf{}", "byte order mark"),
        (b'{"id": "\xe9"}', "UTF-8"),
        (b"id,messages\nfirst,zanary", "JSON"),
    ],
)
def test_bytes_that_are_no_json_in_utf8_are_told_apart(tmp_path, content, told):
    path = tmp_path / "bank.jsonl"
    path.write_bytes(content)
    with pytest.raises(LibraryInvalid, match=told) as caught:
        load_bank(path)
    assert caught.value.line == 1
    assert CANARY not in str(caught.value)
