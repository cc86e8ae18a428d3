"""Opening the libraries and their indexes, and building the indexes."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from models.protocols import Embedder
from retrieval import bank as bank_file
from retrieval import demand as demand_file
from retrieval import principles as principle_file
from retrieval.bank import Bank, load_banks
from retrieval.classifier import EMBEDDER, ScenarioClassifier
from retrieval.demand import DemandModel, load_demand
from retrieval.errors import RetrievalError
from retrieval.index import build_index, index_files, load_index, read_manifest
from retrieval.principles import Library, load_library
from retrieval.retriever import Retriever

PRINCIPLES = "principles"
RUBRICS = "rubrics"
SCENARIO_FILE = Path(__file__).parent / "data" / "scenario.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where the libraries and their indexes lie; `imported` is a folder of further banks."""

    indexes: Path
    principles: Path = principle_file.DEFAULT_FILE
    rubrics: Path = bank_file.DEFAULT_FILE
    imported: Path | None = None
    scenario: Path = SCENARIO_FILE
    demand: Path = demand_file.DEFAULT_FILE

    @property
    def banks(self) -> tuple[Path, ...]:
        """The bank's files: the main one, then what was imported, by name."""
        added = sorted(self.imported.glob("*.jsonl")) if self.imported is not None else []
        return (self.rubrics, *added)


def require_indexes(places: Places) -> None:
    """Check cheaply that there are indexes at all.

    Raises:
        IndexMissing, IndexCorrupt: there are none, or their manifests cannot be read.

    """
    for corpus in (PRINCIPLES, RUBRICS):
        read_manifest(places.indexes, corpus)


def signature(places: Places) -> tuple[tuple[int, int, int] | None, ...]:
    """Return what changes when a file that `open_retriever` reads does; None for one not there."""
    files = (
        places.principles,
        principle_file.ASKS_FILE,
        *places.banks,
        places.scenario,
        places.demand,
        *(places.indexes / f"{corpus}.json" for corpus in (PRINCIPLES, RUBRICS)),
    )
    return tuple(_stamp(file) for file in files)


def _stamp(file: Path) -> tuple[int, int, int] | None:
    try:
        known = file.stat()
    except OSError:
        return None
    return known.st_ino, known.st_size, known.st_mtime_ns


def open_retriever(places: Places, embedder: Embedder, *, multilingual: bool = False) -> Retriever:
    """Load everything and check that it belongs together.

    `multilingual` says that the embedder knows the users' languages, whatever they are.

    Raises:
        RetrievalError: with the reason and what mends it. Never a retriever without principles.

    """
    library = load_library(places.principles)
    bank = load_banks(places.banks)
    return Retriever(
        library=library,
        bank=bank,
        principle_index=load_index(places.indexes, PRINCIPLES, library.sha256, embedder),
        bank_index=load_index(places.indexes, RUBRICS, bank.sha256, embedder),
        classifier=_classifier(places, embedder),
        embedder=embedder,
        demand=_demand(places, embedder),
        multilingual=multilingual,
    )


def _demand(places: Places, embedder: Embedder) -> DemandModel:
    """Return what is known of physicians' demands; the weights speak of one embedder's vectors."""
    model = load_demand(places.demand)
    fits = (model.embedder, model.weights.shape[1]) == (embedder.id, embedder.dimension)
    return model if fits else DemandModel.empty()


def _classifier(places: Places, embedder: Embedder) -> ScenarioClassifier:
    """Return the classifier; the weights speak of one embedder's vectors and no other's."""
    if not embedder.id.startswith(f"{EMBEDDER}@"):
        return ScenarioClassifier.without_weights()
    return ScenarioClassifier.load(places.scenario)


def build_indexes(places: Places, embedder: Embedder) -> tuple[Library, Bank]:
    """Build both indexes from their files; indexes that already fit are left alone.

    Raises:
        LibraryInvalid: a file is at fault; nothing was written for it.

    """
    library = load_library(places.principles)
    bank = load_banks(places.banks)
    principle_texts = [library.rows(principle) for principle in library]
    questions = [(entry.row(),) for entry in bank]
    _ensure(places.indexes, PRINCIPLES, library.sha256, principle_texts, embedder)
    _ensure(places.indexes, RUBRICS, bank.sha256, questions, embedder)
    return library, bank


def put_bank(places: Places, target: Path, new: Path | None, embedder: Embedder) -> Bank:
    """Put an imported bank file into its place, or take it out, with the index that fits.

    The index is built aside; only when it is whole do file and index move, so that whatever
    fails or is killed before leaves both as they were.

    Args:
        places: where the libraries lie.
        target: the file's place in `places.imported`.
        new: the file to move there; None to remove the one there.
        embedder: makes the index.

    Raises:
        LibraryInvalid: a bank file is at fault.

    """
    added = sorted({*places.banks[1:], target})
    paths = [places.rubrics, *(new if path == target else path for path in added)]
    bank = load_banks([path for path in paths if path is not None])
    places.indexes.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=places.indexes) as aside:
        rows = [(entry.row(),) for entry in bank]
        build_index(Path(aside), RUBRICS, bank.sha256, rows, embedder)
        if new is None:
            target.unlink()
        else:
            new.replace(target)
        for file in index_files(Path(aside), RUBRICS):
            file.replace(places.indexes / file.name)
    return bank


def _ensure(
    folder: Path, corpus: str, sha256: str, texts: Sequence[Sequence[str]], embedder: Embedder
) -> None:
    try:
        load_index(folder, corpus, sha256, embedder)
    except RetrievalError:
        build_index(folder, corpus, sha256, texts, embedder)
