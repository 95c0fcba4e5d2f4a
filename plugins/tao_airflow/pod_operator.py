"""Runs one stage of a turn as a pod of a Kubernetes cluster; while it runs, no worker waits for it.

The Kubernetes provider's operator makes the pod, finds it again by its labels and follows it from Airflow's
triggerer; here is what the pod of a stage is, and what its end means. This module is imported only where a flywheel's
YAML names a cluster: the provider need not be there otherwise.
"""

import signal
from functools import cached_property
from pathlib import Path, PurePath
from typing import Any, ClassVar

from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from airflow.providers.cncf.kubernetes.pod_generator import make_safe_label_value
from airflow.providers.cncf.kubernetes.utils.container import get_container_status
from airflow.providers.cncf.kubernetes.utils.pod_manager import PodManager
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from kubernetes.client import V1Pod

from tao_airflow import pod_spec
from tao_airflow.stage_task import TEMPORARY_FAILURE, StageTask, arrived, identity, make_room
from tao_airflow.task_log import mask
from tao_ops.config import KubernetesConfig, load_flywheel
from tao_ops.launch.stage import remote_report, stage_environment
from tao_ops.settings import Settings
from tao_ops.turn import path_safe

ARRIVAL_SECONDS = 90.0
"""A network file system shows a file that a pod wrote once its cache of the folder is over: within a minute, mostly."""
OVERTIME_SECONDS = 300
"""A pod that Airflow has lost sight of ends by itself so long after its task's limit."""
SIGNALLED = 128
"""A container's exit status is above it by the signal's number where a signal ended its process."""


class PodStageOperator(StageTask, KubernetesPodOperator):
    """The stage as a pod. Its report comes back by the lake, which the pod and Airflow's workers both mount.

    A worker or a triggerer that dies leaves the pod be: the task's next try goes on with it while it runs. The pod of
    a task that is cleared, or marked by hand, is deleted.
    """

    template_fields = StageTask.template_fields
    """What the YAML says is taken as it is: a template could bring a secret into the pod's specification."""
    template_fields_renderers: ClassVar[dict[str, str]] = {}

    def __init__(self, *, kubernetes: KubernetesConfig, **kwargs: Any) -> None:
        limit = kwargs.get("execution_timeout")
        kwargs.setdefault("name", f"tao-{kwargs['stage']}-{kwargs['flywheel'].replace('_', '-')}")
        super().__init__(
            **pod_spec.of(kubernetes, kwargs["stage"]),
            deferrable=True,
            active_deadline_seconds=None if limit is None else int(limit.total_seconds()) + OVERTIME_SECONDS,
            do_xcom_push=False,  # it would add a container, of an image that nobody has pinned, to fetch an XCom
            **kwargs,
        )
        self.kubernetes = kubernetes
        self._returned: dict[str, Any] | list[int] | None = None

    def execute(self, context: Any) -> dict[str, Any] | list[int] | None:
        """Make the stage's pod, or find the one that an earlier try has left, and wait for it without a worker."""
        self._begin(context)
        self._require_shared()
        python, *arguments = self.command(context, self._report(), python=self.kubernetes.python)
        self.cmds, self.arguments = [python], arguments
        super().execute(context)
        return self._returned  # of a pod that was found, and has just ended

    def trigger_reentry(self, context: Any, event: dict[str, Any]) -> dict[str, Any] | list[int]:
        """The pod has ended: its last lines, what its end means, and its report."""
        self._begin(context)
        try:
            super().trigger_reentry(context, event)
        except AirflowException as error:
            self.tell_more(context)
            words, can_retry = self._why(event, error)
            self.log.error(words)
            raise (AirflowException if can_retry else AirflowFailException)(words) from None
        self.tell_more(context)
        self.do_xcom_push = True  # the pod is gone: what the task returns is pushed as any other's
        self._returned = self.result(context, self._arrived())
        return self._returned

    @cached_property
    def pod_manager(self) -> PodManager:
        """The provider's, which besides makes room for the report of a pod that it makes."""
        return _Pods(self._report(), kube_client=self.client, callbacks=self.callbacks)

    def _begin(self, context: Any) -> None:
        """What each of the task's processes needs: its turn, the labels by which its pod is found, what is masked."""
        mask(stage_environment(), load_flywheel(self.flywheel))
        turn, run_id = self.turn_and_run = identity(context, self.flywheel)
        told = {"flywheel": self.flywheel, "turn": path_safe(turn), "run": run_id, "stage": self.stage}
        if self.shard is not None:
            told["shard"] = str(self.shard)
        ours = {f"tao/{name}": make_safe_label_value(value) for name, value in told.items()}
        self.labels = {**self.kubernetes.labels, **ours}

    def _require_shared(self) -> None:
        """Raise where this worker's folders are not those that the pod is told: models and files are named by them."""
        settings, places = Settings.from_env(), self.kubernetes
        for name, here, there in (("lake", settings.lake, places.lake), ("home", str(settings.home), places.home)):
            if PurePath(here) != PurePath(there):
                raise AirflowFailException(
                    f"error: TAO_{name.upper()} of Airflow's worker is {here}, and {there} in the pod "
                    f"[launch: kubernetes.{name}] — mount the same folder at the same path on both"
                )

    def _report(self) -> Path:
        assert self.turn_and_run is not None
        return remote_report(self.kubernetes.lake, self.flywheel, *self.turn_and_run, self.stage, self.shard)

    def _arrived(self) -> Path:
        """The report of the stage that has ended well, once this machine sees it."""
        report = self._report()
        if not arrived(report, ARRIVAL_SECONDS):
            raise AirflowFailException(
                f"error: stage {self.stage} ended well, but its report is not here [{report}] — mount the volume "
                "of the pod's lake on Airflow's workers too, then clear the task"
            )
        return report

    def _why(self, event: dict[str, Any], error: AirflowException) -> tuple[str, bool]:
        """What happened and what to do, in a line; and whether a retry can help."""
        status = None if self.pod is None else get_container_status(self.pod, self.base_container_name)
        ended = None if status is None else status.state.terminated
        if event["status"] == "timeout":
            return f"error: stage {self.stage}: {_line(event.get('message'))} — a retry starts over", True
        if ended is None or ended.exit_code == 0:
            why = _reason(self.pod, status) or _line(event.get("message") or error)
            return f"error: the pod of stage {self.stage} failed: {why} — a retry makes another pod", True
        if ended.exit_code > SIGNALLED:
            return f"error: stage {self.stage} was killed by {_signal(ended)} — its retry starts over", True
        said = [line.strip() for line in (ended.message or "").splitlines() if line.strip()]
        own = next((line for line in reversed(said) if line.startswith("error: ")), None)
        last = " | ".join(said[-3:]) or "nothing"
        unforeseen = f"error: {self.stage} ended with status {ended.exit_code}; it last said: {last}"
        return own or f"{unforeseen} — once the cause is mended, clear the task", ended.exit_code == TEMPORARY_FAILURE


class _Pods(PodManager):
    """A report that an earlier try has left is removed before a pod is made; never while one runs that was found."""

    def __init__(self, report: Path, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._report = report

    def create_pod(self, pod: V1Pod) -> V1Pod:
        make_room(self._report)
        return super().create_pod(pod)


def _reason(pod: V1Pod | None, status: Any) -> str | None:
    """Why a pod ended before its container did, or never ran: Evicted, ErrImagePull, DeadlineExceeded, …."""
    waiting = None if status is None else status.state.waiting
    for told in filter(None, (waiting, None if pod is None else pod.status)):
        if told.reason:
            return f"{told.reason}: {_line(told.message)}" if told.message else str(told.reason)
    return None


def _signal(ended: Any) -> str:
    number = ended.exit_code - SIGNALLED
    name = signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"
    if ended.reason == "OOMKilled":
        return f"{name}: it used more than 'memory_gib' of its launch.…kubernetes"
    return f"{name} (out of memory?)" if name == "SIGKILL" else name


def _line(text: object) -> str:
    return " ".join(str(text).split())[:500]
