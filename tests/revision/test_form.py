"""The form of an answer: strict JSON, the client's schema, and schemas made to do harm."""

import asyncio
import json
import time

import pytest

from revision import matching, matching_process
from revision.form import MOST_LEVELS, AnswerForm, form_of, parse, words

ADVICE = {
    "type": "object",
    "properties": {"advice": {"type": "string"}, "urgent": {"type": "boolean"}},
    "required": ["advice"],
    "additionalProperties": False,
}
CHAIN = {"properties": {"next": {"$ref": "#"}}, "required": ["a"]}


def of_schema(schema):
    return form_of({"type": "json_schema", "json_schema": {"name": "advice", "schema": schema}})


async def misfit(schema, value, seconds=10.0):
    return await of_schema(schema).misfit(json.dumps(value), seconds=seconds)


@pytest.mark.parametrize(
    ("wanted", "form"),
    [
        (None, AnswerForm()),
        ({"type": "text"}, AnswerForm()),
        ({"type": "zebra"}, AnswerForm()),
        ("json_object", AnswerForm()),
        ({"type": "json_object"}, AnswerForm(kind="json_object")),
        ({"type": "json_schema"}, AnswerForm(kind="json_schema")),
        ({"type": "json_schema", "json_schema": {"name": "any"}}, AnswerForm(kind="json_schema")),
        (
            {"type": "json_schema", "json_schema": {"schema": ADVICE}},
            AnswerForm(kind="json_schema", schema=ADVICE),
        ),
    ],
)
def test_the_form_is_read_from_the_response_format(wanted, form):
    assert form_of(wanted) == form


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Rest.",
        "{'a': 1}",
        '{"a": NaN}',
        '{"a": -Infinity}',
        '{"a": 1e999}',
        '{"a": 1, "a": 2}',
        '{"a": {"b": 1, "b": 1}}',
        '{"a": 1} Take care.',
        '\ufeff{"a": 1}',
        "[" * 100_000,
        "[" * (MOST_LEVELS + 1) + "]" * (MOST_LEVELS + 1),
        "9" * 5000,
    ],
)
async def test_what_parsers_differ_about_is_not_json(text):
    with pytest.raises(ValueError):  # noqa: PT011  # json's own errors say what they like
        parse(text)
    for form in (AnswerForm(kind="json_object"), AnswerForm(kind="json_schema"), of_schema(ADVICE)):
        assert await form.misfit(text, seconds=10) == "not JSON"


def test_json_is_read_whatever_space_is_around_it():
    assert parse(' \n{"a": [1, 2.5, true, null, "\\u00e9"]}\r\n') == {
        "a": [1, 2.5, True, None, "é"]
    }
    assert parse("[" * MOST_LEVELS + "]" * MOST_LEVELS)


async def test_an_object_is_asked_for_and_nothing_else_is_one():
    form = AnswerForm(kind="json_object")
    assert await form.misfit('{"a": 1}', seconds=0) is None
    for text in ("[]", '"a"', "1", "null", '[{"a": 1}]'):
        assert await form.misfit(text, seconds=0) == "not JSON"


async def test_prose_has_any_form():
    assert await AnswerForm().misfit("Rest.", seconds=0) is None


def test_the_words_of_json_are_its_values():
    value = {"key": ["a", {"other": "b"}, 112, 0.5, True, None]}
    assert list(words(value)) == ["a", "b", "112", "0.5"]


@pytest.mark.parametrize(
    ("schema", "value", "fault"),
    [
        (ADVICE, {"advice": "Rest."}, None),
        (ADVICE, {"advice": 5}, "breaks the schema"),
        (ADVICE, {"urgent": True}, "breaks the schema"),
        (ADVICE, {"advice": "Rest.", "more": 1}, "breaks the schema"),
        (ADVICE, ["Rest."], "breaks the schema"),
        ({"type": "array", "items": {"enum": ["a"]}}, ["a"], None),
        ({"type": "string", "format": "date"}, "2024-02-30", "breaks the schema"),
        ({"type": "string", "pattern": r"^(?=.*\d)\S+$"}, "a1", None),
        ({"$defs": {"a": ADVICE}, "$ref": "#/$defs/a"}, {"advice": "Rest."}, None),
        (CHAIN, {"a": 1, "next": {"a": 1}}, None),
        (CHAIN, {"a": 1, "next": {}}, "breaks the schema"),
        (False, 1, "breaks the schema"),
    ],
)  # fmt: skip
async def test_an_answer_is_held_against_the_schema(schema, value, fault):
    assert await misfit(schema, value) == fault


async def test_keys_twice_are_found_where_the_schema_sees_none():
    assert await of_schema(ADVICE).misfit('{"advice": "a", "advice": "b"}', seconds=9) == "not JSON"


@pytest.mark.parametrize(
    "schema",
    [
        [ADVICE],
        "zebra",
        5,
        {"type": "zebra"},
        {"properties": 5},
        {"pattern": "("},
        {"$ref": "#/$defs/nowhere"},
        {"$ref": "file:///etc/hostname"},
        {"$ref": "other.json"},
        {"$schema": "http://127.0.0.1:9/none"},
        {"const": "\ud800"},
        {"pattern": "((a{1000}){1000}){1000}"},
    ],
)
async def test_a_schema_that_is_none_proves_nothing(schema):
    assert await misfit(schema, {"advice": "Rest."}) == "cannot be checked"


async def test_a_reference_is_never_fetched():
    asked = []

    async def serve(_, writer):
        asked.append(1)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/schema.json"
        for schema in ({"$ref": url}, {"$id": url, "$ref": "more.json"}, {"$schema": url}):
            assert await misfit(schema, {"a": 1}) == "cannot be checked"
    assert asked == []


def doubling(levels):
    """Return a schema whose work doubles at every level."""
    twice = {
        f"d{n}": {"anyOf": [{"$ref": f"#/$defs/d{n + 1}"}, {"$ref": f"#/$defs/d{n + 1}"}]}
        for n in range(levels)
    }
    return {"$defs": {**twice, f"d{levels}": {"type": "null"}}, "$ref": "#/$defs/d0"}


def unevaluated(levels):
    schema = {"properties": {"a": True}}
    for _ in range(levels):
        schema = {"allOf": [schema], "unevaluatedProperties": False}
    return schema


HOSTILE = {
    "references that double": (doubling(60), 1),
    "unevaluated within unevaluated": (unevaluated(40), {"a": 1}),
    "a pattern that backtracks": ({"pattern": "^(a+)+$"}, "a" * 50_000 + "!"),
    "one with a back reference": ({"pattern": r"^(a|a)*\1$"}, "a" * 5_000 + "!"),
    "one that looks ahead": ({"pattern": "^(?=(a+)+$)b"}, "a" * 5_000 + "!"),
    "one that names keys": ({"patternProperties": {"^(a+)+$": False}}, {"a" * 5_000 + "!": 1}),
    "a reference to itself": ({"$ref": "#"}, 1),
}


@pytest.mark.parametrize(("schema", "value"), HOSTILE.values(), ids=HOSTILE)
async def test_a_hostile_schema_costs_a_bounded_time_and_leaves_the_loop_free(schema, value):
    longest, last = 0.0, time.perf_counter()

    async def tick():
        nonlocal longest, last
        while True:
            await asyncio.sleep(0.005)
            longest, last = max(longest, time.perf_counter() - last), time.perf_counter()

    ticking = asyncio.create_task(tick())
    started = time.perf_counter()
    await misfit(schema, value, seconds=0.5)
    assert time.perf_counter() - started < 1.5
    assert longest < 0.4
    ticking.cancel()


async def test_what_takes_too_long_cannot_be_checked():
    assert await misfit(doubling(60), 1, seconds=0.3) == "cannot be checked"
    assert await misfit(ADVICE, {"advice": "Rest."}, seconds=0) == "cannot be checked"


async def test_a_schema_that_ends_its_process_ends_nothing_else(tmp_path, monkeypatch):
    program = tmp_path / "crash.py"
    program.write_text("import os\nos.abort()\n")
    monkeypatch.setattr(matching, "_PROGRAM", program)
    assert await misfit(ADVICE, {"advice": "Rest."}) == "cannot be checked"
    monkeypatch.setattr(matching.sys, "executable", str(tmp_path / "nothing"))
    assert await misfit(ADVICE, {"advice": "Rest."}) == "cannot be checked"


async def test_a_check_that_is_given_up_leaves_no_process(monkeypatch):
    started = asyncio.Queue()
    start = asyncio.create_subprocess_exec

    async def noting(*arguments, **options):
        process = await start(*arguments, **options)
        started.put_nowait(process)
        return process

    monkeypatch.setattr(asyncio, "create_subprocess_exec", noting)
    task = asyncio.create_task(misfit(doubling(60), 1))
    process = await started.get()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert process.returncode is not None


def test_both_ends_mean_the_same_by_an_exit_status():
    assert (matching.FITS, matching.BREAKS) == (matching_process.FITS, matching_process.BREAKS)
