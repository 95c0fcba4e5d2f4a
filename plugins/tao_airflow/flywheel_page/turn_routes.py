"""The addresses of one turn: what it did, its prompts, and the benchmark items that changed."""

from typing import Annotated, Any

from airflow.api_fastapi.core_api.security import requires_access_dag
from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import HTMLResponse

from tao_airflow.flywheel_page import charts, data
from tao_airflow.flywheel_page.flywheel_routes import SIZE, Flywheel, Number, existing, paged, view
from tao_airflow.flywheel_page.formats import turn_key
from tao_ops.views.records import Comparison, Only, TurnView

CHANGED_SIZE = 20
"""Items of a page of pairs of answers."""

Text = Annotated[str | None, Query(max_length=200)]

router = APIRouter(prefix="/dags/{dag_id}/turns/{turn}", dependencies=[Depends(requires_access_dag("GET"))])


@router.get("")
def of_a_turn(request: Request, dag_id: str, flywheel: Flywheel, turn: str) -> HTMLResponse:
    """What a turn did, and what became of it."""
    it = data.turn(flywheel, turn_key(turn))
    return view(
        request,
        "turn.html",
        dag_id,
        "turns",
        turn=it.turn,
        it=it,
        most=_most(it),
        widest=_widest(it.comparisons),
        rewards=[charts.histogram(each) for each in it.rewards],
        reliability=[charts.reliability(each) for each in it.reliability],
        curves=[charts.curve(each) for each in it.curves],
    )


@router.get("/prompts")
def prompts(
    request: Request,
    dag_id: str,
    flywheel: Flywheel,
    turn: str,
    only: Only = Only.ALL,
    task: Text = None,
    strategy: Text = None,
    search: Text = None,
    page: Number = 1,
) -> HTMLResponse:
    """A turn's prompts, narrowed as asked."""
    key = turn_key(turn)
    task, strategy, search = task or None, strategy or None, (search or "").strip()
    chosen = {"task": task, "strategy": strategy, "search": search}
    it = data.prompts(flywheel, key, only=only, page=page, size=SIZE, task=task, strategy=strategy, search=search)
    existing(it)
    return view(
        request,
        "prompts.html",
        dag_id,
        "prompts",
        turn=key,
        it=it,
        choices=data.choices(flywheel, key),
        chosen={**chosen, "only": only},
        filtered=only is not Only.ALL or any(chosen.values()),
        address=paged(request),
    )


@router.get("/prompts/{query_id}")
def prompt(request: Request, dag_id: str, flywheel: Flywheel, turn: str, query_id: str) -> HTMLResponse:
    """A prompt with its candidates."""
    key = turn_key(turn)
    return view(request, "prompt.html", dag_id, "prompts", turn=key, it=data.prompt(flywheel, key, query_id))


@router.get("/changed/{benchmark}")
def changed(
    request: Request, dag_id: str, flywheel: Flywheel, turn: str, benchmark: str, page: Number = 1
) -> HTMLResponse:
    """Champion's and candidate's answers, side by side, where their scores differ."""
    key = turn_key(turn)
    it = data.changed_items(flywheel, key, benchmark, page=page, size=CHANGED_SIZE)
    existing(it)
    return view(
        request,
        "changed.html",
        dag_id,
        "turns",
        turn=key,
        benchmark=benchmark,
        it=it,
        address=paged(request),
    )


def _most(it: TurnView) -> dict[str, Any]:
    """The longest bar of each table."""
    return {
        "funnel": max((step.count or 0 for step in it.funnel), default=0),
        "quarantine": max((line.count for line in it.quarantine), default=0),
        "seconds": max((line.seconds or 0 for line in it.stages), default=0),
    }


def _widest(comparisons: tuple[Comparison, ...]) -> float:
    """How far from zero the intervals of differences reach; 0 where there is none."""
    deltas = [found.delta for found in comparisons] + [part.delta for found in comparisons for part in found.slices]
    ends = [end for delta in deltas if delta for end in (delta.low, delta.high) if end is not None]
    return max(map(abs, ends), default=0.0)
