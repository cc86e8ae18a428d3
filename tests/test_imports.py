"""The house's rule: server → revision → retrieval → models; and what no product code may do."""

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ORDER = ("server", "revision", "retrieval", "models")
FILES = sorted(path for package in ORDER for path in (ROOT / package).rglob("*.py"))
BELOW_THE_EDGE = [path for path in FILES if path.relative_to(ROOT).parts[0] != "server"]
APART = {  # programs of their own, started by models.embedded and revision.matching
    Path("models/embedded_server.py"),
    Path("revision/matching_process.py"),
}


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imported(tree: ast.AST) -> Iterator[str]:
    """Yield every module that is imported, wherever the statement stands."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute, so that this test can read them"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def packages(path: Path) -> set[str]:
    return {name.split(".")[0] for name in imported(ast.parse(path.read_text()))}


def over_files(files: list[Path] = FILES) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("path", files, ids=name_of)


def test_the_packages_are_there_to_be_read():
    assert {path.relative_to(ROOT).parts[0] for path in FILES} == set(ORDER)
    assert len(FILES) > 50


@over_files()
def test_a_package_imports_only_what_stands_to_its_right(path):
    own = path.relative_to(ROOT).parts[0]
    to_the_left = set(ORDER[: ORDER.index(own)])
    assert packages(path) & to_the_left == set()


@over_files()
def test_nothing_imports_benchmarks_or_tests(path):
    assert packages(path) & {"benchmarks", "tests", "deploy", "conftest", "pytest"} == set()


@over_files(BELOW_THE_EDGE)
def test_the_web_framework_and_the_metrics_stay_at_the_edge(path):
    edge = {"fastapi", "starlette", "uvicorn", "typer", "rich", "prometheus_client"}
    assert packages(path) & (edge | {"pydantic_settings", "click"}) == set()


def test_only_models_knows_the_engine_and_the_embedder():
    users = {name_of(path) for path in FILES if packages(path) & {"xllamacpp", "torch"}}
    assert users == {"models/embedded_server.py"}
    users = {
        name_of(path)
        for path in FILES
        if packages(path) & {"sentence_transformers", "transformers"}
    }
    assert users == {"models/embedder.py"}


def test_only_a_process_of_its_own_loads_the_schema_validator():
    users = {name_of(path) for path in FILES if "jsonschema_rs" in packages(path)}
    assert users == {"revision/matching_process.py"}


def test_only_the_index_and_its_structure_know_faiss():
    users = {name_of(path) for path in FILES if "faiss" in packages(path)}
    assert users == {"retrieval/index.py", "retrieval/structure.py"}


def test_no_module_has_a_name_that_says_nothing():
    nothing = {"utils", "util", "helpers", "helper", "common", "misc", "base", "manager"}
    assert {name_of(path) for path in FILES if path.stem in nothing} == set()


@over_files()
def test_no_code_runs_data_or_looks_at_the_environment(path):
    """Settings come from server/settings.py alone, whose library reads the environment."""
    tree = ast.parse(path.read_text())
    assert (
        packages(path) & {"pickle", "marshal", "shelve", "dill", "joblib", "cloudpickle"} == set()
    )
    found = []
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id="eval" | "exec" | "compile" | "__import__" as name)):
                found.append((node.lineno, name))
            case ast.Attribute(value=ast.Name(id="os"), attr="environ" | "environb" | "getenv"):
                if name_of(path) == "server/settings.py":
                    continue  # it looks at the names, for those that are no setting
                found.append((node.lineno, f"os.{node.attr}"))
            case ast.Attribute(value=ast.Name(id="os"), attr="system" | "popen"):
                found.append((node.lineno, f"os.{node.attr}"))
            case ast.ImportFrom(module="os", names=names) if {alias.name for alias in names} & {
                "environ",
                "getenv",
                "system",
                "popen",
            }:
                found.append((node.lineno, "from os import"))
            case ast.keyword(arg="shell" | "allow_pickle" | "trust_remote_code", value=value):
                if not (isinstance(value, ast.Constant) and value.value is False):
                    found.append((node.value.lineno, node.arg))
            case _:
                pass
    assert found == []


# Where all that is left over may be caught, once each: the outermost handler of a request and of a
# stream that has begun, and two pumps that carry an error over to another task and raise it there.
LAST_RESORTS = {
    "server/middleware.py",
    "server/event_stream.py",
    "server/responses/stream.py",
    "server/feed.py",
    "server/contained.py",
    "revision/together.py",
}


def catches_everything(handler: ast.ExceptHandler) -> bool:
    named = {
        node.id
        for node in ast.walk(handler.type or ast.Name("Exception"))
        if isinstance(node, ast.Name)
    }
    ends_in_raise = isinstance(handler.body[-1], ast.Raise) and handler.body[-1].exc is None
    return bool(named & {"Exception", "BaseException"}) and not ends_in_raise


@over_files()
def test_no_except_swallows_everything_outside_the_last_resorts(path):
    nodes = ast.walk(ast.parse(path.read_text()))
    lines = [
        node.lineno
        for node in nodes
        if isinstance(node, ast.ExceptHandler) and catches_everything(node)
    ]
    assert len(lines) <= (name_of(path) in LAST_RESORTS), lines


def python(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CLINALIGN_")}
    return subprocess.run(
        [sys.executable, "-W", "error", "-W", "ignore::DeprecationWarning:importlib", "-c", code],
        env={**kept, "PYTHONPATH": str(ROOT), "CLINALIGN_DATA_DIR": str(folder / "data")},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


QUIETLY = """
import importlib, socket, subprocess, sys, threading
def refuse(*_, **__): raise AssertionError("an import must not do this")
socket.socket.connect = socket.socket.bind = subprocess.Popen.__init__ = refuse
threads = threading.active_count()
for name in {names!r}:
    importlib.import_module(name)
assert threading.active_count() == threads, "an import started a thread"
heavy = {{"torch", "sentence_transformers", "transformers", "xllamacpp"}} & set(sys.modules)
assert not heavy, heavy
"""


def test_importing_the_program_loads_no_model_library_and_starts_nothing(tmp_path):
    names = [module_of(path) for path in FILES if path.relative_to(ROOT) not in APART]
    done = python(QUIETLY.format(names=["server.app", *names]), tmp_path)
    assert done.returncode == 0, done.stderr
    assert (done.stdout, done.stderr) == ("", "")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("package", ["models", "retrieval", "revision"])
def test_a_package_is_imported_without_those_to_its_left(tmp_path, package):
    names = [
        module_of(path)
        for path in FILES
        if path.relative_to(ROOT).parts[0] == package and path.relative_to(ROOT) not in APART
    ]
    left = ORDER[: ORDER.index(package)]
    code = QUIETLY.format(names=names) + f"assert not set({left!r}) & set(sys.modules)\n"
    done = python(code, tmp_path)
    assert done.returncode == 0, done.stderr
