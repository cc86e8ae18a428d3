"""Text completions and embeddings, which are passed through.

What the model server says is not made up for where it is missing, so little is always there.
"""

from typing import Literal

from pydantic import JsonValue

from server.openapi.form import Count, Form, OpenForm, not_always


class PlainUsage(OpenForm):
    """The tokens, as the model server counts them."""

    prompt_tokens: Count = not_always()
    completion_tokens: Count = not_always()
    total_tokens: Count = not_always()


class TextChoice(Form):
    """How a text goes on."""

    index: Count = not_always()
    text: str = not_always()
    logprobs: dict[str, JsonValue] | None = not_always()
    finish_reason: str | None = not_always()


class TextCompletion(Form):
    """A text completion, or a chunk of one."""

    id: str = not_always()
    object: Literal["text_completion"] = not_always()
    created: int = not_always()
    model: str
    choices: list[TextChoice]
    usage: PlainUsage | None = not_always()


class Embedding(Form):
    """A vector; in base64 where the request asked for that."""

    object: Literal["embedding"] = not_always()
    index: Count = not_always()
    embedding: list[float] | str = not_always()


class EmbeddingList(Form):
    """Vectors of texts."""

    object: Literal["list"] = not_always()
    data: list[Embedding]
    model: str
    usage: PlainUsage | None = not_always()
