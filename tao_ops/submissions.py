"""A candidate on its way into the registry, what MLflow is told of it, and what that is when it is read back."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tao_ops.mlflow_points import Point, PointLog

PICTURES = "pictures"
"""Where a run's pictures are among its artifacts."""
MODEL_VERSION = "tao.model_version"
"""The tag of what a candidate is, byte for byte."""
CARD = "README.md"
"""The model card, in the model's folder."""


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


@dataclass(frozen=True)
class Registered:
    """A version as MLflow has it; what a tag that was removed would have told is None.

    Attributes:
        verdict: the gate's decision.
        base_version: the version that its training began at.
        benchmark: the primary one.
        score: the candidate's, there.
        delta: ``score`` minus that of the champion that it was judged against.
        at: when it was registered.
        expired: whether its weights were deleted.
    """

    version: int
    path: str
    at: datetime
    turn: str | None
    run_id: str | None
    verdict: str | None
    model_version: str | None
    base_version: int | None
    method: str | None
    benchmark: str | None
    score: float | None
    delta: float | None
    expired: bool

    @classmethod
    def of(cls, found: Any) -> "Registered":
        """MLflow's own record of a version."""
        told: Mapping[str, str] = {k.removeprefix("tao."): v for k, v in found.tags.items() if k.startswith("tao.")}
        names = ("turn", "run_id", "verdict", "model_version", "method", "benchmark")
        return cls(
            version=int(found.version),
            path=found.source.removeprefix("file://"),
            at=datetime.fromtimestamp(found.creation_timestamp / 1000, UTC),
            base_version=int(told["base_version"]) if "base_version" in told else None,
            score=float(told["score"]) if "score" in told else None,
            delta=float(told["delta"]) if "delta" in told else None,
            expired=told.get("expired") == "true",
            **{name: told.get(name) for name in names},
        )

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {**asdict(self), "at": self.at.isoformat(timespec="seconds")}


def tags(s: Submission) -> dict[str, str]:
    """The tags of its version and of its MLflow run."""
    primary: Mapping[str, Any] = next((one for one in _judged(s) if one.get("primary")), {})
    figures = {
        "method": s.candidate.get("method"),
        "benchmark": primary.get("name"),
        "score": primary.get("candidate"),
        "delta": primary.get("delta"),
    }
    told = {
        **{name: value for name, value in figures.items() if value is not None},
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
    card = Path(s.candidate["path"]) / CARD
    if card.is_file():
        client.log_artifact(run_id, str(card))


def description(s: Submission) -> str:
    """One sentence on where the version comes from."""
    return f"Turn {s.turn}, run {s.run_id}: {s.verdict['decision']}."


def _judged(s: Submission) -> list[Mapping[str, Any]]:
    """The report's lines, with the difference that the verdict rests on: it may be to a later champion."""
    found = {one["benchmark"]: one for one in s.verdict.get("findings", []) if not one["slice"]}
    moved = _champion(s.verdict) != _champion(s.report)
    lines: list[Mapping[str, Any]] = []
    for line in s.report.get("benchmarks", []):
        told = dict(line)
        if (finding := found.get(line["name"])) is not None:
            told |= {"delta": finding["delta"], "p_value": finding["p_value"]}
            if moved and line.get("candidate") is not None:
                told["champion"] = line["candidate"] - finding["delta"]  # both over the same items
        lines.append(told)
    return lines


def _champion(document: Mapping[str, Any]) -> int | None:
    version: int | None = document.get("champion", {}).get("version")
    return version


def _metrics(s: Submission) -> dict[str, float]:
    found = {**(s.candidate.get("metrics") or {}), **s.rewards}
    for benchmark in _judged(s):
        for name in ("champion", "control", "candidate", "delta", "p_value"):
            found[f"{benchmark['name']}.{name}"] = benchmark.get(name)
    return {k: float(v) for k, v in found.items() if isinstance(v, (int, float)) and math.isfinite(v)}
