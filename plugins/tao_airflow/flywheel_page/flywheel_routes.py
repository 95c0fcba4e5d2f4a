"""The addresses of one flywheel: overview, turns, lineage, actions."""

from collections.abc import Callable
from typing import Annotated, Any
from urllib.parse import urlencode

from airflow.api_fastapi.core_api.security import GetUserDep, requires_access_dag
from fastapi import APIRouter, Depends, HTTPException, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse

from tao_airflow.flywheel_page import charts, data
from tao_airflow.flywheel_page.access import ERASE, ROLLBACK, flywheel_of, rights
from tao_airflow.flywheel_page.formats import address
from tao_airflow.flywheel_page.rendering import HEADERS, page
from tao_ops.errors import DataError, TaoError
from tao_ops.views.records import Overview, Page

SIZE = 50
"""Entries of a page of a list."""

LASTS = (30, 100, 1000)
"""How many turns the overview's charts may show."""

Number = Annotated[int, Query(ge=1, le=1_000_000)]

router = APIRouter(prefix="/dags/{dag_id}", dependencies=[Depends(requires_access_dag("GET"))])


def flywheel(dag_id: str) -> str:
    """The flywheel that the address names."""
    name = flywheel_of(dag_id)
    if name is None:
        raise HTTPException(404, f"The DAG {dag_id} turns no flywheel.")
    return name


Flywheel = Annotated[str, Depends(flywheel)]


def view(
    request: Request, template: str, dag_id: str, tab: str, *, turn: str | None = None, **shown: Any
) -> HTMLResponse:
    """A page of one flywheel, or of one of its turns."""
    here = f"{request.scope.get('root_path', '')}/dags/{address(dag_id)}"
    name = flywheel_of(dag_id)
    return page(request, template, flywheel=name, dag_id=dag_id, here=here, tab=tab, turn=turn, **shown)


def paged(request: Request) -> Callable[[int], str]:
    """Makes the address of another page of the same list."""
    asked = dict(request.query_params)
    return lambda number: f"?{urlencode({**asked, 'page': number})}"


def existing(it: Page[Any]) -> None:
    """Refuse a page behind the last one: that it is empty says nothing of the list.

    Raises:
        HTTPException: there is no such page.
    """
    if it.page > it.pages:
        raise HTTPException(404, f"There is no page {it.page}: the last one is {it.pages}.")


@router.get("")
def overview(
    request: Request, dag_id: str, flywheel: Flywheel, last: Annotated[int, Query(ge=1, le=LASTS[-1])] = LASTS[0]
) -> HTMLResponse:
    """One flywheel at a glance."""
    it = data.overview(flywheel, last=last)
    decided = next((line for line in it.verdicts if line.decision), None)
    return view(request, "overview.html", dag_id, "overview", it=it, decided=decided, lasts=LASTS, charts=_charts(it))


@router.get("/runs/{run_id}")
def of_a_run(request: Request, dag_id: str, flywheel: Flywheel, run_id: str) -> RedirectResponse:
    """The turn that one of Airflow's runs turns."""
    turn = data.turn_of_run(flywheel, run_id)
    if turn is None:
        raise HTTPException(
            404, f"The run {run_id} has recorded nothing yet: its first stage, ingest, does so when it ends."
        )
    root = request.scope.get("root_path", "")
    return RedirectResponse(f"{root}/dags/{address(dag_id)}/turns/{address(turn)}", headers=HEADERS)


@router.get("/turns")
def turns(request: Request, dag_id: str, flywheel: Flywheel, page: Number = 1) -> HTMLResponse:
    """All turns."""
    it = data.turns(flywheel, page=page, size=SIZE)
    existing(it)
    return view(request, "turns.html", dag_id, "turns", it=it, address=paged(request))


@router.get("/prompts")
def newest_prompts(request: Request, dag_id: str, flywheel: Flywheel) -> RedirectResponse:
    """The prompts of the newest turn."""
    newest = data.turns(flywheel, page=1, size=1).items
    if not newest:
        raise HTTPException(404, f"{flywheel} has no turn yet.")
    root = request.scope.get("root_path", "")
    path = f"{root}/dags/{address(dag_id)}/turns/{address(newest[0].turn)}/prompts"
    return RedirectResponse(path, headers=HEADERS)


@router.get("/lineage")
def lineage(
    request: Request,
    dag_id: str,
    flywheel: Flywheel,
    version: Annotated[int | None, Query(ge=0, lt=2**31)] = None,
    row: Annotated[str | None, Query(max_length=500)] = None,
    page: Number = 1,
) -> HTMLResponse:
    """Back from a version, or forward from a row."""
    shown: dict[str, Any] = {"back": None, "forward": None, "missing": None, "releases": ()}
    status = 200
    try:
        if version is not None:
            shown["back"] = data.backward(flywheel, version, page=page, size=SIZE)
            existing(shown["back"].rows)
        elif row:
            shown["forward"] = data.forward(flywheel, row)
        else:
            shown["releases"] = data.releases(flywheel)
    except TaoError as error:
        if isinstance(error, DataError) and not data.turned(flywheel):
            raise  # its words are for who may read every flywheel
        shown["missing"], status = str(error), 503 if error.retryable else 404
    made = view(request, "lineage.html", dag_id, "lineage", version=version, row=row, address=paged(request), **shown)
    made.status_code = status
    return made


@router.get("/actions")
def actions(request: Request, dag_id: str, flywheel: Flywheel, user: GetUserDep) -> HTMLResponse:
    """The forms of what the user may do."""
    releases = data.releases(flywheel)
    return view(
        request,
        "actions.html",
        dag_id,
        "actions",
        may=rights(request, user, dag_id),
        forms=(ROLLBACK, ERASE),
        champion=data.overview(flywheel, last=1).champion,
        releases=releases,
        targets=[each for each in releases if each.was_champion and not each.is_champion and not each.expired],
    )


def _charts(it: Overview) -> list[charts.Chart]:
    return [
        *map(charts.benchmark, it.benchmarks),
        charts.rewards(it.rewards),
        *map(charts.calibration, it.calibration),
        charts.volume(it.volume),
        *charts.cost(it.cost),
    ]
