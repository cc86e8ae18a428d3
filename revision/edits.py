"""Edits of a draft as a model writes them: a small JSON form, the same for every draft.

One fixed schema, so that an engine compiles its grammar once; ids are checked when the edits are
applied. Each edit has the place in its first key and says which criteria it is for. `move` and a
range of ids are there so that an answer can be put in another order without being written again.
"""

import re
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, TypeAdapter

from models.messages import Json, JsonSchema
from revision.errors import Unparsable

Op = Literal["insert_after", "replace", "delete", "move", "rewrite"]

MOST = 30
LONGEST = 4000
"""Characters of one edit's text."""
MOST_CRITERIA = 6
"""Criteria that one edit may name."""
_PLACE = "S[0-9]{1,3}"  # llama.cpp knows no \d
_RANGE = rf"{_PLACE}(-{_PLACE})?"

Place = Annotated[str, StringConstraints(pattern=rf"^\s*\[?{_RANGE}\]?\s*$")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """One edit. `first` to `last` are the segments that it is at; `after` is where a move goes.

    `criteria` are the places, from 0, of the criteria that it serves.
    """

    op: Op
    first: int = 0
    last: int = 0
    after: int = 0
    text: str = ""
    criteria: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoken:
    """One edit as a model says it; keys that it has not are None."""

    insert_after: Place | None = None
    replace: Place | None = None
    delete: Place | None = None
    move: Place | None = None
    after: Place | None = None
    rewrite: bool | None = None
    for_: Annotated[tuple[int, ...], Field(alias="for")] = ()
    text: Annotated[str, Field(max_length=LONGEST)] | None = None

    def __post_init__(self) -> None:
        named = [self.insert_after, self.replace, self.delete, self.move, self.rewrite]
        if sum(one is not None for one in named) != 1:
            raise ValueError("an edit does one thing")
        if (self.insert_after or self.replace) and self.text is None:
            raise ValueError("an edit that adds has a text")
        if self.move and self.after is None:
            raise ValueError("a move has a place to go to")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What the model replies."""

    edits: Annotated[tuple[object, ...], Field(max_length=MOST)]


FORM = TypeAdapter(Reply)
_ONE = TypeAdapter(Spoken)


def edits_of(reply: Reply, numbers: tuple[int, ...]) -> tuple[Edit, ...]:
    """Return the edits; `numbers` are the criteria's places in the order of the prompt's list.

    Raises:
        Unparsable: some edit is of no known form. What it meant to do nobody knows, and the others
            may rely on it.

    """
    try:
        return tuple(_edit(_ONE.validate_python(one), numbers) for one in reply.edits)
    except ValueError:
        raise Unparsable("an edit is of no known form") from None


def _edit(one: Spoken, numbers: tuple[int, ...]) -> Edit:
    criteria = tuple(dict.fromkeys(numbers[n - 1] for n in one.for_ if 1 <= n <= len(numbers)))
    text = one.text or ""
    if one.insert_after is not None:
        _, place = _span(one.insert_after)
        return Edit(op="insert_after", first=place, last=place, text=text, criteria=criteria)
    if one.replace is not None:
        first, last = _span(one.replace)
        return Edit(op="replace", first=first, last=last, text=text, criteria=criteria)
    if one.delete is not None:
        first, last = _span(one.delete)
        return Edit(op="delete", first=first, last=last, criteria=criteria)
    if one.move is not None and one.after is not None:
        first, last = _span(one.move)
        _, after = _span(one.after)
        return Edit(op="move", first=first, last=last, after=after, criteria=criteria)
    return Edit(op="rewrite", criteria=criteria)


def _span(place: str) -> tuple[int, int]:
    numbers = [int(one) for one in re.findall(r"\d+", place)]
    return numbers[0], numbers[-1]


def _object(*required: str) -> dict[str, Json]:
    return {
        "type": "object",
        "properties": {name: _PROPERTIES[name] for name in required},
        "required": list(required),
        "additionalProperties": False,
    }


_PROPERTIES: dict[str, Json] = {
    "insert_after": {"type": "string", "pattern": rf"^{_PLACE}$"},
    "replace": {"type": "string", "pattern": rf"^{_RANGE}$"},
    "delete": {"type": "string", "pattern": rf"^{_RANGE}$"},
    "move": {"type": "string", "pattern": rf"^{_RANGE}$"},
    "after": {"type": "string", "pattern": rf"^{_PLACE}$"},
    "rewrite": {"enum": [True]},
    "for": {"type": "array", "items": {"type": "integer"}, "maxItems": MOST_CRITERIA},
    "text": {"type": "string", "minLength": 1},  # llama.cpp counts to 2,000 in a grammar
}
SCHEMA = JsonSchema(
    name="edits",
    schema={
        "type": "object",
        "properties": {
            "edits": {
                "type": "array",
                "maxItems": MOST,
                "items": {
                    "anyOf": [
                        _object("insert_after", "for", "text"),
                        _object("replace", "for", "text"),
                        _object("delete", "for"),
                        _object("move", "after", "for"),
                        _object("rewrite"),
                    ]
                },
            }
        },
        "required": ["edits"],
        "additionalProperties": False,
    },
)
