"""The seams of this package: what the loop needs of a language model and of an embedder."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from models.context import Context
from models.messages import Call, Completion, Delta, Json


class ChatModel(Protocol):
    """A chat language model. Every method raises `models.errors.ModelError`."""

    @property
    def name(self) -> str:
        """The model's id as its server knows it."""

    async def complete(self, call: Call) -> Completion:
        """Return the whole reply."""

    def stream(self, call: Call) -> AsyncIterator[Delta | Completion]:
        """Yield the reply's pieces as they come, then the whole of it as a `Completion`."""


class Measured(Protocol):
    """A model whose context can be measured."""

    @property
    def context(self) -> Context:
        """What is known of its context."""

    def template(self, call: Call) -> Mapping[str, Json]:
        """Return the fields of a call that change what the chat template makes of it."""


class Embedder(Protocol):
    """Texts to unit vectors. Blocking: call it off the event loop."""

    @property
    def id(self) -> str:
        """Name and revision, so that an index made by another embedder is recognised."""

    @property
    def dimension(self) -> int:
        """The length of a vector."""

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return unit vectors of shape (len(texts), dimension), float32."""
