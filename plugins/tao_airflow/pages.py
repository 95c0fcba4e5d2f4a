"""The pages of runs behind Airflow's own sign-in: Data Docs and pictures."""

from functools import cache
from typing import Any

from tao_airflow import data_docs, pictures
from tao_airflow.run_files import HEADERS, WITH_PICTURES


async def app(scope: Any, receive: Any, send: Any) -> None:
    """The pages, as Airflow's server mounts them."""
    await make_app()(scope, receive, send)


@cache
def make_app() -> Any:
    """The application, made at its first request: what it imports is a second that no DAG's parse should wait."""
    from airflow.api_fastapi.core_api.security import requires_access_dag
    from fastapi import Depends, FastAPI, HTTPException
    from fastapi.responses import HTMLResponse, Response

    made = FastAPI(title="Pages of runs", openapi_url=None, docs_url=None, redoc_url=None)
    may_read_dag = [Depends(requires_access_dag("GET"))]

    def found(content: Any, otherwise: str) -> Any:
        if content is None:
            raise HTTPException(404, otherwise, headers=HEADERS)
        return content

    @made.get("/data-docs/{dag_id}/{turn}/{run_id}/", dependencies=may_read_dag)
    @made.get("/data-docs/{dag_id}/{turn}/{run_id}/{page}", dependencies=may_read_dag)
    def docs(dag_id: str, turn: str, run_id: str, page: str = "index.html") -> HTMLResponse:
        content = found(data_docs.read(dag_id, turn, run_id, page), data_docs.MISSING)
        return HTMLResponse(content, headers=HEADERS)

    @made.get("/pictures/{dag_id}/{turn}/{run_id}/", dependencies=may_read_dag)
    def all_pictures(dag_id: str, turn: str, run_id: str) -> HTMLResponse:
        content = found(pictures.page(dag_id, turn, run_id), pictures.MISSING)
        return HTMLResponse(content, headers=WITH_PICTURES)

    @made.get("/pictures/{dag_id}/{turn}/{run_id}/{name}", dependencies=may_read_dag)
    def picture(dag_id: str, turn: str, run_id: str, name: str) -> Response:
        content = found(pictures.read(dag_id, turn, run_id, name), pictures.MISSING)
        return Response(content, media_type="image/png", headers=HEADERS)

    return made
