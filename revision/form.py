"""The form that an answer must have: OpenAI's `response_format`, as a check on the answer's text.

JSON is read strictly here. `json.loads` takes `NaN` and lets the last of two equal keys win, while
a client's parser may refuse the one and keep the other key: an answer that parsers read
differently has no form that anyone can rely on.
"""

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, NoReturn

from models.messages import Json
from revision.matching import matches

MOST_LEVELS = 200
"""Of nesting; the gateway takes requests hardly deeper, and what reads an answer here recurses."""

Kind = Literal["text", "json_object", "json_schema"]
Misfit = Literal["not JSON", "breaks the schema", "cannot be checked"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerForm:
    """What an answer's text must be. `schema` is the client's, and anything a client can send."""

    kind: Kind = "text"
    schema: Json = True

    @property
    def is_json(self) -> bool:
        """Whether the answer must be JSON."""
        return self.kind != "text"

    def read(self, text: str) -> Json:
        """Return the value of an answer that is JSON as asked for; None of any other answer."""
        try:
            value = parse(text) if self.is_json else None
        except ValueError:
            return None
        return None if self.kind == "json_object" and not isinstance(value, dict) else value

    async def misfit(self, text: str, *, seconds: float) -> Misfit | None:
        """Say why the text has not this form, if so; `seconds` bounds a match with a schema.

        A schema that is none, that points outside itself, or that takes too long to match, leaves
        `cannot be checked`: no proof of a misfit, and none of a fit.
        """
        if not self.is_json:
            return None
        if self.read(text) is None:
            return "not JSON"  # so is `null`, which tells nobody anything
        if self.schema is True:
            return None
        fits = await matches(self.schema, text, seconds=seconds)
        if fits is None:
            return "cannot be checked"
        return None if fits else "breaks the schema"


def form_of(response_format: Json) -> AnswerForm:
    """Return the form that a request's `response_format` asks for; unknown ones ask for none."""
    match response_format:
        case {"type": "json_object"}:
            return AnswerForm(kind="json_object")
        case {"type": "json_schema", "json_schema": Mapping() as wanted}:
            schema = wanted.get("schema")
            return AnswerForm(kind="json_schema", schema=True if schema is None else schema)
        case {"type": "json_schema"}:
            return AnswerForm(kind="json_schema")
        case _:
            return AnswerForm()


def parse(text: str) -> Json:
    """Read JSON strictly.

    Raises:
        ValueError: it is none, or parsers would differ about it: a key twice, a number that is
            none or beyond a float, nesting without end.

    """
    try:
        value: Json = json.loads(
            text, object_pairs_hook=_object, parse_constant=_refuse, parse_float=_finite
        )
    except RecursionError:
        raise ValueError("nested too deeply") from None
    level = [value]
    for _ in range(MOST_LEVELS):
        level = [inner for one in level for inner in _inside(one)]
    if level:
        raise ValueError("nested too deeply")
    return value


def words(value: Json) -> Iterator[str]:
    """Yield what JSON tells its reader, in order: strings and numbers, without keys."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield str(value)
    for inner in _inside(value):
        yield from words(inner)


def _inside(value: Json) -> Iterable[Json]:
    """Return what an object or an array holds."""
    if isinstance(value, Mapping):
        return value.values()
    return value if isinstance(value, list) else ()


def _object(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a key twice")
    return made


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError("a number beyond a float")
    return number
