"""What Airflow finds of the pages of runs: where they are mounted, and which tasks lead to them."""

from typing import Any

import pytest
from tao_airflow import pages
from tao_airflow.stage_operator import StageOperator

from tao_ops.stages import Stage


def test_airflow_finds_the_pages() -> None:
    from tao_airflow.plugin import TaoPlugin

    assert ("/tao", pages.app) in [(each["url_prefix"], each["app"]) for each in TaoPlugin.fastapi_apps]
    assert [link.name for link in TaoPlugin.operator_extra_links] == ["Data Docs", "Pictures"]


def test_airflow_knows_the_links_of_tasks_that_have_pages_alone() -> None:
    from airflow.sdk import DAG, task_group
    from airflow.serialization.serialized_objects import DagSerialization

    @task_group
    def explore(shard: int) -> None:
        for stage in ("generate", "score"):
            StageOperator(task_id=stage, stage=stage, flywheel="tickets", shard=shard)

    with DAG("flywheel_tickets", schedule=None) as dag:
        for stage in Stage:
            if stage not in ("generate", "score"):
                StageOperator(task_id=stage.value, stage=stage.value, flywheel="tickets")
        explore.expand(shard=[0, 1])
    read = DagSerialization.from_dict(DagSerialization.to_dict(dag))
    links = {task.task_id: list(task.extra_links) for task in read.tasks if task.extra_links}
    assert links == {
        "validate": ["Data Docs"],
        "explore.generate": ["Pictures"],
        "explore.score": ["Pictures"],
        "update": ["Pictures"],
    }


def test_links_are_kept_apart_where_airflow_keeps_them() -> None:
    from tao_airflow.plugin import TaoPlugin

    assert len({link.xcom_key for link in TaoPlugin.operator_extra_links}) == 2


@pytest.mark.parametrize("path", ["/docs", "/openapi.json", "/redoc", "/", "/data-docs", "/pictures"])
def test_there_is_no_page_besides(browser: Any, path: str) -> None:
    assert browser.get(path).status_code == 404
