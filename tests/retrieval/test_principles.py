"""The principle file: every fault is told by line and field, without repeating the file."""

import json
from pathlib import Path

import pytest

from retrieval.dimensions import DIMENSIONS
from retrieval.errors import LibraryInvalid
from retrieval.principles import Library, load_library

CANARY = "zanary"
MISSING = object()


def check(**changes: object) -> dict:
    return {"criterion": "Says so", "points": 5, "kind": "require", "critical": False} | changes


def principle(**changes: object) -> dict:
    content = {
        "id": "first",
        "title": "A title",
        "text": "A text.",
        "dimensions": {"urgency": ["emergent"]},
        "criteria": [check()],
        "sources": [{"label": "A guide", "url": "https://example.org/guide"}],
        "always": True,
    } | changes
    return {key: value for key, value in content.items() if value is not MISSING}


def load(tmp_path: Path, *principles: dict) -> Library:
    path = tmp_path / "library.jsonl"
    lines = [json.dumps(known, ensure_ascii=False) for known in principles]
    path.write_text("\n".join(lines), encoding="utf-8")
    return load_library(path)


def fault(tmp_path: Path, **changes: object) -> str:
    """Return what is said about a second line with these changes."""
    with pytest.raises(LibraryInvalid) as caught:
        load(tmp_path, principle(), principle(**{"id": "second"} | changes))
    message = str(caught.value)
    assert caught.value.line == 2
    assert message.startswith("library.jsonl, line 2: ")
    assert "\n" not in message
    return message


def field_of(message: str) -> str:
    return message.split("field ", 1)[1].split(":", 1)[0]


def test_a_principle_keeps_what_its_line_says(tmp_path):
    (known,) = load(tmp_path, principle(criteria=[check(kind="forbid", critical=True)]))
    assert (known.id, known.title, known.text, known.always) == (
        "first",
        "A title",
        "A text.",
        True,
    )
    assert known.dimensions == {"urgency": ("emergent",)}
    (criterion,) = known.criteria
    assert (criterion.criterion, criterion.points) == ("Says so", 5)
    assert (criterion.kind, criterion.critical) == ("forbid", True)
    assert known.sources[0].url == "https://example.org/guide"


def test_what_a_line_may_leave_out_has_a_harmless_default(tmp_path):
    bare = principle(id="bare", sources=MISSING, always=MISSING, dimensions={})
    bare["criteria"] = [{"criterion": "Says so", "points": 1}]
    known = load(tmp_path, principle(), bare).principles[1]
    assert (known.sources, known.always, known.dimensions) == ((), False, {})
    assert (known.criteria[0].kind, known.criteria[0].critical) == ("require", False)


@pytest.mark.parametrize("points", [1, 2, 9, 10])
def test_points_from_one_to_ten_are_right(tmp_path, points):
    (known,) = load(tmp_path, principle(criteria=[check(points=points)]))
    assert known.criteria[0].points == points


@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_every_value_of_every_dimension_is_known(tmp_path, dimension):
    values = list(DIMENSIONS[dimension])
    (known,) = load(tmp_path, principle(dimensions={dimension: values}))
    assert known.dimensions[dimension] == DIMENSIONS[dimension]


@pytest.mark.parametrize("field", ["id", "title", "text", "dimensions", "criteria"])
def test_a_missing_field_is_named(tmp_path, field):
    assert field_of(fault(tmp_path, **{field: MISSING})) == field


@pytest.mark.parametrize("field", ["criterion", "points"])
def test_a_missing_field_of_a_criterion_is_named(tmp_path, field):
    broken = check()
    del broken[field]
    assert field_of(fault(tmp_path, criteria=[check(), broken])) == f"criteria.1.{field}"


def test_an_id_given_twice_names_both_lines(tmp_path):
    with pytest.raises(LibraryInvalid) as caught:
        load(tmp_path, principle(), principle(id="other"), principle())
    assert caught.value.line == 3
    assert "field id" in str(caught.value)
    assert "line 1" in str(caught.value)


@pytest.mark.parametrize("points", [0, 11, -5, "5", True, 5.0, 5.5, None, [5]])
def test_points_that_are_no_whole_number_from_one_to_ten_are_refused(tmp_path, points):
    assert field_of(fault(tmp_path, criteria=[check(points=points)])) == "criteria.0.points"


@pytest.mark.parametrize("value", ["true", "yes", 1, 0, None])
@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("always", lambda value: {"always": value}),
        ("criteria.0.critical", lambda value: {"criteria": [check(critical=value)]}),
    ],
)
def test_only_true_and_false_are_booleans(tmp_path, field, changes, value):
    assert field_of(fault(tmp_path, **changes(value))) == field


UNPRINTABLE = {
    "control character": "\u0007",
    "escape": "\u001b",
    "tab": "\t",
    "carriage return": "\r",
    "null": "\0",
    "C1 control": "\u0085",
    "zero-width space": "\u200b",
    "right-to-left mark": "\u200f",
    "right-to-left override": "\u202e",
    "isolate": "\u2067",
    "word joiner": "\u2060",
    "soft hyphen": "\u00ad",
    "byte order mark": "\ufeff",
    "tag letter": "\U000e0041",
    "private use": "\ue000",
}


@pytest.mark.parametrize("character", UNPRINTABLE.values(), ids=UNPRINTABLE.keys())
def test_a_character_that_cannot_be_seen_is_named_by_its_number(tmp_path, character):
    message = fault(tmp_path, text=f"{CANARY}{character}{CANARY}")
    assert field_of(message) == "text"
    assert f"U+{ord(character):04X}" in message
    assert character not in message
    assert CANARY not in message


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("title", {"title": "a\u200bb"}),
        ("criteria.0.criterion", {"criteria": [check(criterion="a\u202eb")]}),
        ("sources.0.label", {"sources": [{"label": "a\u0000b", "url": ""}]}),
    ],
)
def test_every_text_of_a_line_is_searched_for_them(tmp_path, field, changes):
    assert field_of(fault(tmp_path, **changes)) == field


@pytest.mark.parametrize(
    "text",
    [
        "日本語の文。",
        "می\u200cخواهم",  # Persian
        "क्\u200dष",
        "Über 38 °C — “sofort”",
        "👩\u200d⚕️",
        "two\nlines",
    ],
)
def test_text_of_any_language_is_right(tmp_path, text):
    assert load(tmp_path, principle(text=text)).principles[0].text == text


@pytest.mark.parametrize("end", ["\n", "\u2028", "\u2029"], ids=["LF", "U+2028", "U+2029"])
@pytest.mark.parametrize(
    "changes",
    [
        lambda text: {"title": text},
        lambda text: {"criteria": [check(criterion=text)]},
        lambda text: {"sources": [{"label": text, "url": ""}]},
    ],
    ids=["title", "criterion", "source"],
)
def test_what_is_called_a_line_is_one_line(tmp_path, changes, end):
    fault(tmp_path, **changes(f"one{end}two"))


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("title", {"title": CANARY * 100}),
        ("text", {"text": CANARY * 500}),
        ("id", {"id": CANARY * 20}),
        ("id", {"id": f"{CANARY} spaces"}),
        ("id", {"id": f"../{CANARY}"}),
        ("id", {"id": f"{CANARY}\n"}),
        ("id", {"id": ""}),
        ("title", {"title": "  "}),
        ("text", {"text": ""}),
        ("text", {"text": 7}),
        ("criteria", {"criteria": []}),
        ("criteria", {"criteria": [check()] * 9}),
        ("criteria", {"criteria": CANARY}),
        ("criteria.0", {"criteria": [CANARY]}),
        ("criteria.0.criterion", {"criteria": [check(criterion=CANARY * 100)]}),
        ("criteria.0.kind", {"criteria": [check(kind=CANARY)]}),
        ("dimensions", {"dimensions": [CANARY]}),
        ("dimensions.urgency", {"dimensions": {"urgency": CANARY}}),
        ("sources.0.url", {"sources": [{"label": "l", "url": f"http://{CANARY}.org"}]}),
        ("sources.0.url", {"sources": [{"label": "l", "url": f"javascript:{CANARY}"}]}),
        ("sources.0.url", {"sources": [{"label": "l", "url": f"https://a.org/<{CANARY}>"}]}),
        ("sources.0.url", {"sources": [{"label": "l", "url": f"https://a.org\n{CANARY}"}]}),
        ("sources.0.url", {"sources": [{"label": "l", "url": f"https://{CANARY * 100}"}]}),
        ("sources.0.label", {"sources": [{"url": "https://example.org"}]}),
    ],
)
def test_a_value_of_another_form_is_named_and_not_repeated(tmp_path, field, changes):
    message = fault(tmp_path, **changes)
    assert field_of(message) == field
    assert CANARY not in message


@pytest.mark.parametrize(
    ("dimensions", "known"),
    [
        ({"haste": ["emergent"]}, DIMENSIONS),
        ({"urgency": ["hurried"]}, DIMENSIONS["urgency"]),
        ({"urgency": ["emergent", "none"]}, DIMENSIONS["urgency"]),  # another dimension's value
        ({"Urgency": ["emergent"]}, DIMENSIONS),
    ],
)
def test_an_unknown_dimension_or_value_is_told_with_those_there_are(tmp_path, dimensions, known):
    message = fault(tmp_path, dimensions=dimensions)
    assert field_of(message).startswith("dimensions")
    assert all(name in message for name in known)


def test_an_extra_key_is_refused_by_name(tmp_path):
    assert field_of(fault(tmp_path, alwyas=True)) == "alwyas"
    assert field_of(fault(tmp_path, criteria=[check(critcal=True)])) == "criteria.0.critcal"


@pytest.mark.parametrize(
    "changes",
    [
        {"\u001b[2J" + CANARY: 1},
        {"\u202e" + CANARY: 1},
        {CANARY * 1000: 1},
        {"dimensions": {CANARY * 1000: []}},
        {"dimensions": {"urgency": [CANARY * 1000]}},
        {"criteria": [check(**{"\u001b[2J": 1})]},
    ],
    ids=["escape", "override", "long key", "long dimension", "long value", "escape in criterion"],
)
def test_a_name_that_the_file_makes_up_is_shown_short_and_printable(tmp_path, changes):
    message = fault(tmp_path, **changes)
    assert message.isprintable()
    assert len(message) < 400


def test_a_library_in_which_nothing_always_applies_is_refused(tmp_path):
    with pytest.raises(LibraryInvalid, match="always") as caught:
        load(tmp_path, principle(always=False), principle(id="second", always=False))
    assert caught.value.line is None


def test_an_empty_file_is_no_library(tmp_path):
    with pytest.raises(LibraryInvalid, match="the file is empty"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"\xef\xbb\xbf{}", "byte order mark"),
        (b"\xff\xfe{\x00}\x00", "UTF-8"),
        (b'{"title": "\xe9"}', "UTF-8"),
        (b"id,title\nfirst,zanary", "JSON"),
    ],
)
def test_bytes_that_are_no_json_in_utf8_are_told_apart(tmp_path, content, told):
    path = tmp_path / "library.jsonl"
    path.write_bytes(content)
    with pytest.raises(LibraryInvalid, match=told) as caught:
        load_library(path)
    assert caught.value.line == 1
    assert CANARY not in str(caught.value)


def asks(tmp_path: Path, *entries: dict) -> Path:
    path = tmp_path / "asks.jsonl"
    path.write_text("\n".join(json.dumps(entry) for entry in entries), encoding="utf-8")
    return path


def library_with_asks(tmp_path: Path, *entries: dict) -> Library:
    load(tmp_path, principle(), principle(id="second"))
    return load_library(tmp_path / "library.jsonl", asks(tmp_path, *entries))


def test_a_principle_is_found_by_its_text_and_its_questions(tmp_path):
    library = library_with_asks(tmp_path, {"id": "first", "asks": ["What now?", "And then?"]})
    first, second = library
    assert library.rows(first) == ("A title. A text.", "What now?", "And then?")
    assert library.rows(second) == ("A title. A text.", "Says so")


def test_questions_for_principles_of_another_library_are_left_aside(tmp_path):
    library = library_with_asks(tmp_path, {"id": "stranger", "asks": ["Who?"]})
    assert dict(library.asks) == {}


def test_other_questions_make_another_hash(tmp_path):
    one = library_with_asks(tmp_path, {"id": "first", "asks": ["What now?"]})
    same = library_with_asks(tmp_path, {"id": "first", "asks": ["What now?"]})
    other = library_with_asks(tmp_path, {"id": "first", "asks": ["What next?"]})
    assert one.sha256 == same.sha256 != other.sha256


def test_a_principle_is_found_by_its_id_alone(tmp_path):
    library = load(tmp_path, principle(), principle(id="second"))
    assert library.find("second") is library.principles[1]
    assert library.find("A title") is None
    assert library.find("") is None
