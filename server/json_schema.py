"""Whether a JSON schema from a client is one: what its keywords hold, all the way down.

A model server builds a grammar from the schema, and says of a bad one only that the request was
refused. A reference may point only into the schema itself: nothing is ever fetched for a client.
"""

from collections.abc import Callable, Iterator, Mapping

TYPES = frozenset({"string", "number", "integer", "boolean", "object", "array", "null"})
DEEPEST = 64

_ONE = frozenset(
    {
        "additionalItems",
        "additionalProperties",
        "contains",
        "contentSchema",
        "else",
        "if",
        "not",
        "propertyNames",
        "then",
        "unevaluatedItems",
        "unevaluatedProperties",
    }
)
"""Keywords that hold a schema."""

_SEVERAL = frozenset({"allOf", "anyOf", "oneOf", "prefixItems"})
"""Keywords that hold an array of schemas."""

_NAMED = frozenset({"$defs", "definitions", "dependentSchemas", "patternProperties", "properties"})
"""Keywords that hold schemas by name."""


def check_schema(schema: object, depth: int = 0) -> None:
    """Check a schema and the schemas in it.

    Raises:
        ValueError: it is none; the words quote nothing of it.

    """
    if isinstance(schema, bool):
        return
    if not isinstance(schema, Mapping):
        raise ValueError("each schema in it must be an object")  # noqa: TRY004  # one kind for all
    if depth > DEEPEST:
        raise ValueError(f"it has more than {DEEPEST} levels of schemas")
    for keyword, value in schema.items():
        if keyword in _SIMPLE and not _SIMPLE[keyword][0](value):
            raise ValueError(f"{keyword} must be {_SIMPLE[keyword][1]}")
        for inner in _inner(keyword, value):
            check_schema(inner, depth + 1)


def _inner(keyword: str, value: object) -> Iterator[object]:
    """Yield the schemas that a keyword holds.

    Raises:
        ValueError: it holds something else.

    """
    if keyword in _ONE or (keyword == "items" and not isinstance(value, list)):
        yield value
    elif keyword in _SEVERAL or keyword == "items":
        if not isinstance(value, list) or not value:
            raise ValueError(f"{keyword} must be an array of schemas, not empty")
        yield from value
    elif keyword in _NAMED:
        if not isinstance(value, Mapping):
            raise ValueError(f"{keyword} must be an object of schemas")
        yield from value.values()


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_step(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0


def _is_flag(value: object) -> bool:
    return isinstance(value, bool)


def _is_own_reference(value: object) -> bool:
    return isinstance(value, str) and value.startswith("#")


def _are_names(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _are_values(value: object) -> bool:
    return isinstance(value, list) and bool(value)


def _are_types(value: object) -> bool:
    names = value if isinstance(value, list) else [value]
    return bool(names) and all(isinstance(name, str) and name in TYPES for name in names)


_SIMPLE: Mapping[str, tuple[Callable[[object], bool], str]] = {
    "type": (_are_types, f"one or more of {', '.join(sorted(TYPES))}"),
    "enum": (_are_values, "an array of values, not empty"),
    "required": (_are_names, "an array of names"),
    "$ref": (_is_own_reference, "a reference into the schema itself, such as #/$defs/name"),
    "uniqueItems": (_is_flag, "true or false"),
    "multipleOf": (_is_step, "a number above 0"),
    **dict.fromkeys(
        ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"), (_is_number, "a number")
    ),
    **dict.fromkeys(
        (
            "maxContains",
            "maxItems",
            "maxLength",
            "maxProperties",
            "minContains",
            "minItems",
            "minLength",
            "minProperties",
        ),
        (_is_count, "an integer of 0 or more"),
    ),
    **dict.fromkeys(
        ("$comment", "$id", "$schema", "description", "format", "pattern", "title"),
        (_is_text, "a string"),
    ),
}
"""The other keywords: whether a value is what belongs there, and what that is."""
