"""The DAG of a flywheel: its edges, its policies, and what a wrong YAML does to it."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag

PROJECT = Path(__file__).resolve().parents[2]
EDGES = {
    "ingest": {"validate"},
    "validate": {"explore.generate", "explore.score"},  # both are mapped over its shards
    "explore.generate": {"explore.score"},
    "explore.score": {"update"},
    "update": {"evaluate"},
    "evaluate": {"gate"},
    "gate": {"register"},
    "register": {"approve"},
    "approve": {"release"},
    "release": {"canary"},
    "canary": {"deployed"},
    "deployed": set(),
}
AFTER_THE_TURN = {"approve", "release", "canary", "deployed"}
GROUPS = {
    "data": ["ingest", "validate"],
    "explore": ["explore.generate", "explore.score"],
    "learn": ["update", "evaluate"],
    "decide": ["gate", "register", "approve", "release"],
    "serve": ["canary", "deployed"],
}
OPERATION = """
operation:
  owner: platform-ml
  tags: [shop]
  deadline: 6h
  notify:
    - on: [failure, approval, promote, deadline]
      notifier: airflow.providers.smtp.notifications.smtp.SmtpNotifier
      arguments: {smtp_conn_id: team_mail, to: team@example.org, subject: "{{ tao.summary }}"}
"""

LAUNCH = """
launch:
  light: {queue: cpu, pool: few}
  model: {queue: gpu}
"""
ON_RAY = """
launch:
  model: {pool: jobs, ray: {address: "http://ray-head:8265"}}
"""
IN_PODS = """
launch:
  light: {queue: cpu}
  model:
    kubernetes:
      image: registry.example.com/tao-gpu-worker:0.1.0
      volumes: {lake: {claim: tao-lake, mount: /lake}}
      secrets: {TAO_DATABASE_URL: {secret: tao, key: url}}
"""
MODEL_STAGES = {"explore.generate", "explore.score", "update", "evaluate"}


@pytest.fixture(scope="module")
def dag() -> Any:
    bag = DagBag(PROJECT / "dags")
    assert bag.import_errors == {}
    return bag.dags["flywheel_tickets"]


@pytest.fixture
def bag_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], DagBag]:
    """Makes the DAGs with something added to the example's YAML."""

    def make(added: str) -> DagBag:
        include = tmp_path / "include"
        shutil.copytree(PROJECT / "include", include)
        with (include / "flywheels" / "tickets.yaml").open("a", encoding="utf-8") as file:
            file.write(added)
        monkeypatch.setenv("TAO_INCLUDE", str(include))
        return DagBag(PROJECT / "dags")

    return make


def test_the_stages_follow_each_other(dag: Any) -> None:
    assert {task.task_id: set(task.downstream_task_ids) for task in dag.tasks} == EDGES


def test_the_tasks_stand_in_groups_that_fold_and_keep_their_names(dag: Any) -> None:
    groups = {name: [task.task_id for task in group.iter_tasks()] for name, group in dag.task_group.children.items()}
    assert groups == GROUPS
    assert all(group.tooltip for group in dag.task_group.children.values())


def test_every_task_says_what_it_reads_and_writes_and_what_to_do_when_it_fails(dag: Any) -> None:
    for task in dag.tasks:
        for words in ("**Reads**: ", "**Writes**: ", "**When it fails**: "):
            assert words in task.doc_md, task.task_id
    assert len({task.doc_md for task in dag.tasks}) == len(EDGES)


def test_its_documentation_tells_what_a_backfill_pins_and_what_clearing_does(dag: Any) -> None:
    told = " ".join(dag.doc_md.split())
    for words in ("**Pinned**: the data", "**Not pinned**: the champion", "**Clear** a task", "nothing doubles"):
        assert words in told
    for group in GROUPS:
        assert f"**{group}**" in told
    for field in dag.params:
        title = dag.params.get_param(field).schema["title"]
        assert f"| {title} |" in told


def test_each_shard_has_a_label(dag: Any) -> None:
    labels = {task.task_id: getattr(task, "map_index_template", None) for task in dag.tasks}
    assert {name for name, label in labels.items() if label} == set(GROUPS["explore"])
    ti = SimpleNamespace(xcom_pull=lambda task_ids: {"validate": [0, 1, 2]}[task_ids])
    template = dag.get_template_env().from_string(labels["explore.score"])
    assert template.render(task=SimpleNamespace(shard=0), ti=ti) == "shard 1 of 3"


def test_the_yaml_says_whose_it_is_when_it_is_late_and_who_is_told(bag_of: Callable[[str], DagBag]) -> None:
    bag = bag_of(OPERATION)
    assert bag.import_errors == {}
    dag = bag.dags["flywheel_tickets"]
    assert dag.tags == {"tao", "shop"} and {task.owner for task in dag.tasks} == {"platform-ml"}
    (alert,) = dag.deadline
    assert (alert.interval, alert.callback.kwargs) == (timedelta(hours=6), {"flywheel": "tickets"})
    (notice,) = dag.on_failure_callback
    assert notice.event == "failure"
    told = {task.task_id: [one.event for one in task.on_success_callback] for task in dag.tasks}
    assert {name: events for name, events in told.items() if events} == {
        name: ["promote"] for name in ("register", "release", "canary")
    }
    assert [one.event for one in dag.get_task("approve").notifiers] == ["approval"]


def test_without_a_word_on_it_nobody_is_told_and_nothing_is_late(dag: Any) -> None:
    assert not dag.deadline and not dag.on_failure_callback
    assert not any(task.on_success_callback for task in dag.tasks) and not dag.get_task("approve").notifiers


def test_each_shard_is_generated_and_scored_by_tasks_of_its_own(dag: Any) -> None:
    mapped = dag.task_group.children["explore"]
    assert [task.task_id for task in mapped.iter_tasks()] == ["explore.generate", "explore.score"]
    assert list(mapped.iter_mapped_dependencies()) == [dag.get_task("validate")]


def test_stages_that_load_a_model_share_the_pool(dag: Any) -> None:
    pools = {task.task_id: task.pool for task in dag.tasks}
    assert {name for name, pool in pools.items() if pool == "gpu"} == {
        "explore.generate",
        "update",
        "evaluate",
    }
    assert set(pools.values()) == {"gpu", "default_pool"}
    assert {task.queue for task in dag.tasks} == {"default"}


def test_the_yaml_says_on_which_queue_a_task_waits(bag_of: Callable[[str], DagBag], dag: Any) -> None:
    from airflow.serialization.serialized_objects import DagSerialization

    bag = bag_of(LAUNCH)
    assert bag.import_errors == {}
    placed = bag.dags["flywheel_tickets"]
    assert placed.task_ids == dag.task_ids
    stored = DagSerialization.from_dict(DagSerialization.to_dict(placed))  # what the scheduler reads
    for name, task in stored.task_dict.items():
        assert (task.queue, task.pool) == (("gpu", "gpu") if name in MODEL_STAGES else ("cpu", "few")), name
        usual = dag.get_task(name)
        assert (task.task_type, task.execution_timeout) == (usual.task_type, usual.execution_timeout)


def test_without_a_queue_for_models_they_stay_on_airflows_own(bag_of: Callable[[str], DagBag]) -> None:
    placed = bag_of("launch: {light: {queue: cpu}}\n").dags["flywheel_tickets"]
    assert {task.task_id for task in placed.tasks if task.queue == "default"} == MODEL_STAGES
    assert placed.get_task("explore.score").pool == "default_pool"


def test_a_ray_cluster_that_the_yaml_names_runs_what_loads_a_model(bag_of: Callable[[str], DagBag], dag: Any) -> None:
    bag = bag_of(ON_RAY)
    assert bag.import_errors == {}
    placed = bag.dags["flywheel_tickets"]
    assert placed.task_ids == dag.task_ids
    on_ray = {task.task_id: task for task in placed.tasks if task.task_type == "RayStageOperator"}
    assert on_ray.keys() == MODEL_STAGES
    assert {task.ray.address for task in on_ray.values()} == {"http://ray-head:8265"}
    assert {task.pool for task in on_ray.values()} == {"jobs"} and {task.queue for task in placed.tasks} == {"default"}


def test_pods_run_what_loads_a_model_where_the_yaml_says_so(
    bag_of: Callable[[str], DagBag], dag: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tao_airflow.stage_operator import StageOperator

    class PodStageOperator(StageOperator):
        def __init__(self, *, kubernetes: Any, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.kubernetes = kubernetes

    module = ModuleType("tao_airflow.pod_operator")
    monkeypatch.setattr(module, "PodStageOperator", PodStageOperator, raising=False)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    bag = bag_of(IN_PODS)
    assert bag.import_errors == {}
    placed = bag.dags["flywheel_tickets"]
    assert placed.task_ids == dag.task_ids
    in_pods = {task.task_id: task for task in placed.tasks if task.task_type == "PodStageOperator"}
    assert in_pods.keys() == MODEL_STAGES
    assert {task.kubernetes.namespace for task in in_pods.values()} == {"default"}
    assert {task.queue for task in placed.tasks if task.task_id not in in_pods} == {"cpu"}


def test_the_provider_that_pods_need_and_is_missing_is_one_line(
    bag_of: Callable[[str], DagBag], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tao_airflow.pod_operator", None)  # an import of it fails
    bag = bag_of(IN_PODS)
    assert "flywheel_tickets" not in bag.dags and {"maintenance", "rollback"} <= set(bag.dags)
    ((file, error),) = bag.import_errors.items()
    assert file.endswith("config_errors.py")
    line = error.strip().splitlines()[-1]
    assert line.startswith("stages cannot run as pods") and "tickets.yaml: launch.model.kubernetes]" in line
    assert "install apache-airflow-providers-cncf-kubernetes" in line


def test_every_task_is_bounded_retried_and_gives_the_turn_back(dag: Any) -> None:
    from tao_airflow.stage_task import release_turn

    for task in dag.tasks:
        assert task.execution_timeout is not None and task.execution_timeout.total_seconds() <= 6 * 3600
        assert task.retries == 2 and task.retry_delay.total_seconds() == 30 and task.retry_exponential_backoff
        # ``register`` was the last to need the turn.
        assert list(task.on_failure_callback) == ([] if task.task_id in AFTER_THE_TURN else [release_turn])
        assert task.owner == "tao"


def test_a_promotion_waits_for_a_person_as_long_as_the_flywheel_says(dag: Any) -> None:
    approve = dag.get_task("approve")
    assert (approve.options, approve.defaults) == (["Approve", "Reject"], ["Reject"])
    assert approve.response_timeout == timedelta(hours=20)
    assert list(approve.params) == ["reason"]


def test_the_waits_for_servers_hold_no_worker_and_are_bounded(dag: Any) -> None:
    canary, deployed = dag.get_task("canary"), dag.get_task("deployed")
    assert {canary.mode, deployed.mode} == {"reschedule"} and {canary.pool, deployed.pool} == {"default_pool"}
    # In auto mode approve and release skip themselves, and what comes after them runs all the same.
    assert {canary.trigger_rule, deployed.trigger_rule} == {"none_failed"}
    assert (canary.timeout, deployed.timeout) == (3600, 1800)


def test_its_queries_report_and_model_are_assets(dag: Any) -> None:
    outlets = {task.task_id: [each.name for each in task.outlets] for task in dag.tasks if task.outlets}
    assert outlets == {
        "ingest": ["tickets/queries"],
        "gate": ["tickets/report"],
        "register": ["tickets/model"],
        "release": ["tickets/model"],
        "canary": ["tickets/model"],
    }
    # Airflow would fail the first run of a DAG that it has just found, were they the assets themselves.
    assert all(type(each).__name__ == "AssetAlias" for task in dag.tasks for each in task.outlets)


def test_runs_do_not_overlap_and_past_days_are_left_to_a_backfill(dag: Any) -> None:
    assert (dag.max_active_runs, dag.catchup, dag.tags) == (1, False, {"tao"})
    assert type(dag.timetable).__name__ == "FlywheelTimetable"
    assert dag.doc_md and dag.description
    assert dict(dag.params) == {"turn": None, "budget": None, "method": None, "approval": None, "dry_run": False}


def test_it_is_short() -> None:
    for file in (PROJECT / "dags").glob("*.py"):
        assert len(file.read_text(encoding="utf-8").splitlines()) < 80, file


def test_parsing_loads_no_heavy_library() -> None:
    code = (
        "import sys; from airflow.dag_processing.dagbag import DagBag; "
        f"bag = DagBag({str(PROJECT / 'dags')!r}); assert 'flywheel_tickets' in bag.dags, bag.import_errors; "
        "names = {'torch', 'vllm', 'trl', 'transformers', 'deltalake', 'pyarrow', 'mlflow', 'great_expectations'}; "
        "names |= {'openlineage', 'kubernetes', 'ray'}; assert 'tao_airflow.ray_operator' not in sys.modules; "
        "found = names & {name.split('.')[0] for name in sys.modules}; sys.exit(f'loaded: {found}' if found else 0)"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, check=False, cwd=PROJECT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]


def test_a_wrong_yaml_is_shown_and_stops_no_other_flywheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    include = tmp_path / "include"
    shutil.copytree(PROJECT / "include", include)
    text = (include / "flywheels" / "tickets.yaml").read_text(encoding="utf-8")
    (include / "flywheels" / "wrong.yaml").write_text(
        text.replace("name: tickets\n", "name: wrong\nspeed: 3\n"), encoding="utf-8"
    )
    monkeypatch.setenv("TAO_INCLUDE", str(include))
    bag = DagBag(PROJECT / "dags")
    assert {"flywheel_tickets", "maintenance", "rollback"} <= set(bag.dags) and "flywheel_wrong" not in bag.dags
    ((file, error),) = bag.import_errors.items()
    assert file.endswith("config_errors.py")
    assert "unknown key" in error.splitlines()[-1] and "wrong.yaml: speed" in error.splitlines()[-1]
