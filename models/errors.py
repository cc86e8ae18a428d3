"""What can go wrong at the boundary to a language model or an embedder.

ModelError
├── ModelUnavailable    refused, reset, gone, broken off, or answering 409, 425 or most 5xx
├── ModelOverloaded     answering 429, 529 (or 503 with Retry-After): busy, not dead
├── ModelTimeout        no answer within the time given, or 408
├── ModelRejected       it refused the request itself (another 4xx, or 501)
│   └── ContextOverflow the prompt is longer than its context, or 413
└── MalformedReply      an answer that is not what the API promises, such as a redirect
EmbedderError           the embedding model cannot be loaded or gives unusable vectors

Messages name the upstream's status, never its words: those may repeat a patient's.
"""

from models.messages import Usage


class ModelError(Exception):
    """A language model could not give what was asked.

    `spent` is what the reply that could not be used has cost, where the server said so.
    """

    def __init__(self, message: str = "", *, spent: Usage | None = None) -> None:
        super().__init__(message)
        self.spent = spent or Usage()


class ModelUnavailable(ModelError):  # noqa: N818  # named after the state, as in the tree above
    """The model's server is down or broke the connection."""


class ModelOverloaded(ModelError):  # noqa: N818
    """The model's server asks to come back later; `retry_after` in seconds if it said when."""

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ModelTimeout(ModelError):  # noqa: N818
    """The model's server did not answer in time."""


class ModelRejected(ModelError):  # noqa: N818
    """The model's server refused the request; `status` is its HTTP status."""

    def __init__(self, message: str, *, status: int) -> None:
        super().__init__(message)
        self.status = status


class ContextOverflow(ModelRejected):
    """The prompt does not fit into the model's context: of `limit` tokens, if the server said."""

    def __init__(self, message: str, *, status: int, limit: int | None = None) -> None:
        super().__init__(message, status=status)
        self.limit = limit


class MalformedReply(ModelError):  # noqa: N818
    """The model's server answered with something that is not the API's form."""


class EmbedderError(Exception):
    """The embedding model is missing, cannot be loaded, or gives unusable vectors."""
