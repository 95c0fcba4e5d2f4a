"""Where a flywheel's tasks run: queue and pool of Airflow's executor, or a cluster that runs the stage's process."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from tao_ops.config.base import Strict
from tao_ops.config.launch_kubernetes import KubernetesConfig
from tao_ops.config.launch_ray import RayConfig

Queue = Annotated[str, Field(pattern=r"^[^,\s]{1,256}$")]
"""A worker takes several by a list with commas."""


class PlaceConfig(Strict):
    """Where some of the tasks run; beside Airflow's worker where neither ``ray`` nor ``kubernetes`` is named."""

    queue: Queue | None = None
    """Of Airflow's executor; None: ``[operators] default_queue``. The local executor knows no queues."""
    pool: str | None = Field(default=None, min_length=1, max_length=256)
    """Whose slots the tasks take; None: ``gpu`` for stages that load a model, Airflow's default for the others."""
    ray: RayConfig | None = None
    """The stage is a job of a Ray cluster."""
    kubernetes: KubernetesConfig | None = None
    """The stage is a pod of its own."""

    @model_validator(mode="after")
    def _one_cluster(self) -> Self:
        if self.ray is not None and self.kubernetes is not None:
            raise ValueError("a stage runs on 'ray' or on 'kubernetes': leave one out")
        return self


class LaunchConfig(Strict):
    """Where the flywheel's tasks run."""

    light: PlaceConfig = PlaceConfig()
    """The tasks that load no model: ingest, validate, gate, register and what comes after."""
    model: PlaceConfig = PlaceConfig()
    """The stages that load one: generate, score, update and evaluate. Score does only where a scorer is a model: where
    nothing is said here it is in no pool."""
