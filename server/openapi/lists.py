"""Models, principles, what those who run the gateway ask for, and errors."""

from typing import Annotated, Literal

from pydantic import Field

from revision.policy import Mode
from revision.rubric import Kind
from server.openapi.form import Form, not_always


class Model(Form):
    """A model id that a request may name; both lengths are the same number of tokens."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str
    root: str
    mode: Mode
    max_model_len: int | None
    context_length: int | None


class ModelList(Form):
    """The model ids that a request may name."""

    object: Literal["list"]
    data: list[Model]


class PrincipleCriterion(Form):
    """What a principle asks for, or forbids."""

    criterion: str
    points: Annotated[int, Field(ge=1, le=10)]
    kind: Kind
    critical: bool


class Source(Form):
    """Where a principle comes from; the address may be empty."""

    label: str
    url: str


class Principle(Form):
    """A principle as its file has it. A dimension that is not named does not matter to it."""

    id: str
    object: Literal["principle"]
    title: str
    text: str
    dimensions: dict[str, list[str]]
    criteria: list[PrincipleCriterion]
    sources: list[Source]
    always: bool


class FoundPrinciple(Principle):
    """A principle that was searched for, and how near it is."""

    score: float


class PrincipleList(Form):
    """All principles."""

    object: Literal["list"]
    data: list[Principle]


class FoundPrincipleList(Form):
    """The principles nearest to a text, best first."""

    object: Literal["list"]
    data: list[FoundPrinciple]


class Problems(Form):
    """What keeps the gateway from answering, from a changed library, or from trusting a judge."""

    principles: str = not_always()
    upstream: str = not_always()
    replicas: str = not_always()
    stopping: str = not_always()
    judge: str = not_always()


class Readiness(Form):
    """Whether a reviewed answer can be had now, and if not, why."""

    ready: bool
    problems: Problems


class Version(Form):
    """What this gateway is made of: its version, a hash of its prompts, whether it is a demo."""

    version: str
    prompts: str
    demo: bool


class ErrorBody(Form):
    """What went wrong. `param` names the field at fault, `code` the mistake."""

    message: str
    type: Literal[
        "invalid_request_error",
        "permission_error",
        "rate_limit_error",
        "requests",
        "tokens",
        "server_error",
    ]
    param: str | None
    code: str | None


class Error(Form):
    """An error, in OpenAI's form."""

    error: ErrorBody
