"""The page's addresses. All of them only read; what changes something is asked of Airflow's own REST API.

Endpoints are plain functions: their reads block, so that the server gives each a thread.
"""

from dataclasses import dataclass

from airflow.api_fastapi.core_api.security import GetUserDep
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request
from fastapi.responses import RedirectResponse, Response

from tao_airflow.flywheel_page import data, flywheel_routes, turn_routes
from tao_airflow.flywheel_page.access import flywheel_of, may_read
from tao_airflow.flywheel_page.errors import add_handlers
from tao_airflow.flywheel_page.formats import address
from tao_airflow.flywheel_page.rendering import HEADERS, page, static_file
from tao_airflow.run_files import DAG_PREFIX
from tao_ops.errors import DataError, TaoError
from tao_ops.views.records import Overview


def signed_in(user: GetUserDep) -> None:
    """Refuse who is not signed in to Airflow."""


@dataclass(frozen=True)
class Line:
    """A flywheel in the list of all; ``error`` where it cannot be shown."""

    name: str
    dag_id: str
    overview: Overview | None
    error: str | None


router = APIRouter()


@router.get("/")
def index(request: Request, user: GetUserDep, dag: str | None = None, run: str | None = None) -> Response:
    """All flywheels; with ``dag``, and ``run``, as Airflow's tabs ask, the view that belongs to it."""
    notice = None
    if dag is not None:
        if flywheel_of(dag) is not None:
            of_run = f"/runs/{address(run)}" if run else ""
            return _to(request, f"/dags/{address(dag)}{of_run}")
        notice = f"The DAG {dag} turns no flywheel."
    readable = [name for name in data.flywheels() if may_read(request, user, DAG_PREFIX + name)]
    return page(request, "index.html", flywheels=[_line(name) for name in readable], notice=notice)


@router.get("/turn/{flywheel}/{turn}")
def turn_of_a_log(request: Request, flywheel: str, turn: str) -> RedirectResponse:
    """The address that the tasks' logs name."""
    return _to(request, f"/dags/{address(DAG_PREFIX + flywheel)}/turns/{address(turn)}")


@router.get("/static/{name}")
def static(name: str) -> Response:
    """Style, scripts and icons."""
    found = static_file(name)
    if found is None:
        raise HTTPException(404, f"There is no file {name}.")
    return found


def build() -> FastAPI:
    """The page's application."""
    made = FastAPI(title="Flywheel", openapi_url=None, docs_url=None, redoc_url=None, dependencies=[Depends(signed_in)])
    for each in (router, flywheel_routes.router, turn_routes.router):
        made.include_router(each)
    add_handlers(made)
    return made


def _line(name: str) -> Line:
    """One that cannot be read takes no other away."""
    try:
        return Line(name, DAG_PREFIX + name, data.overview(name, last=1), None)
    except DataError:
        return Line(name, DAG_PREFIX + name, None, "No turn yet")
    except TaoError as error:
        return Line(name, DAG_PREFIX + name, None, str(error))


def _to(request: Request, path: str) -> RedirectResponse:
    return RedirectResponse(request.scope.get("root_path", "") + path, headers=HEADERS)
