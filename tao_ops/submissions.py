"""A candidate on its way into the registry, and what MLflow is told of it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tao_ops.mlflow_points import Point, PointLog

PICTURES = "pictures"
"""Where a run's pictures are among its artifacts."""
MODEL_VERSION = "tao.model_version"
"""The tag of what a candidate is, byte for byte."""


@dataclass(frozen=True)
class Submission:
    """A candidate on its way into the registry.

    Attributes:
        candidate: the candidate's manifest: model_version, path, architecture, parameters, dtype, base, method,
            hyperparameters, seed, rows, metrics.
        lineage: path of that manifest.
        rewards: figures of the rewards that it was trained on, by name.
        pictures: paths of the run's pictures, each of another name.
        training: the MLflow run that its training was logged to as it went; None where there is none.
        curves: the points of that training.
    """

    flywheel: str
    turn: str
    run_id: str
    candidate: Mapping[str, Any]
    report: Mapping[str, Any]
    verdict: Mapping[str, Any]
    lineage: str
    rewards: Mapping[str, float] = field(default_factory=dict)
    pictures: Sequence[str] = ()
    training: str | None = None
    curves: Sequence[Point] = ()


def tags(s: Submission) -> dict[str, str]:
    """The tags of its version and of its MLflow run."""
    told = {
        "turn": s.turn,
        "run_id": s.run_id,
        "verdict": s.verdict["decision"],
        "base_version": s.candidate["base"]["version"],
        "base_model_version": s.candidate["base"]["model_version"],
        "lineage": s.lineage,
        **{name: s.candidate[name] for name in ("model_version", "architecture", "parameters", "dtype")},
    }
    return {f"tao.{name}": str(value) for name, value in told.items()}


def parameters(candidate: Mapping[str, Any]) -> dict[str, str]:
    """What the candidate was trained with."""
    named = {name: candidate.get(name) for name in ("method", "seed", "rows")}
    named["base_version"] = candidate["base"]["version"]
    named |= candidate.get("hyperparameters") or {}
    return {name: str(value) for name, value in named.items() if value is not None}


def log_documents(client: Any, run_id: str, s: Submission) -> None:
    """Log what may change when a stage of the same run is done again."""
    for name, number in _metrics(s).items():
        client.log_metric(run_id, name, number)
    PointLog(run_id).send(client, s.curves)
    client.log_dict(run_id, dict(s.report), "report.json")
    client.log_dict(run_id, dict(s.verdict), "verdict.json")
    for path in s.pictures:
        client.log_artifact(run_id, path, PICTURES)


def description(s: Submission) -> str:
    """One sentence on where the version comes from."""
    return f"Turn {s.turn}, run {s.run_id}: {s.verdict['decision']}."


def _metrics(s: Submission) -> dict[str, float]:
    found = {**(s.candidate.get("metrics") or {}), **s.rewards}
    for benchmark in s.report.get("benchmarks", []):
        for name in ("champion", "control", "candidate", "delta", "p_value"):
            found[f"{benchmark['name']}.{name}"] = benchmark.get(name)
    return {k: float(v) for k, v in found.items() if isinstance(v, (int, float)) and math.isfinite(v)}
