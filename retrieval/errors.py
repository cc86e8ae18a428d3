"""What can go wrong with the principle library, the rubric bank and their indexes.

RetrievalError
├── LibraryInvalid   a principle or rubric file that cannot be used; names line and field
├── ScenarioFileInvalid  the scenario classifier's weights cannot be used
├── DemandFileInvalid    the weights of what physicians demand cannot be used
├── IndexMissing     there is no index yet
├── IndexMismatch    the index belongs to another library or embedder
└── IndexCorrupt     the index file is not what its manifest says
"""

from pathlib import Path

BUILD = "run `clinalign-serve principles build`"


class RetrievalError(Exception):
    """The principles or the bank cannot be searched."""


class LibraryInvalid(RetrievalError):  # noqa: N818  # named after the state, as in the tree above
    """A file of principles or rubrics that cannot be used."""

    def __init__(self, path: Path, problem: str, *, line: int | None = None) -> None:
        place = f"{path.name}, line {line}" if line is not None else path.name
        super().__init__(f"{place}: {problem}")
        self.path = path
        self.line = line


class ScenarioFileInvalid(RetrievalError):  # noqa: N818
    """The weights of the scenario classifier cannot be used; one line says why."""


class DemandFileInvalid(RetrievalError):  # noqa: N818
    """The weights of what physicians demand cannot be used; one line says why."""


class IndexMissing(RetrievalError):  # noqa: N818
    """There is no index yet."""


class IndexMismatch(RetrievalError):  # noqa: N818
    """The index was built from something else."""


class IndexCorrupt(RetrievalError):  # noqa: N818
    """The index file was changed or damaged."""
