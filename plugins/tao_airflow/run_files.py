"""A run's artifacts as Airflow's server may show them: where their pages are, and which folder is a run's."""

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from airflow.sdk import BaseOperatorLink
from airflow.sdk.configuration import conf

from tao_ops.settings import Settings
from tao_ops.turn import path_safe

PREFIX = "/tao"
"""Where Airflow's server mounts the pages."""

TURN_PAGE = "/flywheel/turn"
"""Where it shows a turn: the flywheel's name and the turn's key follow."""

DAG_PREFIX = "flywheel_"

_CONTENT = (
    "default-src 'none'; {}style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)
HEADERS = {
    "Content-Security-Policy": _CONTENT.format(""),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "private, no-store",
}
"""A page holds text and style, and nothing of it is run or fetched."""

WITH_PICTURES = {**HEADERS, "Content-Security-Policy": _CONTENT.format("img-src 'self'; ")}
"""A page that shows pictures of the same server besides."""

_FOLDER = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")


class RunLink(BaseOperatorLink):
    """From a stage's task to pages of its run: of a failed one too, where they are wanted most."""

    pages = ""

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """The pages' address on Airflow's server; empty where the task ended before it knew its turn."""
        if operator.turn_and_run is None:
            return ""
        return urlsplit(_server()).path.rstrip("/") + self._path(ti_key.dag_id, operator.turn_and_run)

    def sentence(self, dag_id: str, turn_and_run: tuple[str, str]) -> str:
        """The link as a line of the log, which Airflow's UI makes one to click."""
        return f"see {self.name}: {_server()}{self._path(dag_id, turn_and_run)}"

    def _path(self, dag_id: str, turn_and_run: tuple[str, str]) -> str:
        turn, run_id = (quote(path_safe(part)) for part in turn_and_run)
        return f"{PREFIX}/{self.pages}/{quote(dag_id)}/{turn}/{run_id}/"


def whereabouts(dag_id: str, turn: str, run_id: str) -> list[str]:
    """Lines of a stage's log on where more is to be seen: the turn's page, the run in MLflow, its files."""
    page = f"{_server()}{TURN_PAGE}/{quote(dag_id.removeprefix(DAG_PREFIX))}/{quote(turn, safe=':')}"
    lines = [f"see the turn: {page}"]
    if (folder := run_folder(dag_id, path_safe(turn), run_id)) is not None:
        if (run := _mlflow_run(folder)) is not None:
            lines.append(f"see MLflow: run {run} of experiment {dag_id.removeprefix(DAG_PREFIX)}")
        lines.append(f"see the files: {folder}")
    return lines


def _mlflow_run(folder: Path) -> str | None:
    """The MLflow run that the update's curves are in."""
    try:
        return str(json.loads((folder / "mlflow_run.json").read_text(encoding="utf-8"))["run"])
    except (OSError, ValueError, KeyError):
        return None


def _server() -> str:
    """Airflow's base URL; empty where none is set."""
    return str(conf.get("api", "base_url", fallback="") or "").rstrip("/")


def run_folder(dag_id: str, turn: str, run_id: str) -> Path | None:
    """The folder of a run's artifacts; None where there is no such run, or the folder is somewhere else."""
    flywheel = dag_id.removeprefix(DAG_PREFIX)
    parts = (flywheel, turn, run_id)
    if flywheel == dag_id or not all(map(_FOLDER.fullmatch, parts)):
        return None
    folder = Path(Settings.from_env().lake, "artifacts").resolve().joinpath(*parts)
    # A link might lead to the run of a flywheel that its reader may not see.
    return folder if folder.resolve() == folder and folder.is_dir() else None
