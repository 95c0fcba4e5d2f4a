"""The model that a run starts from: the registered champion, or the base model as version 0."""

from pathlib import Path

from tao_ops import registry
from tao_ops.config import Flywheel
from tao_ops.errors import ModelError
from tao_ops.models import model_ref
from tao_ops.records import ModelRef, Progress
from tao_ops.settings import Settings


def champion(flywheel: Flywheel, database_url: str, settings: Settings, say: Progress = print) -> ModelRef:
    """Today's champion, its folder checked against the registered digest.

    Raises:
        ModelError: its folder is not a model.
        RegistryError: the registry cannot be reached.
    """
    recorded = registry.champion(database_url, flywheel.name)
    if recorded is not None:
        found = model_ref(Path(recorded.path), recorded.version)
        if found.model_version != recorded.model_version:
            raise ModelError(
                f"version {recorded.version} of {flywheel.name} was registered as {recorded.model_version}, its folder "
                f"now holds {found.model_version}",
                where=recorded.path,
                mend="restore the folder from a backup",
            )
        return found
    return model_ref(base_model(flywheel, settings, say), 0)


def base_model(flywheel: Flywheel, settings: Settings, say: Progress = print) -> Path:
    """The folder of the model that the YAML names; the embedded one is prepared where it isn't yet."""
    if flywheel.model != "embedded":
        return Path(flywheel.model).expanduser()
    from tao_ops.backends import embedded_model

    return embedded_model.prepare(settings.cache, say)
