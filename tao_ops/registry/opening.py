"""How a stage or a command comes by the registry of an installation."""

from pathlib import Path

from tao_ops.mlflow_versions import MlflowVersions
from tao_ops.records import ModelRef
from tao_ops.registry.versions import Registry
from tao_ops.settings import Settings


def open_registry(url: str, settings: Settings) -> Registry:
    """The registry of an installation; ``url`` is of its database ``tao``."""
    return Registry(url, _artifacts(settings))


def open_versions(url: str, settings: Settings) -> MlflowVersions:
    """MLflow alone, for the curves of a training; ``url`` is of the database ``tao``."""
    return MlflowVersions(url, _artifacts(settings))


def champion(url: str, flywheel: str) -> ModelRef | None:
    """The flywheel's champion, or None where it is the base model; for those who only read."""
    return Registry(url, None).champion(flywheel)


def _artifacts(settings: Settings) -> Path:
    return settings.home / "mlflow-artifacts"
