"""Who may know whom; and what an import of the library must not load."""

import ast
import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import tao_ops
from tao_ops.settings import PROJECT

HEAVY = {"torch", "vllm", "trl", "transformers", "peft", "mlflow", "airflow", "great_expectations"}
LIBRARY = Path(tao_ops.__file__).parent
MODULES = {
    ".".join(path.relative_to(LIBRARY.parent).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(LIBRARY.rglob("*.py"))
}
LEAVES = {"answers", "records", "config", "errors", "prompts", "files", "tables", "models"}
"""``models`` for the facts about a model that the gate's rule compares."""


def _imports(path: Path) -> Iterator[str]:
    """Full names of everything that a file imports, at any depth; of ``from a import b`` both a and a.b."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module, f"{path}:{node.lineno}: write the full name"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _ours(path: Path) -> set[str]:
    """The first part, below ``tao_ops``, of what a file imports of the library."""
    return {name.split(".")[1] for name in _imports(path) if name.startswith("tao_ops.")}


def _below(package: str) -> list[Path]:
    return [path for name, path in MODULES.items() if name.split(".")[1:2] == [package]]


def _loaded_by(statement: str) -> set[str]:
    code = f"import sys\n{statement}\nprint(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, check=True, cwd=PROJECT, capture_output=True, text=True, timeout=120)
    return set(done.stdout.split()) & HEAVY


@pytest.mark.parametrize("statement", ["import tao_ops", "import tao_ops.cli"])
def test_the_library_and_its_command_line_load_no_heavy_library(statement: str) -> None:
    assert _loaded_by(statement) == set()


def test_no_module_loads_a_heavy_library_when_imported() -> None:
    every = sorted(module.name for module in pkgutil.walk_packages([str(LIBRARY)], "tao_ops."))
    assert "tao_ops.backends.vllm_engine" in every and "tao_ops.stages.register" in every
    assert _loaded_by(f"import importlib\nfor name in {every!r}: importlib.import_module(name)") == set()


def test_the_library_knows_no_airflow() -> None:
    for path in MODULES.values():
        assert not {name.split(".")[0] for name in _imports(path)} & {"airflow", "plugins", "dags"}, path


def test_only_backends_know_the_engines() -> None:
    for path in MODULES.values():
        if "backends" not in path.parts:
            assert not {name.split(".")[0] for name in _imports(path)} & {"torch", "vllm", "trl", "peft"}, path


@pytest.mark.parametrize("package", ["rewards", "strategies", "benchmarks", "sources"])
def test_what_stages_use_knows_records_and_config_types_only(package: str) -> None:
    paths = _below(package)
    assert paths
    for path in paths:
        assert _ours(path) <= LEAVES | {package}, path


def test_no_stage_knows_another() -> None:
    paths = [path for path in _below("stages") if path.name != "__init__.py"]
    assert len(paths) == 8
    for path in paths:
        names = {name for name in _imports(path) if name.startswith("tao_ops.stages.")}
        assert names <= {"tao_ops.stages.Run"}, path


def test_nothing_below_the_stages_looks_up_to_them() -> None:
    above = {
        "cli",
        "doctor",
        "launch",
        "local",
        "replay",
        "runner",
        "serve_cli",
        "stage_cli",
        "turn_cli",
        "turns",
        "views",
    }
    for name, path in MODULES.items():
        part = name.split(".")[1:2]
        if part and part[0] not in above:
            assert not _ours(path) & above, path
        if part and part[0] not in above | {"stages"}:
            assert "stages" not in _ours(path), path


def test_serving_knows_neither_the_lake_nor_a_turn() -> None:
    # A server outlives turns: it follows the registry, and hands what it captures to ingest as files.
    below = {"backends", "champions", "database", "privacy", "registry", "rewards", "settings", "sources", "telemetry"}
    for path in _below("serve"):
        assert _ours(path) <= LEAVES | below | {"serve"}, path


def test_backends_know_neither_lake_nor_stages() -> None:
    for path in _below("backends"):
        assert _ours(path) <= LEAVES | {"backends"}, path
