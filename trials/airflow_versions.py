"""The wheel in an Airflow that somebody has already, at both ends of the range that is supported.

A cell is one release of Airflow, in an environment of its own: Airflow as it is installed by itself, whose packages
are then the pins under which the wheel is installed. The cell holds where no package of Airflow has moved, ``pip
check`` finds nothing, the bundle's DAGs are all there without an import error, the plugin is loaded once by its entry
point, its pages answer who is signed in and nobody else, and a run of the DAG ``maintenance`` does its work in the
environment of this project, which ``TAO_PYTHON`` names. The packages come from where uv is told to take them.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tao_ops.database import start_embedded
from tao_ops.settings import PROJECT
from trials.record import Cells

VERSIONS = ("3.3.0", "3.3.2")
SEED = 0
"""Nothing is drawn; a cell has one."""
DAGS = ["erase", "evaluate", "flywheel_tickets", "maintenance", "rollback"]
PAGES = ("/flywheel/", "/flywheel/dags/flywheel_tickets", "/flywheel/dags/flywheel_tickets/actions")
PASSWORD = "of-a-trial"
_SOURCES = ("pyproject.toml", "setup.py", "README.md", "LICENSE", "NOTICE", "tao_ops", "plugins", "dags")
_UV = Path(sys.executable).with_name("uv")
_LIMIT_S, _START_S = 900.0, 300.0


def run() -> bool:
    """Measure the cells that this commit lacks; true where every release held."""
    cells = Cells("airflow_versions")
    for version in VERSIONS:
        if not cells.known(SEED, version):
            with tempfile.TemporaryDirectory(prefix="tao-airflow-") as scratch:
                cell = _cell(version, Path(scratch))
            cells.keep(SEED, cell, _outcome, version)
            print(f"airflow_versions: Airflow {version}: {'held' if cell['held'] else cell}", flush=True)
    print(f"airflow_versions: {_outcome(cells.cells)}")
    return all(cells.cells.get(version, {}).get("held") for version in VERSIONS)


def _outcome(cells: Mapping[str, Mapping[str, Any]]) -> str:
    held = [version for version in VERSIONS if cells.get(version, {}).get("held")]
    return f"{len(held)} of {len(VERSIONS)} releases of Airflow held: {', '.join(held) or 'none'}"


def _cell(version: str, scratch: Path) -> dict[str, Any]:
    there = _Airflow(scratch)
    told = {"python": sys.version.split()[0], **there.install(version, build_wheel(scratch))}
    server = start_embedded(scratch / "home")
    try:
        told |= there.look(server.url("tao"))
    finally:
        server.stop()
    return {**told, "held": held(told)}


def held(told: Mapping[str, Any]) -> bool:
    """Whether all is as it should be."""
    return (
        (told["moved"], told["pip_check"], told["dags"], told["import_errors"]) == ([], "", DAGS, [])
        and len(told["plugins"]) == 1
        and "tao_airflow.plugin:TaoPlugin" in told["plugins"][0]
        and all(page == [200, 401] for page in told["pages"].values())
        and told["maintenance"] == "success"
    )


def moved(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """Packages of ``before`` that another version has taken the place of, or none."""
    return [f"{name} {one} → {after.get(name)}" for name, one in before.items() if after.get(name) != one]


def build_wheel(scratch: Path) -> Path:
    """The project's wheel, built from a copy in ``scratch``: a build leaves files beside its sources.

    Raises:
        RuntimeError: it cannot be built; with the end of what the build said.
    """
    source, target = scratch / "source", scratch / "wheel"
    for folder in (source, target):
        folder.mkdir()
    for name in _SOURCES:
        if (PROJECT / name).is_dir():
            shutil.copytree(PROJECT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(PROJECT / name, source / name)
    code = f"from setuptools import build_meta; build_meta.build_wheel({str(target)!r})"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=source, check=False, timeout=_LIMIT_S, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"the wheel cannot be built: {done.stderr[-2000:]}")
    (built,) = target.glob("*.whl")
    return built


class _Airflow:
    """An Airflow in an environment and a home of its own."""

    def __init__(self, scratch: Path) -> None:
        self._scratch, self._bin = scratch, scratch / "venv" / "bin"
        self._env = {n: v for n, v in os.environ.items() if not n.startswith(("TAO_", "AIRFLOW", "PYTHONPATH"))}

    def install(self, version: str, wheel: Path) -> dict[str, Any]:
        """Airflow alone; then the wheel, under the pins of what that brought."""
        self._uv("venv", "--python", sys.executable, str(self._bin.parent))
        self._uv("pip", "install", f"apache-airflow=={version}")
        pins = self._scratch / "pins.txt"
        pins.write_text(self._uv("pip", "freeze"), encoding="utf-8")
        self._uv("pip", "install", str(wheel), "-c", str(pins))
        before, after = _read(pins.read_text(encoding="utf-8")), _read(self._uv("pip", "freeze"))
        checked = self._run([str(_UV), "pip", "check"], check=False)
        new = sorted(f"{name} {one}" for name, one in after.items() if name not in before)
        return {
            "packages": len(before),
            "moved": moved(before, after),
            "new": new,
            "pip_check": "" if checked.returncode == 0 else checked.stderr.strip(),
        }

    def look(self, database_url: str) -> dict[str, Any]:
        """What Airflow finds of the wheel, and what its server answers."""
        port = self._configure(database_url)
        self._airflow("db", "migrate")
        self._airflow("dags", "reserialize")
        dags = json.loads(_json(self._airflow("dags", "list", "-o", "json")))
        errors = self._airflow("dags", "list-import-errors", "-o", "json")
        plugins = json.loads(_json(self._airflow("plugins", "-o", "json")))
        with self._server(port) as url:
            pages = _pages(url)
        tested = self._airflow("dags", "test", "maintenance", check=False)
        return {
            "dags": sorted(one["dag_id"] for one in dags),
            "import_errors": json.loads(_json(errors)),
            "plugins": [one["source"] for one in plugins if one["name"] == "tao"],
            "pages": pages,
            "maintenance": "success" if "the lake is empty" in tested and "state=success" in tested else tested[-2000:],
        }

    def _configure(self, database_url: str) -> int:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = int(free.getsockname()[1])
        home = self._scratch / "airflow"
        home.mkdir()
        passwords = home / "passwords.json"
        passwords.write_text(json.dumps({"admin": PASSWORD}), encoding="utf-8")
        bundle = {"name": "tao", "classpath": "tao_airflow.bundle.TaoDagBundle", "kwargs": {}}
        url = f"http://127.0.0.1:{port}"
        settings = {
            "CORE__LOAD_EXAMPLES": "False",
            "CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
            "CORE__SIMPLE_AUTH_MANAGER_USERS": "admin:admin",
            "CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
            "API__BASE_URL": url,
            "API_AUTH__JWT_SECRET": "a secret of this trial, and of no other use: " * 2,
            "DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST": json.dumps([bundle]),
        }
        self._env |= {f"AIRFLOW__{name}": value for name, value in settings.items()}
        self._env |= {
            "AIRFLOW_HOME": str(home),
            "TAO_HOME": str(self._scratch / "home"),
            "TAO_INCLUDE": str(PROJECT / "include"),
            "TAO_DATABASE_URL": database_url,
            "TAO_PYTHON": sys.executable,
            "COLUMNS": "400",
        }
        return port

    @contextmanager
    def _server(self, port: int) -> Iterator[str]:
        command = [str(self._bin / "airflow"), "api-server", "--host", "127.0.0.1", "--port", str(port)]
        with (self._scratch / "server.log").open("w") as log:
            server = subprocess.Popen(
                command, cwd=self._scratch, env=self._env, stdout=log, stderr=log, start_new_session=True
            )
            try:
                yield _answering(f"http://127.0.0.1:{port}", server)
            finally:
                os.killpg(server.pid, signal.SIGKILL)
                server.wait()

    def _airflow(self, *arguments: str, check: bool = True) -> str:
        done = self._run([str(self._bin / "airflow"), *arguments], check=check)
        return done.stdout if check else done.stdout + done.stderr

    def _uv(self, *arguments: str) -> str:
        return self._run([str(_UV), *arguments], check=True).stdout

    def _run(self, command: list[str], *, check: bool) -> subprocess.CompletedProcess[str]:
        env = {**self._env, "VIRTUAL_ENV": str(self._bin.parent)}
        done = subprocess.run(
            command, cwd=self._scratch, env=env, capture_output=True, text=True, timeout=_LIMIT_S, check=False
        )
        if check and done.returncode:
            raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}: {done.stderr[-2000:]}")
        return done


def _read(freeze: str) -> dict[str, str]:
    return dict(line.split("==") for line in freeze.splitlines() if "==" in line)


def _json(text: str) -> str:
    """The list that a command of Airflow prints, without what it warns of before."""
    return text[text.index("\n[") + 1 :] if "\n[" in text else text[text.find("[") :] if "[" in text else "[]"


def _answering(url: str, server: "subprocess.Popen[bytes]") -> str:
    """Wait until the server answers; its address."""
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline and server.poll() is None:
        try:
            if httpx.get(f"{url}/api/v2/monitor/health", trust_env=False, timeout=10).is_success:
                return url
        except httpx.TransportError:
            time.sleep(0.5)
    raise RuntimeError(f"Airflow's server does not answer at {url}")


def _pages(url: str) -> dict[str, list[int]]:
    """By page, the status for who is signed in, and for who is not."""
    with httpx.Client(base_url=url, trust_env=False, timeout=120) as http:
        signed = http.post("/auth/token", json={"username": "admin", "password": PASSWORD})
        token = {"Authorization": f"Bearer {signed.raise_for_status().json()['access_token']}"}
        return {page: [http.get(page, headers=token).status_code, http.get(page).status_code] for page in PAGES}
