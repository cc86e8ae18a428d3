"""What a client is told of a body that cannot be read: the field, a code, and what to change.

The words are ours for every kind of mistake, since a validator's own speak of its inner types and
may quote what came. A parameter's name is put together from our fields' names and from places in
arrays alone; the keys that a client chose are as private as its words.
"""

from collections.abc import Mapping
from functools import cache
from typing import get_args

from pydantic import BaseModel, ValidationError
from pydantic_core.core_schema import ErrorType

from server.errors import InvalidRequest

TYPES: Mapping[str, tuple[str, str]] = {
    "missing": ("missing_required_parameter", "is missing; add it"),
    "int_type": ("invalid_type", "must be an integer, without quotes or a decimal point"),
    "float_type": ("invalid_type", "must be a number, without quotes"),
    "bool_type": ("invalid_type", "must be true or false, without quotes"),
    "string_type": ("invalid_type", "must be a string"),
    "tuple_type": ("invalid_type", "must be an array"),
    "dict_type": ("invalid_type", "must be an object"),
    "mapping_type": ("invalid_type", "must be an object"),
    "model_type": ("invalid_type", "must be an object"),
    "model_attributes_type": ("invalid_type", "must be an object"),
    "finite_number": ("invalid_value", "must be a finite number"),
    "literal_error": ("invalid_value", "must be {expected}"),
    "string_too_short": ("string_below_min_length", "must not be empty"),
    "string_too_long": ("string_above_max_length", "must have at most {max_length} characters"),
    "string_pattern_mismatch": (
        "invalid_value",
        "must be 1 to 64 characters, each a letter, a digit, _ or -",
    ),
    "too_short": ("empty_array", "must not be empty"),
    "too_long": ("array_above_max_length", "must have at most {max_length} items"),
}
"""The validator's name of a mistake → OpenAI's code for it, and what is told."""

RANGES: Mapping[str, tuple[str, str]] = {
    "greater_than_equal": ("below_min_value", "must be at least {ge}"),
    "less_than_equal": ("above_max_value", "must be at most {le}"),
}
"""The same for numbers out of range; the code begins with the kind of number."""

_BUILT_IN = frozenset(get_args(ErrorType))
_LIMITS = ("ge", "le", "max_length", "expected")


def not_json(error: ValueError) -> InvalidRequest:
    """Return the complaint about bytes that are no JSON, or too much of it."""
    if "recursion limit" in str(error):
        return InvalidRequest(
            "the request body is nested too deeply; send fewer than 200 levels", code="too_deep"
        )
    return InvalidRequest(
        "the request body is not valid JSON in UTF-8; send one JSON object", code="invalid_json"
    )


def complaint(error: ValidationError, kind: type[BaseModel]) -> InvalidRequest:
    """Return the complaint about a body that is not of that form."""
    first = error.errors(include_input=False, include_url=False)[0]
    limits = first.get("ctx", {})
    names = _field_names(kind)
    # A union's branches are in the place too, as are keys that a client chose.
    place = [str(part) for part in first["loc"] if isinstance(part, int) or part in names]
    place += [str(limits["at"])] if "at" in limits else []
    param = ".".join(place) or None
    code, said = _told(first["type"], first["msg"], limits)
    return InvalidRequest(f"{param or 'the request body'} {said}", param=param, code=code)


def _told(mistake: str, message: str, limits: Mapping[str, object]) -> tuple[str, str]:
    if mistake in RANGES:
        code, text = RANGES[mistake]
        number = limits["ge"] if "ge" in limits else limits["le"]
        code = f"{'decimal' if isinstance(number, float) else 'integer'}_{code}"
    elif mistake in TYPES:
        code, text = TYPES[mistake]
    elif mistake not in _BUILT_IN:
        return mistake, message  # a code and words of our own, see `server.wire_fields.mistake`
    else:
        return "invalid_value", "has a wrong value or type"
    return code, text.format_map({name: _shown(limits.get(name)) for name in _LIMITS})


def _shown(limit: object) -> str:
    return f"{limit:g}" if isinstance(limit, float) else str(limit)


@cache
def _field_names(kind: type[BaseModel]) -> frozenset[str]:
    """Return the names of all fields of a form, inner ones too."""
    schema = kind.model_json_schema()
    forms = [schema, *schema.get("$defs", {}).values()]
    return frozenset(name for form in forms for name in form.get("properties", {}))
