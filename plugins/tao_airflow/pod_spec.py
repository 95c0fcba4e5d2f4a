"""What a flywheel's YAML says of a stage's pod, as the Kubernetes provider's operator takes it."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from kubernetes.client import models as k8s

from tao_ops.config import KubernetesConfig
from tao_ops.config.launch_kubernetes import PodAmounts

CONTAINER = "stage"
TMP, SHM = "/tmp", "/dev/shm"
"""What a pod may write to besides its volumes; its root file system is read only."""


def of(config: KubernetesConfig, stage: str) -> dict[str, Any]:
    """Arguments of ``KubernetesPodOperator`` for a stage, the same in every run."""
    start, amounts = _seconds(config.start_limit), config.amounts(stage)
    return {
        "kubernetes_conn_id": config.connection,
        "namespace": config.namespace,
        "image": config.image,
        "image_pull_policy": config.image_pull_policy,
        "image_pull_secrets": [k8s.V1LocalObjectReference(name=name) for name in config.image_pull_secrets],
        "annotations": dict(config.annotations),
        "base_container_name": CONTAINER,
        "full_pod_spec": _shared_processes(),
        "env_vars": list(_variables(config)),
        "container_resources": _resources(amounts, config.gpu_resource),
        "volumes": list(_volumes(config, amounts)),
        "volume_mounts": list(_mounts(config)),
        "node_selector": dict(config.node_selector),
        "tolerations": [k8s.V1Toleration(**one.model_dump()) for one in config.tolerations],
        "priority_class_name": config.priority_class,
        "runtime_class_name": config.runtime_class,
        "service_account_name": config.service_account,
        "automount_service_account_token": False,
        "security_context": _pod_security(config),
        "container_security_context": _container_security(),
        "startup_timeout_seconds": start,
        "schedule_timeout_seconds": start,
        "startup_check_interval_seconds": _seconds(config.poll),
        "poll_interval": _seconds(config.poll),
        "logging_interval": _seconds(config.log_every),
        "termination_grace_period": _seconds(config.grace),
        # A container that fails without writing a message of its own tells its last lines by it.
        "termination_message_policy": "FallbackToLogsOnError",
        "log_events_on_failure": True,
        "log_pod_spec_on_failure": False,
        "on_finish_action": "delete_pod",
        "on_kill_action": "delete_pod",
    }


def _shared_processes() -> k8s.V1Pod:
    """The cluster's pause process is the first of the pod: one that is the first itself ignores a signal to end."""
    container = k8s.V1Container(name=CONTAINER)
    return k8s.V1Pod(
        metadata=k8s.V1ObjectMeta(), spec=k8s.V1PodSpec(containers=[container], share_process_namespace=True)
    )


def _variables(config: KubernetesConfig) -> Iterator[k8s.V1EnvVar]:
    """Of the environment; the values of secrets stay in the cluster."""
    plain = {
        "TAO_CACHE": f"{TMP}/cache",
        **config.environment,
        "TAO_HOME": config.home,
        "TAO_LAKE": config.lake,
        "HOME": TMP,
        "USER": "tao",  # a user without an entry in /etc/passwd has no name otherwise, and torch asks for one
        "PYTHONUNBUFFERED": "1",
    }
    for name, value in sorted(plain.items()):
        yield k8s.V1EnvVar(name=name, value=value)
    for name, place in sorted(config.secrets.items()):
        key = k8s.V1SecretKeySelector(name=place.secret, key=place.key)
        yield k8s.V1EnvVar(name=name, value_from=k8s.V1EnvVarSource(secret_key_ref=key))


def _resources(amounts: PodAmounts, gpu: str) -> k8s.V1ResourceRequirements:
    kept = {"memory": _mebi(amounts.memory_gib), **({gpu: str(amounts.gpus)} if amounts.gpus else {})}
    asked = {"cpu": _milli(amounts.cpus), "ephemeral-storage": _mebi(amounts.scratch_gib)}
    most = {} if amounts.cpu_limit is None else {"cpu": _milli(amounts.cpu_limit)}
    return k8s.V1ResourceRequirements(requests={**asked, **kept}, limits={**most, **kept})


def _volumes(config: KubernetesConfig, amounts: PodAmounts) -> Iterator[k8s.V1Volume]:
    for name, volume in config.volumes.items():
        claim = k8s.V1PersistentVolumeClaimVolumeSource(claim_name=volume.claim, read_only=volume.read_only)
        yield k8s.V1Volume(name=name, persistent_volume_claim=claim)
    yield k8s.V1Volume(name="scratch", empty_dir=k8s.V1EmptyDirVolumeSource(size_limit=_mebi(amounts.scratch_gib)))
    memory = k8s.V1EmptyDirVolumeSource(medium="Memory", size_limit=_mebi(amounts.shared_memory_gib))
    yield k8s.V1Volume(name="shared-memory", empty_dir=memory)


def _mounts(config: KubernetesConfig) -> Iterator[k8s.V1VolumeMount]:
    for name, volume in config.volumes.items():
        yield k8s.V1VolumeMount(
            name=name, mount_path=volume.mount, sub_path=volume.sub_path, read_only=volume.read_only
        )
    yield k8s.V1VolumeMount(name="scratch", mount_path=TMP)
    yield k8s.V1VolumeMount(name="shared-memory", mount_path=SHM)


def _pod_security(config: KubernetesConfig) -> k8s.V1PodSecurityContext:
    return k8s.V1PodSecurityContext(
        run_as_non_root=True,
        run_as_user=config.user,
        run_as_group=config.group,
        fs_group=config.group,
        fs_group_change_policy="OnRootMismatch",  # a lake has many files: they are looked through once, not each time
        seccomp_profile=k8s.V1SeccompProfile(type="RuntimeDefault"),
    )


def _container_security() -> k8s.V1SecurityContext:
    return k8s.V1SecurityContext(
        allow_privilege_escalation=False,
        read_only_root_filesystem=True,
        run_as_non_root=True,
        capabilities=k8s.V1Capabilities(drop=["ALL"]),
    )


def _seconds(length: timedelta) -> int:
    return int(length.total_seconds())


def _mebi(gib: float) -> str:
    return f"{max(1, round(gib * 1024))}Mi"


def _milli(cores: float) -> str:
    return f"{max(1, round(cores * 1000))}m"
