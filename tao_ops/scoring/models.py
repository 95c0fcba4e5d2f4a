"""The models that a flywheel's scorers and judges ask; none is loaded before one is asked."""

from tao_ops import champions
from tao_ops.backends.scoring_models import ScoringModels
from tao_ops.config import Flywheel
from tao_ops.records import Progress
from tao_ops.settings import Settings


def scoring_models(flywheel: Flywheel, database_url: str, settings: Settings, say: Progress) -> ScoringModels:
    """Those of a stage, loaded from the flywheel's ``include`` folder, the cache and the registry."""
    return ScoringModels(
        include=flywheel.file(""),
        cache=settings.cache,
        champion=lambda: champions.champion(flywheel, database_url, settings, say),
        engine=flywheel.engine,
        seed=flywheel.seed,
        say=say,
    )
