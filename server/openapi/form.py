"""What the forms of answers are made of.

They describe and do not build: answers are put together as plain objects (`server.replies`), and
the tests hold every answer that they get against these forms. A form has the fields it names and
no other, so that an answer with one field more fails a test rather than surprising a client.
"""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field


class Form(BaseModel):
    """An object that goes out, with these fields and no other."""

    model_config = ConfigDict(extra="forbid")


class OpenForm(BaseModel):
    """An object of the upstream's own that is passed on, whatever else it holds."""

    model_config = ConfigDict(extra="allow")


def not_always() -> Any:  # noqa: ANN401  # stands in for a value of any type
    """Return the default of a field that may be left out, which is not the same as null."""
    return Field(default_factory=dict)


Count = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
RevisionId = Annotated[str, Field(pattern=r"^rev_[0-9a-f]{32}$")]
