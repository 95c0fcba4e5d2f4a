"""A run's artifacts as Airflow's server may show them: where their pages are, and which folder is a run's."""

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
        turn, run_id = (quote(path_safe(part)) for part in operator.turn_and_run)
        server = urlsplit(conf.get("api", "base_url", fallback="")).path.rstrip("/")
        return f"{server}{PREFIX}/{self.pages}/{quote(ti_key.dag_id)}/{turn}/{run_id}/"


def run_folder(dag_id: str, turn: str, run_id: str) -> Path | None:
    """The folder of a run's artifacts; None where there is no such run, or the folder is somewhere else."""
    flywheel = dag_id.removeprefix(DAG_PREFIX)
    parts = (flywheel, turn, run_id)
    if flywheel == dag_id or not all(map(_FOLDER.fullmatch, parts)):
        return None
    folder = Path(Settings.from_env().lake, "artifacts").resolve().joinpath(*parts)
    # A link might lead to the run of a flywheel that its reader may not see.
    return folder if folder.resolve() == folder and folder.is_dir() else None
