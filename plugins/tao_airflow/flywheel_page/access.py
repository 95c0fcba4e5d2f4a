"""Who may see and do what: the same questions that Airflow's own routes ask."""

from dataclasses import dataclass
from typing import Any

from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.core_api.security import requires_access_dag
from fastapi import HTTPException, Request

from tao_airflow.run_files import DAG_PREFIX

ROLLBACK, ERASE = "rollback", "erase"
"""The DAGs whose forms the page has."""


@dataclass(frozen=True)
class Rights:
    """What the signed-in user may do with one flywheel; Airflow asks again when they do it."""

    roll_back: bool
    approve: bool
    erase: bool

    @property
    def any(self) -> bool:
        """Whether there is a form to show at all."""
        return self.roll_back or self.approve or self.erase


def may_read(request: Request, user: Any, dag_id: str) -> bool:
    """Whether the user may read a DAG."""
    return _allowed(request, user, dag_id, "GET")


def rights(request: Request, user: Any, dag_id: str) -> Rights:
    """What the user may do with the flywheel of a DAG."""

    def may_trigger(form: str) -> bool:
        return _allowed(request, user, form, "POST", DagAccessEntity.RUN)

    return Rights(
        roll_back=may_trigger(ROLLBACK),
        approve=_allowed(request, user, dag_id, "PUT", DagAccessEntity.HITL_DETAIL),
        erase=may_trigger(ERASE),
    )


def flywheel_of(dag_id: str) -> str | None:
    """The flywheel that a DAG turns; None for a DAG that turns none."""
    name = dag_id.removeprefix(DAG_PREFIX)
    return None if name in (dag_id, "") else name


def _allowed(request: Request, user: Any, dag_id: str, method: Any, entity: Any = None) -> bool:
    try:
        requires_access_dag(method, entity, dag_id)(request, user)
    except HTTPException:
        return False
    return True
