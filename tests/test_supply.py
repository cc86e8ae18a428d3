"""No data becomes code, nothing starts with the interpreter, and what is installed is locked."""

import ast
import site
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.audit import locks
from tests.audit.run import known

ROOT = Path(__file__).parent.parent
PRODUCT = ("models", "retrieval", "revision", "server")
SOURCES = [path for part in PRODUCT for path in sorted((ROOT / part).rglob("*.py"))]

MODULES = frozenset(
    {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "code", "imp"}
)
"""They run what they read."""
CALLS = frozenset(
    {
        *("eval", "exec", "compile", "__import__"),
        *("yaml.load", "yaml.unsafe_load", "yaml.full_load", "torch.load", "numpy.load", "np.load"),
        *("os.system", "os.popen", "subprocess.getoutput"),
    }
)
SWITCHES = frozenset({"trust_remote_code", "allow_pickle", "shell"})
"""Options that must never be true."""


def dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def faults(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (one.name for one in node.names if one.name.split(".")[0] in MODULES)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in MODULES:
            yield str(node.module)
        elif isinstance(node, ast.Call):
            if dotted(node.func) in CALLS:
                yield dotted(node.func)
            for option in node.keywords:
                off = isinstance(option.value, ast.Constant) and not option.value.value
                if option.arg in SWITCHES and not off:
                    yield str(option.arg)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_data_becomes_code(path: Path):
    assert list(faults(ast.parse(path.read_text(encoding="utf-8")))) == []


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "from joblib import load",
        "eval(text)",
        "yaml.load(text)",
        "torch.load(path)",
        "load(name, trust_remote_code=True)",
        "load(name, trust_remote_code=wished)",
        "run(command, shell=True)",
    ],
)
def test_data_that_becomes_code_is_seen(line: str):
    assert list(faults(ast.parse(line))) != []


def test_no_file_of_ours_is_a_pickle_or_a_checkpoint():
    kinds = {".pkl", ".pickle", ".joblib", ".pt", ".pth", ".ckpt", ".bin", ".npy", ".npz"}
    found = [path for part in PRODUCT for path in (ROOT / part).rglob("*") if path.suffix in kinds]
    assert found == []


STARTS = ("distutils-precedence.pth", "__editable__.clinalign_serve-", "_virtualenv.pth")
"""Files that Python runs at every start and that belong there: setuptools', our own, venv's."""


def test_nothing_strange_starts_with_the_interpreter():
    folders = {
        *site.getsitepackages(),
        sysconfig.get_path("purelib"),
        sysconfig.get_path("platlib"),
    }
    files = [file for folder in folders for file in Path(folder).glob("*.pth")]
    strange = [file.name for file in files if not file.name.startswith(STARTS)]
    assert strange == []
    hooks = [
        file.name
        for folder in folders
        for file in Path(folder).glob("*customize.py")
        if file.stem in {"sitecustomize", "usercustomize"}
    ]
    assert hooks == []


def test_the_lock_files_agree_with_what_is_installed():
    assert list(locks.faults()) == []


def test_a_lock_file_that_does_not_agree_is_told(tmp_path, monkeypatch):
    (tmp_path / "cpu.lock").write_text("aiohttp==1.0 \\\n    --hash=sha256:00\nstrange==1.0\n")
    monkeypatch.setattr(locks, "FOLDER", tmp_path)
    told = list(locks.faults())
    assert any("aiohttp is 1.0" in one for one in told)
    assert any("strange==1.0 has no hash" in one for one in told)
    assert any("strange is not in constraints.txt" in one for one in told)
    assert "dev.lock is missing" in told


def test_every_exception_of_the_audit_has_a_reason():
    assert all(len(reason) > 20 for reason in known().values())
