"""A flywheel's YAML as typed values: its parts, and how it is read."""

from tao_ops.config.base import Duration, Share, Strict
from tao_ops.config.flywheel import Flywheel, expand, flywheel_names, load_flywheel
from tao_ops.config.sources import Format, SourceConfig, TaskRule
from tao_ops.config.stages import (
    BudgetConfig,
    EngineConfig,
    EvaluateConfig,
    GateConfig,
    GenerateConfig,
    IngestConfig,
    Method,
    Policy,
    PriceConfig,
    RetentionConfig,
    ServerConfig,
    UpdateConfig,
    ValidateConfig,
)
from tao_ops.config.strategies import BootstrapConfig, StrategyConfig, StrategyKind
from tao_ops.config.tasks import (
    BenchmarkConfig,
    ConsensusConfig,
    GroundingConfig,
    PersonalKind,
    PrivacyConfig,
    ScorerConfig,
    StrictJsonConfig,
    TaskConfig,
)

__all__ = [
    "BenchmarkConfig",
    "BootstrapConfig",
    "BudgetConfig",
    "ConsensusConfig",
    "Duration",
    "EngineConfig",
    "EvaluateConfig",
    "Flywheel",
    "Format",
    "GateConfig",
    "GenerateConfig",
    "GroundingConfig",
    "IngestConfig",
    "Method",
    "PersonalKind",
    "Policy",
    "PriceConfig",
    "PrivacyConfig",
    "RetentionConfig",
    "ScorerConfig",
    "ServerConfig",
    "Share",
    "SourceConfig",
    "StrategyConfig",
    "StrategyKind",
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
