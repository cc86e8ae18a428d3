"""What request bodies are made of: strict scalars, and objects that are open or closed.

Types are as strict as OpenAI's own: `"5"` and `5.0` are no integers and `1` is no boolean. A
gateway that mends what a client got wrong hides the mistake until another server refuses it.
"""

from collections.abc import Callable
from typing import Annotated, LiteralString, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, model_validator
from pydantic_core import PydanticCustomError

Flag = Annotated[bool, Field(strict=True)]
Whole = Annotated[int, Field(strict=True)]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]


def null_is(*, default: object) -> BeforeValidator:
    """Return what takes null for "not given", as OpenAI's API does."""
    return BeforeValidator(lambda value: default if value is None else value)


def mistake(
    code: LiteralString, text: LiteralString, *, at: str = "", **words: str
) -> PydanticCustomError:
    """Return an error of our own wording; `at` names the inner field it is about."""
    return PydanticCustomError(code, text, {**({"at": at} if at else {}), **words})


def chosen_by(tag: Callable[[object], str | None], wanted: LiteralString) -> Discriminator:
    """Return what picks a union's branch by the value's form, so that one branch complains."""
    return Discriminator(
        tag,
        custom_error_type="invalid_type",
        custom_error_message=wanted,
    )


class Body(BaseModel):
    """An object that keeps the fields we do not name and passes them on."""

    model_config = ConfigDict(extra="allow", frozen=True, serialize_by_alias=True)


class Closed(Body):
    """An object that has no fields but those we name.

    The complaint lists what is known and leaves out what came: a key that a client made up may
    be a patient's words.
    """

    model_config = ConfigDict(json_schema_extra={"additionalProperties": False})

    @model_validator(mode="after")
    def _only_known(self) -> Self:
        if self.model_extra:
            fields = type(self).model_fields
            known = ", ".join(field.alias or name for name, field in fields.items())
            raise mistake(
                "unknown_parameter",
                "has a field that is not known; it takes only {known}",
                known=known,
            )
        return self


def kind_of(value: object) -> object:
    """Return the `type` of an object, be it as it came or read already."""
    if isinstance(value, BaseModel):
        return getattr(value, "type", None)
    return value.get("type") if isinstance(value, dict) else None
