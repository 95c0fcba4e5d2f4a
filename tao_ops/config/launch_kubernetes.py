"""How a stage runs as a pod of a Kubernetes cluster: its image, what it needs, where it may run, what it is given."""

import re
from datetime import timedelta
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from tao_ops.config.base import Duration, Strict
from tao_ops.config.plain import named_secret, signed_in

OWN_VARIABLES = frozenset({"TAO_LAKE", "TAO_HOME", "TAO_LOG", "HOME", "USER", "PYTHONUNBUFFERED"})
"""Variables that the operator sets itself."""
OWN_FOLDERS = ("/tmp", "/dev/shm")
"""Folders of a pod that are its own and empty when it starts."""
DATABASE = "TAO_DATABASE_URL"

_LABEL = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_WORD = "[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?"
Name = Annotated[str, Field(pattern=rf"^{_LABEL}(\.{_LABEL})*$", max_length=253)]
"""Of an object of the cluster (a DNS subdomain, RFC 1123)."""
ShortName = Annotated[str, Field(pattern=f"^{_LABEL}$")]
"""Of a namespace or a volume (a DNS label, RFC 1123)."""
Key = Annotated[str, Field(pattern=rf"^({_LABEL}(\.{_LABEL})*/)?{_WORD}$")]
"""Of a label, an annotation or a resource, ``nvidia.com/gpu``."""
LabelValue = Annotated[str, Field(pattern=f"^({_WORD})?$")]
Variable = Annotated[str, Field(pattern="^[A-Za-z_][A-Za-z0-9_]*$")]
"""Of the environment."""
Folder = Annotated[str, Field(pattern="^/[^:]*$")]
"""In the pod: an absolute path."""
Amount = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
StageName = Literal["ingest", "validate", "generate", "score", "update", "evaluate", "gate", "register"]

_IMAGE = re.compile(
    r"(?P<name>[^\s:@]+(:\d+(?=/))?[^\s:@]*)(:(?P<tag>\w[\w.-]{0,127}))?(@sha256:(?P<digest>[0-9a-f]{64}))?"
)


class VolumeConfig(Strict):
    """A persistent volume claim that the pod mounts."""

    claim: Name
    """The claim; several pods mount it at once, so it is ReadWriteMany where they run on several nodes."""
    mount: Folder
    """Where it is seen in the pod."""
    sub_path: str | None = Field(default=None, pattern=r"^[^/.][^:]*$")
    """A folder of the volume, where not all of it is mounted."""
    read_only: bool = False


class SecretKeyConfig(Strict):
    """One value of a Secret of the cluster."""

    secret: Name
    key: str = Field(pattern="^[A-Za-z0-9_.-]{1,253}$")


class TolerationConfig(Strict):
    """A taint of a node that the pod puts up with; as Kubernetes writes it."""

    key: Key | None = None
    """None: any taint."""
    operator: Literal["Equal", "Exists"] = "Equal"
    value: LabelValue | None = None
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None
    """None: any effect."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.operator == "Exists" and self.value is not None:
            raise ValueError("'Exists' takes no 'value': write 'operator: Equal', or leave 'value' out")
        if self.operator == "Equal" and self.key is None:
            raise ValueError("'Equal' compares the value of a 'key': name it, or write 'operator: Exists'")
        return self


class PodAmounts(Strict):
    """What a stage's pod holds of its node."""

    gpus: int = Field(default=1, ge=0)
    cpus: Amount = 4.0
    """Cores that are kept for the pod; it may use more where the node has them idle, up to ``cpu_limit``."""
    cpu_limit: Amount | None = None
    """Cores at most; None: no limit (a namespace with a quota on ``limits.cpu`` wants one)."""
    memory_gib: Amount = 16.0
    """Memory that is kept for the pod, and its limit; files in ``/dev/shm`` count."""
    shared_memory_gib: Amount = 4.0
    """Size of ``/dev/shm``: torch's and vLLM's processes exchange tensors there (a pod has 64 MiB by default)."""
    scratch_gib: Amount = 20.0
    """Size of ``/tmp`` on the node's disk: the model's files in their converted form, caches, checkpoints under way."""


class KubernetesConfig(PodAmounts):
    """A pod for each stage, and what it is given.

    Its root file system is read only and it runs as a user that is not root; ``/tmp`` and ``/dev/shm`` are its own.
    """

    image: str
    """With a tag, better with a digest: ``registry.example.com/tao-gpu-worker:0.1.0@sha256:…``. It holds this project
    at Airflow's release, and the flywheel's YAML where ``TAO_INCLUDE`` says (by default the image's own)."""
    image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"
    image_pull_secrets: tuple[Name, ...] = ()
    """Secrets of the cluster with which the image is fetched."""
    python: str = Field(default="python", min_length=1)
    """The interpreter in the image: a path, or a name that its ``PATH`` finds."""

    connection: str = Field(default="kubernetes_default", min_length=1)
    """Airflow's connection to the cluster."""
    namespace: ShortName = "default"
    service_account: Name | None = None
    """None: the namespace's default. Stages do not ask the cluster for anything: its token is not mounted."""

    gpu_resource: Key = "nvidia.com/gpu"
    """What the cluster's device plugin calls a GPU, ``amd.com/gpu`` or ``nvidia.com/mig-3g.40gb`` for example."""
    stages: dict[StageName, PodAmounts] = Field(default_factory=dict)
    """Other amounts for single stages; what a stage does not name is as above."""

    node_selector: dict[Key, LabelValue] = Field(default_factory=dict)
    """Labels that a node must have."""
    tolerations: tuple[TolerationConfig, ...] = ()
    priority_class: Name | None = None
    runtime_class: Name | None = None
    """``nvidia`` for example, where the cluster's default runtime shows no GPU to a pod."""
    labels: dict[Key, LabelValue] = Field(default_factory=dict)
    """Of the pod, besides Airflow's and this project's: a team or a cost centre."""
    annotations: dict[Key, str] = Field(default_factory=dict)

    volumes: dict[ShortName, VolumeConfig] = Field(min_length=1)
    """By name; ``lake`` and ``home`` are on them."""
    lake: Folder = "/lake"
    """``TAO_LAKE`` of the pod and of Airflow's workers: the same folder at the same path, by which models are named."""
    home: Folder = "/lake/home"
    """``TAO_HOME`` of both, by which MLflow's files are named."""
    user: int = Field(default=50000, ge=1)
    """Numeric id of the pod's user, never root; Airflow's image and those of ``docker/`` have this one, so that all may
    write into the lake."""
    group: int = Field(default=0, ge=0)
    """Of the user and of the volumes' files."""

    secrets: dict[Variable, SecretKeyConfig] = Field(default_factory=dict)
    """Variables of the environment whose values are read from Secrets of the cluster; ``TAO_DATABASE_URL`` is one."""
    environment: dict[Variable, str] = Field(default_factory=dict)
    """Further variables, ``TAO_INCLUDE: /lake/include`` for example; never a secret."""

    start_limit: Duration = timedelta(minutes=30)
    """How long the pod may wait for a node, and again for its image, before the task is retried."""
    grace: Duration = timedelta(seconds=30)
    """From the signal to end to the kill: a stage commits nothing half, but frees its turn in this time."""
    poll: Duration = timedelta(seconds=10)
    """How often the cluster is asked how the pod is."""
    log_every: Duration = timedelta(seconds=30)
    """How often the pod's lines are fetched into the task's log."""

    def amounts(self, stage: str) -> PodAmounts:
        """What the pod of ``stage`` holds."""
        told = {name: getattr(self, name) for name in PodAmounts.model_fields}
        own = [one.model_dump(exclude_unset=True) for name, one in self.stages.items() if name == stage]
        return PodAmounts(**told | (own[0] if own else {}))

    @field_validator("image")
    @classmethod
    def _pinned(cls, value: str) -> str:
        match = _IMAGE.fullmatch(value)
        if match is None:
            raise ValueError(
                "not the name of an image: write name:tag, or name:tag@sha256:… with 64 hexadecimal digits"
            )
        if match["digest"] is None and match["tag"] in (None, "latest"):
            raise ValueError(
                "an image that changes under its name makes turns that cannot be compared: name a tag other than "
                "'latest', or a digest"
            )
        return value

    @field_validator("environment", mode="before")
    @classmethod
    def _as_text(cls, value: Any) -> Any:
        """YAML reads ``1`` as a number, and a variable is a text."""
        if not isinstance(value, dict):
            return value
        numbers = (name for name, one in value.items() if isinstance(one, int | float) and not isinstance(one, bool))
        return value | {name: str(value[name]) for name in numbers}

    @field_validator("environment")
    @classmethod
    def _no_secret(cls, value: dict[str, str]) -> dict[str, str]:
        for name, text in value.items():
            if name in OWN_VARIABLES:
                raise ValueError(f"{name} is set by the operator: leave it out")
            if named_secret(name) or signed_in(text):
                raise PydanticCustomError(
                    "secret",
                    "{name} looks like a secret: name a Secret of the cluster under 'secrets'",
                    {"name": repr(name)},
                )
        return value

    @field_validator("start_limit", "grace", "poll", "log_every")
    @classmethod
    def _some_time(cls, value: timedelta) -> timedelta:
        if value < timedelta(seconds=1):
            raise ValueError("at least one second")
        return value

    @model_validator(mode="after")
    def _amounts_fit(self) -> Self:
        each: list[PodAmounts] = [self, *(self.amounts(stage) for stage in self.stages)]
        for amounts in each:
            if amounts.cpu_limit is not None and amounts.cpu_limit < amounts.cpus:
                raise ValueError("'cpu_limit' is below 'cpus'")
            if amounts.shared_memory_gib >= amounts.memory_gib:
                raise ValueError("'shared_memory_gib' is part of 'memory_gib': make it smaller")
        return self

    @model_validator(mode="after")
    def _variables(self) -> Self:
        for name in self.secrets:
            if name in OWN_VARIABLES:
                raise ValueError(f"{name} is set by the operator: leave it out")
            if name in self.environment:
                raise ValueError(f"{name} is in 'secrets' and in 'environment': leave one out")
        if DATABASE not in self.secrets:
            raise ValueError(
                f"'secrets' lacks {DATABASE}: a pod without it would make a database of its own, and hold no turn"
            )
        return self

    @model_validator(mode="after")
    def _mounts(self) -> Self:
        mounts = [PurePosixPath(volume.mount) for volume in self.volumes.values()]
        if len(set(mounts)) < len(mounts):
            raise ValueError("two 'volumes' have the same 'mount'")
        if own := [str(mount) for mount in mounts if str(mount) in (*OWN_FOLDERS, "/")]:
            raise ValueError(f"a volume cannot be mounted on {own[0]}")
        if set(self.volumes) & {"scratch", "shared-memory"}:
            raise ValueError("'scratch' and 'shared-memory' are volumes of the pod's own: use other names")
        for name, folder in (("lake", self.lake), ("home", self.home)):
            below = self._volume_of(folder)
            if below is None:
                known = ", ".join(map(str, mounts))
                raise ValueError(f"{name!r}, {folder}, is on none of the 'volumes' (mounted on {known})")
            if below.read_only:
                raise ValueError(f"the volume of {name!r} is 'read_only': stages write into it")
        return self

    def _volume_of(self, folder: str) -> VolumeConfig | None:
        """The volume that a folder is on: the one whose mount is nearest above it."""
        path = PurePosixPath(folder)
        above = [volume for volume in self.volumes.values() if path.is_relative_to(volume.mount)]
        return max(above, key=lambda volume: len(PurePosixPath(volume.mount).parts), default=None)
