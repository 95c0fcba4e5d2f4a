"""The wheel: what is in it, what it asks for, and that an Airflow with nothing else of ours finds DAGs and plugin."""

import json
import os
import subprocess
import sys
import sysconfig
import zipfile
from email.parser import Parser
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from tao_ops.settings import PROJECT
from trials.airflow_versions import build_wheel

CORE = {
    *("croniter", "deltalake", "httpx", "jinja2", "numpy", "phonenumbers", "psycopg", "pyarrow", "pydantic", "pyyaml"),
    *("rich", "typer"),
}
"""What the side of Airflow is made with; each of them fits beside Airflow's own pins."""
DAGS = ["erase", "evaluate", "flywheel_tickets", "maintenance", "rollback"]


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of packages: those of this environment, but of ours the wheel alone."""
    folder = tmp_path_factory.mktemp("site")
    for path in Path(sysconfig.get_path("purelib")).iterdir():
        if "tao_flywheel" not in path.name and path.suffix != ".pth":
            (folder / path.name).symlink_to(path)
    with zipfile.ZipFile(wheel) as files:
        files.extractall(folder)
    return folder


def _python(installed: Path, home: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A process that finds packages in that folder alone, and no project."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("TAO_", "AIRFLOW"))}
    places = {"HOME": str(home), "AIRFLOW_HOME": str(home / "airflow"), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
    told = {**kept, **places, "PYTHONPATH": str(installed), "PYTHONDONTWRITEBYTECODE": "1", **environment}
    command = [sys.executable, "-S", *arguments]
    return subprocess.run(command, cwd=home, env=told, capture_output=True, text=True, timeout=300, check=False)


def _below(folder: str, at: str, *patterns: str) -> set[str]:
    root = PROJECT / folder
    return {f"{at}/{path.relative_to(root)}" for pattern in patterns for path in root.glob(pattern) if path.is_file()}


def _metadata(wheel: Path, name: str) -> str:
    with zipfile.ZipFile(wheel) as files:
        (path,) = (one for one in files.namelist() if one.endswith(f".dist-info/{name}"))
        return files.read(path).decode()


def test_library_plugin_pages_and_dags_are_in_it_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as files:
        held = {name for name in files.namelist() if ".dist-info/" not in name}
    page = "flywheel_page"
    assert held == {
        *_below("tao_ops", "tao_ops", "**/*.py"),
        *_below("plugins/tao_airflow", "tao_airflow", "**/*.py", f"{page}/templates/*", f"{page}/static/*"),
        *_below("dags", "tao_airflow/dags", "*.py"),
    }


def test_airflow_finds_the_plugin_by_its_entry_point(wheel: Path) -> None:
    told = [line for line in _metadata(wheel, "entry_points.txt").splitlines() if line]
    assert told[told.index("[airflow.plugins]") + 1] == "tao = tao_airflow.plugin:TaoPlugin"
    assert "tao = tao_ops.cli:main" in told


def test_beside_airflow_it_asks_for_little_and_pins_nothing(wheel: Path) -> None:
    asked = [Requirement(line) for line in Parser().parsestr(_metadata(wheel, "METADATA")).get_all("Requires-Dist")]
    core = {one.name: str(one.specifier) for one in asked if one.marker is None}
    assert set(core) == CORE
    assert not [name for name, specifier in core.items() if "==" in specifier]


def test_without_a_folder_of_flywheels_there_is_one_clear_error(installed: Path, tmp_path: Path) -> None:
    done = _python(installed, tmp_path, "-m", "tao_ops.cli", "config", "check")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: nothing says where the flywheels are [TAO_INCLUDE] — set it to the folder")
    assert len(done.stderr.splitlines()) == 1


LOOK = """
import json, sys
for name in sys.argv[1].split():
    sys.modules[name] = None  # its import fails, as where it is not installed
from airflow import plugins_manager
from airflow.dag_processing.dagbag import DagBag
from tao_airflow import bundle, flywheel_page, pages
from tao_ops.settings import Settings
plugins, wrong = plugins_manager._get_plugins()
bag = DagBag(str(bundle.TaoDagBundle(name="tao").path))
routes = [len(each.make_app().routes) for each in (flywheel_page, pages)]
print("TOLD", json.dumps({
    "dags": sorted(bag.dags), "errors": {**wrong, **bag.import_errors}, "home": str(Settings.from_env().home),
    "plugins": [str(one.source) for one in plugins if one.name == "tao"], "routes": routes,
}))
"""


@pytest.fixture(scope="module")
def found(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What Airflow finds; the plugins folder of the project is there besides, and what only stages need is not."""
    home = tmp_path_factory.mktemp("home")
    places = {"TAO_INCLUDE": str(PROJECT / "include"), "AIRFLOW__CORE__PLUGINS_FOLDER": str(PROJECT / "plugins")}
    missing = "crowdkit datasketch duckdb great_expectations matplotlib mlflow pandas presidio_analyzer scipy sklearn"
    done = _python(installed, home, "-c", LOOK, f"{missing} sqlglot torch transformers trl vllm", **places)
    assert done.returncode == 0, done.stderr[-3000:]
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("TOLD "))
    told: dict[str, Any] = json.loads(line.removeprefix("TOLD "))
    return {**told, "of": home}


def test_the_bundle_holds_every_dag_and_needs_nothing_that_only_stages_need(found: dict[str, Any]) -> None:
    assert (found["dags"], found["errors"]) == (DAGS, {})


def test_with_folder_and_entry_point_the_plugin_is_loaded_once(found: dict[str, Any]) -> None:
    (source,) = found["plugins"]
    assert "tao_airflow.plugin:TaoPlugin" in source
    assert all(count > 1 for count in found["routes"])


def test_what_is_written_lies_in_the_users_home(found: dict[str, Any]) -> None:
    assert found["home"] == str(found["of"] / ".tao")
