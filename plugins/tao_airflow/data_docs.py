"""Data Docs in Airflow's UI: the pages of a run behind Airflow's own sign-in, and the link to them on its task."""

import re
from functools import cache
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

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "private, no-store",
}
"""A page holds text and style, and nothing of it is run or fetched."""

_FOLDER = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")
_PAGE = re.compile(r"[A-Za-z0-9_-]+\.html")


class DataDocsLink(BaseOperatorLink):
    """From a ``validate`` task to the Data Docs of its run: of a failed one too, where they are wanted most."""

    name = "Data Docs"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """The pages' address on Airflow's server; empty where the task ended before it knew its turn."""
        if operator.turn_and_run is None:
            return ""
        turn, run_id = (quote(path_safe(part)) for part in operator.turn_and_run)
        server = urlsplit(conf.get("api", "base_url", fallback="")).path.rstrip("/")
        return f"{server}{PREFIX}/data-docs/{quote(ti_key.dag_id)}/{turn}/{run_id}/"


async def app(scope: Any, receive: Any, send: Any) -> None:
    """The pages, as Airflow's server mounts them."""
    await make_app()(scope, receive, send)


@cache
def make_app() -> Any:
    """The application, made at its first request: what it imports is a second that no DAG's parse should wait."""
    from airflow.api_fastapi.core_api.security import requires_access_dag
    from fastapi import Depends, FastAPI
    from fastapi.responses import HTMLResponse

    made = FastAPI(title="Data Docs", openapi_url=None, docs_url=None, redoc_url=None)
    may_read_dag = [Depends(requires_access_dag("GET"))]

    @made.get("/data-docs/{dag_id}/{turn}/{run_id}/", dependencies=may_read_dag)
    @made.get("/data-docs/{dag_id}/{turn}/{run_id}/{page}", dependencies=may_read_dag)
    def data_docs(dag_id: str, turn: str, run_id: str, page: str = "index.html") -> HTMLResponse:
        return HTMLResponse(_read(dag_id, turn, run_id, page), headers=HEADERS)

    return made


def _read(dag_id: str, turn: str, run_id: str, page: str) -> str:
    """A page of a run's artifacts, and nothing else of this machine."""
    from fastapi import HTTPException

    missing = HTTPException(404, "no Data Docs of this run: validate builds them", headers=HEADERS)
    flywheel = dag_id.removeprefix(DAG_PREFIX)
    folders = (flywheel, turn, run_id)
    if flywheel == dag_id or not all(map(_FOLDER.fullmatch, folders)) or not _PAGE.fullmatch(page):
        raise missing
    artifacts = Path(Settings.from_env().lake, "artifacts").resolve()
    path = artifacts.joinpath(*folders, "data_docs", page).resolve()
    if not path.is_relative_to(artifacts) or not path.is_file():
        raise missing
    return path.read_text(encoding="utf-8")
