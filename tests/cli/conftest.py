"""An index of the shipped libraries, built once with the real embedder, and copies of it."""

import shutil
from pathlib import Path

import pytest

from tests.cli.program import run


@pytest.fixture(scope="session")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a data folder with the shipped libraries' indexes; nobody may change it."""
    data = tmp_path_factory.mktemp("shipped") / "data"
    outcome = run("principles", "build", data=data, seconds=280)
    assert outcome.status == 0, outcome.err
    return data


@pytest.fixture
def built(shipped: Path, tmp_path: Path) -> Path:
    """Return a copy of that folder for one test."""
    return Path(shutil.copytree(shipped, tmp_path / "data"))


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    """Return a data folder that is not there yet."""
    return tmp_path / "data"
