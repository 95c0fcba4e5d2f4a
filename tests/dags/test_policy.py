"""What holds for every DAG of the folder, whoever adds the next one."""

import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag

PROJECT = Path(__file__).resolve().parents[2]
DAGS = ["erase", "evaluate", "flywheel_tickets", "maintenance", "rollback"]
EDGES = [
    ("approve", "release"),
    ("canary", "deployed"),
    ("evaluate", "gate"),
    ("explore.generate", "explore.score"),
    ("explore.score", "update"),
    ("gate", "register"),
    ("ingest", "validate"),
    ("register", "approve"),
    ("release", "canary"),
    ("update", "evaluate"),
    ("validate", "explore.generate"),  # both of the group are mapped over its shards
    ("validate", "explore.score"),
]
LOADS_A_MODEL = {
    ("evaluate", "evaluate"),
    ("flywheel_tickets", "evaluate"),
    ("flywheel_tickets", "explore.generate"),
    ("flywheel_tickets", "update"),
}
NEVER_TWICE = {"rollback"}
"""A second one of these would do another thing than the first."""
HEAVY = {
    *("datasets", "deltalake", "duckdb", "great_expectations", "matplotlib", "mlflow", "openlineage", "pandas", "peft"),
    *("pyarrow", "scipy", "sklearn", "torch", "transformers", "trl", "vllm"),
}
CPU_SECONDS = 1.0
"""Of this project's part of a parse of the whole folder."""


def test_these_are_all_of_them(dags: dict[str, Any]) -> None:
    assert sorted(dags) == DAGS


@pytest.fixture(params=DAGS)
def dag(request: pytest.FixtureRequest, dags: dict[str, Any]) -> Any:
    return dags[request.param]


def test_the_stages_of_a_turn_follow_each_other(dags: dict[str, Any]) -> None:
    edges = [(task.task_id, after) for task in dags["flywheel_tickets"].tasks for after in task.downstream_task_ids]
    assert sorted(edges) == EDGES


def test_a_dag_says_what_it_is_and_whose(dag: Any) -> None:
    assert "tao" in dag.tags and dag.description
    assert dag.doc_md and len(dag.doc_md.splitlines()) >= 5
    assert all(task.owner not in ("", "airflow") for task in dag.tasks)


def test_every_task_of_a_turn_says_what_it_does(dags: dict[str, Any]) -> None:
    assert [task.task_id for task in dags["flywheel_tickets"].tasks if not task.doc_md] == []


def test_runs_do_not_overlap_and_nothing_is_made_up_for(dag: Any) -> None:
    assert (dag.max_active_runs, dag.catchup) == (1, False)
    assert dag.start_date.tzinfo is not None


def test_every_task_ends_and_is_tried_again_where_that_can_help(dag: Any) -> None:
    for task in dag.tasks:
        assert task.execution_timeout is not None, task.task_id
        assert timedelta(minutes=1) <= task.execution_timeout <= timedelta(hours=6), task.task_id
        if dag.dag_id in NEVER_TWICE:
            assert task.retries == 0
        else:
            assert task.retries >= 1 and task.retry_delay >= timedelta(seconds=30), task.task_id
            assert task.retry_exponential_backoff and task.max_retry_delay, task.task_id


def test_what_loads_a_model_waits_for_a_slot_of_the_gpu_and_nothing_else_does(dags: dict[str, Any]) -> None:
    pools = {(dag.dag_id, task.task_id): task.pool for dag in dags.values() for task in dag.tasks}
    assert {task for task, pool in pools.items() if pool == "gpu"} == LOADS_A_MODEL
    assert set(pools.values()) == {"gpu", "default_pool"}


def test_every_field_of_a_form_has_a_title_and_a_type(dag: Any) -> None:
    for name in dag.params:
        schema = dag.params.get_param(name).schema
        assert schema.get("title") and schema.get("type"), name


def test_airflow_can_store_it_with_its_form(dag: Any) -> None:
    from airflow.serialization.serialized_objects import DagSerialization

    stored = DagSerialization.from_dict(DagSerialization.to_dict(dag))
    assert list(stored.params) == list(dag.params)
    assert sorted(stored.task_dict) == sorted(task.task_id for task in dag.tasks)


def test_a_dag_file_is_short() -> None:
    for file in (PROJECT / "dags").glob("*.py"):
        assert len(file.read_text(encoding="utf-8").splitlines()) < 80, file


ALONE = """
import os, sys, time
begun = time.process_time()
from airflow.dag_processing.dagbag import DagBag
import airflow.providers.standard, airflow.sdk, airflow.timetables.interval, pendulum
own = time.process_time()
touched = []
home, project = os.environ["TAO_HOME"], sys.argv[1]
readable = [f"{project}/{part}/" for part in ("dags", "include", "plugins", "tao_ops")]
readable += [sys.prefix, sys.base_prefix, os.environ["AIRFLOW_HOME"], "/usr/share/zoneinfo", "/etc/localtime"]
readable += [f"{home}/secrets.json", *(path for path in sys.path if "site-packages" in path)]
apart = ("socket.", "subprocess.", "os.system", "os.fork", "os.exec", "os.spawn", "os.posix_spawn", "sqlite3.",
         "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.link", "os.symlink", "os.truncate", "shutil.",
         "tempfile.")

def see(event, told):
    if event == "open" and isinstance(told[0], (str, bytes)):
        path, writes = os.path.realpath(os.fsdecode(told[0])), (told[2] or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        if path != os.devnull and (writes or not path.startswith(tuple(readable))):
            touched.append(f"{'writes' if writes else 'reads'} {path}")
    elif event.startswith(apart):
        touched.append(f"{event} {told}")

sys.addaudithook(see)
bag = DagBag(f"{project}/dags")
spent = time.process_time() - own
loaded = sorted({name.split(".")[0] for name in sys.modules} & set(sys.argv[2].split()))
assert not bag.import_errors and len(bag.dags) == 5, bag.import_errors
print("TOLD", repr({"touched": touched, "spent": spent, "airflow": own - begun, "loaded": loaded}))
"""


@pytest.fixture(scope="module")
def parses(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[dict[str, Any]]]:
    """What three parses of the folder, each in a process of its own, did."""
    folder = tmp_path_factory.mktemp("parses")
    places = {"AIRFLOW_HOME": str(folder / "airflow"), "TAO_HOME": str(folder / "home"), "OMP_NUM_THREADS": "1"}
    dropped = ("TAO_LAKE", "TAO_INCLUDE", "TAO_DATABASE_URL", "TAO_HASH_KEY", "TAO_CACHE")
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    path = os.pathsep.join(map(str, (PROJECT / "plugins", PROJECT)))
    environment = {**kept, **places, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-c", ALONE, str(PROJECT), " ".join(HEAVY)]
    found = []
    for _ in range(3):
        done = subprocess.run(
            command, check=False, cwd=folder, env=environment, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stderr[-2000:]
        (line,) = [line for line in done.stdout.splitlines() if line.startswith("TOLD ")]
        found.append(eval(line.removeprefix("TOLD "), {}))
    yield found
    assert not (folder / "home").exists(), "a parse made the home"


def test_a_parse_reads_the_flywheels_and_touches_nothing_else(parses: list[dict[str, Any]]) -> None:
    assert parses[0]["touched"] == []


def test_a_parse_loads_no_heavy_library(parses: list[dict[str, Any]]) -> None:
    assert parses[0]["loaded"] == []


def test_a_parse_is_quick(parses: list[dict[str, Any]]) -> None:
    # In seconds of the processor, which other processes do not lengthen.
    assert median(parse["spent"] for parse in parses) < CPU_SECONDS


def test_a_flywheel_that_is_added_is_another_dag_of_the_same_policies(flywheels: Path) -> None:
    text = (flywheels / "tickets.yaml").read_text("utf-8").replace("name: tickets\n", "name: orders\n", 1)
    (flywheels / "orders.yaml").write_text(text, encoding="utf-8")
    bag = DagBag(PROJECT / "dags")
    assert sorted(bag.dags) == sorted([*DAGS, "flywheel_orders"]) and bag.import_errors == {}
    both = [bag.dags[f"flywheel_{name}"] for name in ("orders", "tickets")]
    pools = [{task.task_id: task.pool for task in dag.tasks} for dag in both]
    assert pools[0] == pools[1]
