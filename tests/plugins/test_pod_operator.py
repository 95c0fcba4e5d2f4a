"""A stage as a pod: its specification, how it is found again, and how its end becomes the task's."""

import asyncio
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException, TaskDeferred

from tao_ops.config import KubernetesConfig
from tao_ops.launch.stage import remote_report

pytest.importorskip("airflow.providers.cncf.kubernetes", reason="the extra 'kubernetes' is not installed")
pytest.importorskip("kubernetes_validate")

from kubernetes.client import ApiClient
from kubernetes_validate import ValidationError
from tao_airflow import pod_operator, stage_task
from tao_airflow.pod_operator import PodStageOperator

from tests.plugins import kube_api
from tests.plugins.kube_api import Cluster

Context = Callable[..., dict[str, Any]]
Make = Callable[..., PodStageOperator]
RUN = "scheduled__2026-11-22T00-00-00-00-00"
REPORT = {"stage": "generate", "rows_in": 3, "rows_out": 2, "metrics": {"shards": 2}}

SMALL = {
    "image": "registry.example.com/tao-gpu-worker:0.1.0",
    "volumes": {"lake": {"claim": "tao-lake", "mount": "/shared"}},
    "lake": "/shared/lake",
    "home": "/shared/home",
    "secrets": {"TAO_DATABASE_URL": {"secret": "tao", "key": "database-url"}},
    "poll": "1s",
}
LARGE = {
    **SMALL,
    "image": f"registry.example.com/tao-gpu-worker@sha256:{'0f' * 32}",
    "image_pull_policy": "Always",
    "image_pull_secrets": ["registry"],
    "python": "/opt/tao/bin/python",
    "namespace": "models",
    "service_account": "tao-stages",
    "gpus": 2,
    "gpu_resource": "nvidia.com/mig-3g.40gb",
    "cpus": 7.5,
    "cpu_limit": 16,
    "memory_gib": 96,
    "shared_memory_gib": 12.5,
    "scratch_gib": 200,
    "node_selector": {"nvidia.com/gpu.product": "NVIDIA-H200"},
    "tolerations": [
        {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"},
        {"key": "team", "value": "models"},
    ],
    "priority_class": "nightly",
    "runtime_class": "nvidia",
    "labels": {"team": "models"},
    "annotations": {"example.com/owner": "the models team"},
    "volumes": {
        "lake": {"claim": "tao-lake", "mount": "/shared", "sub_path": "tao"},
        "hub": {"claim": "hub", "mount": "/hub", "read_only": True},
    },
    "secrets": {
        "TAO_DATABASE_URL": {"secret": "tao", "key": "database-url"},
        "TAO_HASH_KEY": {"secret": "tao", "key": "hash-key"},
    },
    "environment": {"HF_HOME": "/hub"},
    "grace": "45s",
}


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Cluster]:
    with kube_api.running() as found:
        connection = {"conn_type": "kubernetes", "extra": {"kube_config": json.dumps(found.kube_config)}}
        monkeypatch.setenv("AIRFLOW_CONN_KUBERNETES_DEFAULT", json.dumps(connection))
        monkeypatch.setenv("TAO_LAKE", str(tmp_path / "lake"))
        monkeypatch.setenv("TAO_HOME", str(tmp_path / "home"))
        yield found


@pytest.fixture
def operator(tmp_path: Path) -> Make:
    """Makes the task of a stage, whose pod mounts the test's own folder."""

    def make(told: dict[str, Any] = SMALL, **kwargs: Any) -> PodStageOperator:
        volumes = {**told["volumes"], "lake": {**told["volumes"]["lake"], "mount": str(tmp_path)}}
        places = {"volumes": volumes, "lake": str(tmp_path / "lake"), "home": str(tmp_path / "home")}
        config = KubernetesConfig.model_validate({**told, **places})
        how = {"task_id": "generate", "stage": "generate", "flywheel": "tickets", "shard": 3, **kwargs}
        return PodStageOperator(kubernetes=config, **how)

    return make


@pytest.fixture
def started(context: Context) -> Context:
    """The context of a try of a task, as Airflow's worker gives it."""
    kept: dict[str, Any] = {}
    store = SimpleNamespace(get=kept.get, set=kept.__setitem__)

    def make(try_number: int = 1, **changes: Any) -> dict[str, Any]:
        made = context(**changes)
        made["ti"] = SimpleNamespace(
            **vars(made["ti"]),
            dag_id="flywheel_tickets",
            task_id="generate",
            try_number=try_number,
            map_index=3,
            start_date=datetime.now(UTC),
        )
        return {**made, "run_id": made["dag_run"].run_id, "dag": SimpleNamespace(), "task_state_store": store}

    return make


def defer(task: PodStageOperator, context: dict[str, Any]) -> TaskDeferred:
    """Run the task's first part, which leaves the worker once the pod is made, or found."""
    with pytest.raises(TaskDeferred) as caught:
        task.execute(context)
    return caught.value


def event_of(deferred: TaskDeferred) -> dict[str, Any]:
    """What Airflow's triggerer tells when the pod has ended."""

    async def first() -> dict[str, Any]:
        async with asyncio.timeout(30):
            async for event in deferred.trigger.run():
                return dict(event.payload)
        raise AssertionError("the trigger told nothing")

    return asyncio.run(first())


def go_on(deferred: TaskDeferred, context: dict[str, Any], resumed: PodStageOperator) -> dict[str, Any]:
    """Resume the task with an operator of its own, as another worker's process does; its XComs, and what it returns."""
    returned = getattr(resumed, deferred.method_name)(context, event_of(deferred))
    assert resumed.do_xcom_push  # else Airflow drops what it returns
    return {**context["ti"].pushed, "returned": returned}


def leave_report(lake: Path, stage: str = "generate", shard: int | None = 3) -> Path:
    report = remote_report(str(lake), "tickets", "2026-11-21T00:00Z", RUN, stage, shard)
    report.parent.mkdir(parents=True, exist_ok=True)
    report.write_text(json.dumps(REPORT), encoding="utf-8")
    return report


def manifest(told: dict[str, Any], context: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
    config = KubernetesConfig.model_validate(told)
    task = PodStageOperator(
        kubernetes=config, task_id="generate", stage="generate", flywheel="tickets", shard=3, **kwargs
    )
    task._begin(context)
    built: dict[str, Any] = ApiClient().sanitize_for_serialization(task.build_pod_request_obj(context))
    return built


def test_a_pod_is_what_the_apis_published_schema_takes(cluster: Cluster, started: Context) -> None:
    for told in (SMALL, LARGE, {**SMALL, "gpus": 0}):
        kube_api.check(manifest(told, started()))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("spec", "gpus"), 1),
        (("spec", "containers", 0, "securityContext", "readOnlyRootFileSystem"), True),
        (("spec", "tolerations"), [{"key": "a", "effects": "NoSchedule"}]),
        (("spec", "terminationGracePeriodSeconds"), "30s"),
    ],
)
def test_a_field_that_the_schema_does_not_know_is_found(
    cluster: Cluster, started: Context, path: tuple[Any, ...], value: Any
) -> None:
    built = manifest(SMALL, started())
    place: Any = built
    for part in path[:-1]:
        place = place[part]
    place[path[-1]] = value
    with pytest.raises(ValidationError):
        kube_api.check(built)


def test_a_pod_asks_for_what_the_yaml_says(cluster: Cluster, started: Context) -> None:
    built = manifest(LARGE, started(), execution_timeout=timedelta(hours=6))
    spec = built["spec"]
    (container,) = spec["containers"]
    assert container["image"] == LARGE["image"]
    assert container["resources"] == {
        "requests": {
            "cpu": "7500m",
            "memory": "98304Mi",
            "ephemeral-storage": "204800Mi",
            "nvidia.com/mig-3g.40gb": "2",
        },
        "limits": {"cpu": "16000m", "memory": "98304Mi", "nvidia.com/mig-3g.40gb": "2"},
    }
    assert container["volumeMounts"] == [
        {"name": "lake", "mountPath": "/shared", "subPath": "tao", "readOnly": False},
        {"name": "hub", "mountPath": "/hub", "readOnly": True},
        {"name": "scratch", "mountPath": "/tmp"},
        {"name": "shared-memory", "mountPath": "/dev/shm"},
    ]
    assert spec["volumes"] == [
        {"name": "lake", "persistentVolumeClaim": {"claimName": "tao-lake", "readOnly": False}},
        {"name": "hub", "persistentVolumeClaim": {"claimName": "hub", "readOnly": True}},
        {"name": "scratch", "emptyDir": {"sizeLimit": "204800Mi"}},
        {"name": "shared-memory", "emptyDir": {"medium": "Memory", "sizeLimit": "12800Mi"}},
    ]
    assert spec["nodeSelector"] == LARGE["node_selector"]
    assert spec["tolerations"] == [
        {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"},
        {"key": "team", "operator": "Equal", "value": "models"},
    ]
    assert (spec["priorityClassName"], spec["runtimeClassName"]) == ("nightly", "nvidia")
    assert (spec["serviceAccountName"], spec["imagePullSecrets"]) == ("tao-stages", [{"name": "registry"}])
    assert (spec["terminationGracePeriodSeconds"], spec["activeDeadlineSeconds"]) == (45, 6 * 3600 + 300)
    assert built["metadata"]["annotations"] == LARGE["annotations"]
    assert (built["metadata"]["namespace"], built["metadata"]["labels"]["team"]) == ("models", "models")


def test_a_pod_asks_for_what_its_stage_holds(cluster: Cluster, started: Context) -> None:
    stages = {"generate": {"gpus": 4, "shared_memory_gib": 8}, "update": {"gpus": 8}}
    spec = manifest({**SMALL, "stages": stages}, started())["spec"]
    assert spec["containers"][0]["resources"]["limits"] == {"memory": "16384Mi", "nvidia.com/gpu": "4"}
    assert spec["volumes"][-1]["emptyDir"] == {"medium": "Memory", "sizeLimit": "8192Mi"}


def test_a_pod_may_do_little(cluster: Cluster, started: Context) -> None:
    spec = manifest(SMALL, started())["spec"]
    (container,) = spec["containers"]
    assert spec["securityContext"] == {
        "runAsNonRoot": True,
        "runAsUser": 50000,
        "runAsGroup": 0,
        "fsGroup": 0,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "runAsNonRoot": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert spec["automountServiceAccountToken"] is False
    assert spec["restartPolicy"] == "Never"
    assert spec["shareProcessNamespace"] is True


def test_secrets_are_references_and_nothing_of_airflows_environment_is_handed_on(
    cluster: Cluster, started: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TAO_DATABASE_URL", "postgresql://tao:open-sesame@db/tao")
    monkeypatch.setenv("PARTNER_API_KEY", "sk-2468")
    built = manifest(LARGE, started())
    (container,) = built["spec"]["containers"]
    by_name = {one["name"]: one for one in container["env"]}
    assert by_name["TAO_DATABASE_URL"] == {
        "name": "TAO_DATABASE_URL",
        "valueFrom": {"secretKeyRef": {"name": "tao", "key": "database-url"}},
    }
    assert {name: one["value"] for name, one in by_name.items() if "value" in one} == {
        "HF_HOME": "/hub",
        "HOME": "/tmp",
        "PYTHONUNBUFFERED": "1",
        "TAO_CACHE": "/tmp/cache",
        "TAO_HOME": "/shared/home",
        "TAO_LAKE": "/shared/lake",
        "USER": "tao",
    }
    assert "sesame" not in str(built) and "2468" not in str(built)


def test_the_stage_runs_in_the_pod_and_its_report_comes_back_by_the_lake(
    cluster: Cluster, started: Context, operator: Make, task_log: list[str], tmp_path: Path
) -> None:
    deferred = defer(operator(LARGE), given := started(params={}))
    (made,) = cluster.made
    (container,) = made["spec"]["containers"]
    report = f"{tmp_path}/lake/artifacts/tickets/2026-11-21T00-00Z/{RUN}/reports/generate-3.json"
    assert container["command"] == ["/opt/tao/bin/python"]
    assert container["args"] == [
        *("-m", "tao_ops.cli", "generate", "tickets", "--turn", "2026-11-21T00:00Z", "--run-id", RUN),
        *("--shard", "3", "--report", report, "--keep-turn"),
    ]
    leave_report(tmp_path / "lake")
    cluster.lines = "20 responses\n"
    cluster.end(0)
    assert go_on(deferred, given, operator(LARGE)) == {
        "pod_name": made["metadata"]["name"],
        "pod_namespace": "models",
        "report": REPORT,
        "returned": REPORT,
    }
    assert cluster.pods == {}
    assert any("20 responses" in line for line in task_log)
    assert "see the turn: /flywheel/turn/tickets/2026-11-21T00:00Z" in task_log


def test_validate_returns_the_shards_to_map_over_from_its_pod_too(
    cluster: Cluster, started: Context, operator: Make, tmp_path: Path
) -> None:
    how = {"stage": "validate", "shard": None}
    deferred = defer(operator(**how), given := started())
    leave_report(tmp_path / "lake", "validate", None)
    cluster.end(0)
    assert go_on(deferred, given, operator(**how))["returned"] == [0, 1]


def test_a_try_goes_on_with_the_pod_that_a_dead_worker_has_left(
    cluster: Cluster, started: Context, operator: Make, tmp_path: Path
) -> None:
    defer(operator(), started(try_number=1))
    leave_report(tmp_path / "lake")  # it is about to end
    deferred = defer(operator(), given := started(try_number=2))
    assert len(cluster.made) == 1
    cluster.end(0)
    assert go_on(deferred, given, operator())["report"] == REPORT


def test_a_pod_that_is_found_when_its_stage_has_just_ended_is_not_waited_for(
    cluster: Cluster, started: Context, operator: Make, tmp_path: Path
) -> None:
    defer(operator(), started(try_number=1))
    leave_report(tmp_path / "lake")
    cluster.end(0)
    cluster.phases = ["Running", "Running", "Running", "Succeeded"]  # the pod's, which is told later than its stage's
    task = operator()
    assert task.execute(started(try_number=2)) == REPORT and task.do_xcom_push
    assert len(cluster.made) == 1 and cluster.pods == {}


def test_a_pod_is_found_by_its_turn_run_stage_and_shard_and_not_by_the_try(
    cluster: Cluster, started: Context, operator: Make
) -> None:
    defer(operator(), started(try_number=1))
    labels = cluster.pod["metadata"]["labels"]
    assert {name: value for name, value in labels.items() if name.startswith("tao/")} == {
        "tao/flywheel": "tickets",
        "tao/turn": "2026-11-21T00-00Z",
        "tao/run": RUN,
        "tao/stage": "generate",
        "tao/shard": "3",
    }
    forgotten = {**started(try_number=2), "task_state_store": None}  # by its labels alone
    defer(operator(), forgotten)
    assert len(cluster.made) == 1
    defer(operator(shard=4), forgotten)
    assert len(cluster.made) == 2


def test_a_failed_pod_is_not_taken_up_again(cluster: Cluster, started: Context, operator: Make) -> None:
    deferred = defer(operator(), given := started(try_number=1))
    cluster.end(75, "error: the server does not answer", "Error")
    with pytest.raises(AirflowException):
        go_on(deferred, given, operator())
    defer(operator(), started(try_number=2))
    assert len(cluster.made) == 2


def test_an_old_report_is_removed_before_a_pod_is_made(
    cluster: Cluster, started: Context, operator: Make, tmp_path: Path
) -> None:
    old = leave_report(tmp_path / "lake")
    defer(operator(), started())
    assert not old.exists()


def test_a_report_that_does_not_come_is_a_lake_that_is_not_shared(
    cluster: Cluster, started: Context, operator: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pod_operator, "ARRIVAL_SECONDS", 0.05)
    monkeypatch.setattr(stage_task, "LOOK_SECONDS", 0.01)
    deferred = defer(operator(), given := started())
    cluster.end(0)
    with pytest.raises(AirflowFailException, match="its report is not here .* mount the volume of the pod's lake"):
        go_on(deferred, given, operator())


@pytest.mark.parametrize(("name", "there"), [("TAO_LAKE", "s3://bucket/lake"), ("TAO_HOME", "/var/lib/tao")])
def test_folders_that_are_not_the_pods_are_told_before_one_is_made(
    cluster: Cluster, started: Context, operator: Make, monkeypatch: pytest.MonkeyPatch, name: str, there: str
) -> None:
    monkeypatch.setenv(name, there)
    with pytest.raises(AirflowFailException, match=f"{name} of Airflow's worker is {there}, and .* in the pod"):
        operator().execute(started())
    assert cluster.made == []


@pytest.mark.parametrize(
    ("code", "reason", "message", "retried", "words"),
    [
        (75, "Error", "loading\nerror: no answer [db] — start it\n", True, "error: no answer [db] — start it"),
        (1, "Error", "error: no such task [tickets] — mend it", False, "error: no such task [tickets] — mend it"),
        (
            *(1, "Error", "Traceback …\n  File …\nKeyError: 'x'\n", False),
            "error: generate ended with status 1; it last said: Traceback … | File … | KeyError: 'x' — once the cause"
            " is mended, clear the task",
        ),
        (
            *(137, "OOMKilled", "", True),
            "error: stage generate was killed by SIGKILL: it used more than 'memory_gib' of its launch.…kubernetes"
            " — its retry starts over",
        ),
        (143, "Error", "", True, "error: stage generate was killed by SIGTERM — its retry starts over"),
    ],
)
def test_how_a_stage_ends_decides_whether_it_is_retried(
    cluster: Cluster,
    started: Context,
    operator: Make,
    task_log: list[str],
    code: int,
    reason: str,
    message: str,
    retried: bool,
    words: str,
) -> None:
    deferred = defer(operator(), given := started())
    cluster.end(code, message, reason)
    with pytest.raises(AirflowException) as caught:
        go_on(deferred, given, operator())
    assert str(caught.value) == words
    assert isinstance(caught.value, AirflowFailException) is not retried
    assert "report" not in given["ti"].pushed
    assert cluster.pods == {}
    assert "see the turn: /flywheel/turn/tickets/2026-11-21T00:00Z" in task_log


def test_an_evicted_pod_is_retried(cluster: Cluster, started: Context, operator: Make) -> None:
    deferred = defer(operator(), given := started())
    cluster.evict()
    with pytest.raises(AirflowException, match=r"failed: Evicted: The node was low on memory\. — a retry") as caught:
        go_on(deferred, given, operator())
    assert not isinstance(caught.value, AirflowFailException)


def test_an_image_that_is_not_there_is_told(cluster: Cluster, started: Context, operator: Make) -> None:
    deferred = defer(operator(), given := started())
    cluster.wait_for_image("ErrImagePull", "manifest unknown")
    with pytest.raises(AirflowException, match="of stage generate failed: ErrImagePull: manifest unknown"):
        go_on(deferred, given, operator())
    assert cluster.pods == {}


def test_a_pod_that_is_gone_is_retried(cluster: Cluster, started: Context, operator: Make) -> None:
    deferred = defer(operator(), given := started())
    cluster.end(1)
    event = event_of(deferred)
    cluster.pods.clear()
    with pytest.raises(AirflowException, match="of stage generate failed: .*a retry makes another pod") as caught:
        operator().trigger_reentry(given, event)
    assert not isinstance(caught.value, AirflowFailException)


def test_a_pod_that_takes_longer_than_its_task_may_is_deleted_and_the_task_is_retried(
    cluster: Cluster, started: Context, operator: Make
) -> None:
    given = started()
    given["ti"].start_date = datetime.now(UTC) - timedelta(hours=7)
    deferred = defer(operator(execution_timeout=timedelta(hours=6)), given)
    with pytest.raises(AirflowException, match="execution_timeout deadline.*a retry starts over"):
        operator().trigger_reentry(given, event_of(deferred))
    assert cluster.pods == {}


def test_a_task_that_is_killed_has_its_pod_deleted(cluster: Cluster, started: Context, operator: Make) -> None:
    task = operator({**SMALL, "grace": "45s"})
    defer(task, started())
    name = cluster.pod["metadata"]["name"]
    task.on_kill()
    assert cluster.deleted == [(name, {"gracePeriodSeconds": ["45"]})]


def test_a_task_that_is_cleared_while_it_waits_has_its_pod_deleted(
    cluster: Cluster, started: Context, operator: Make
) -> None:
    deferred = defer(operator(), started())
    name = cluster.pod["metadata"]["name"]
    asyncio.run(deferred.trigger.on_kill())  # as Airflow's triggerer does for what a user did
    assert [one for one, _ in cluster.deleted] == [name]


def test_no_worker_waits_and_the_log_comes_while_the_pod_runs(
    cluster: Cluster, started: Context, operator: Make
) -> None:
    deferred = defer(operator({**SMALL, "log_every": "20s", "start_limit": "2h"}), started())
    _, told = deferred.trigger.serialize()
    assert (told["logging_interval"], told["poll_interval"]) == (20, 1)
    assert (told["startup_timeout"], told["schedule_timeout"]) == (7200, 7200)
