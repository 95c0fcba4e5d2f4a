"""A flywheel's YAML as typed values: its parts, and how it is read."""

from tao_ops.config.base import Duration, Share, Strict
from tao_ops.config.flywheel import Flywheel, expand, flywheel_names, load_flywheel
from tao_ops.config.sources import Format, SourceConfig, TaskRule
from tao_ops.config.stages import (
    EvaluateConfig,
    GateConfig,
    GenerateConfig,
    IngestConfig,
    Method,
    RetentionConfig,
    UpdateConfig,
    ValidateConfig,
)
from tao_ops.config.tasks import (
    BenchmarkConfig,
    ConsensusConfig,
    GroundingConfig,
    PersonalKind,
    PrivacyConfig,
    ScorerConfig,
    StrategyConfig,
    StrictJsonConfig,
    TaskConfig,
)

__all__ = [
    "BenchmarkConfig",
    "ConsensusConfig",
    "Duration",
    "EvaluateConfig",
    "Flywheel",
    "Format",
    "GateConfig",
    "GenerateConfig",
    "GroundingConfig",
    "IngestConfig",
    "Method",
    "PersonalKind",
    "PrivacyConfig",
    "RetentionConfig",
    "ScorerConfig",
    "Share",
    "SourceConfig",
    "StrategyConfig",
    "Strict",
    "StrictJsonConfig",
    "TaskConfig",
    "TaskRule",
    "UpdateConfig",
    "ValidateConfig",
    "expand",
    "flywheel_names",
    "load_flywheel",
]
