"""Data Docs in Airflow's UI: what a turn's expectations said, and the link to it on the task of ``validate``."""

import re

from tao_airflow.run_files import RunLink, run_folder

MISSING = "no Data Docs of this run: validate builds them"

_PAGE = re.compile(r"[A-Za-z0-9_-]+\.html")


class DataDocsLink(RunLink):
    """From a ``validate`` task to the Data Docs of its run."""

    name = "Data Docs"
    pages = "data-docs"


def read(dag_id: str, turn: str, run_id: str, page: str) -> str | None:
    """A page of a run's Data Docs, and nothing else of this machine; None where there is none."""
    folder = run_folder(dag_id, turn, run_id)
    if folder is None or not _PAGE.fullmatch(page):
        return None
    path = folder / "data_docs" / page
    return path.read_text(encoding="utf-8") if path.resolve() == path and path.is_file() else None
