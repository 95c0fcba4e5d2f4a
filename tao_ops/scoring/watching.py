"""Signs that a reward is being gamed, read from a turn's rewards and from those before it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tao_ops.config import MonitorConfig
from tao_ops.lake import Lake
from tao_ops.records import Candidate
from tao_ops.rewards import Scored, monitors
from tao_ops.rewards.calibration import drift
from tao_ops.rewards.monitors import Finding, Judged
from tao_ops.scoring.labels import is_logged, query_ids
from tao_ops.tables import REWARDS, TURNS
from tao_ops.turn import Turn

FEWEST = 100
"""Of fewer responses on either side no drift is told: chance alone moves the index."""


@dataclass(frozen=True)
class Watched:
    """What the monitors measured, and which of them are over their limits."""

    measured: Mapping[str, float | None]
    findings: Sequence[Finding]

    def sentences(self) -> list[str]:
        """The log's lines."""
        return [f"{finding.level}: {finding.sentence}" for finding in self.findings]

    def failures(self) -> list[str]:
        """Why the stage fails; empty where it doesn't."""
        return [finding.sentence for finding in self.findings if finding.level == "fail"]

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as the stage's report holds them."""
        return {"measured": dict(self.measured), "findings": [finding.as_dict() for finding in self.findings]}


def watch(
    lake: Lake,
    turn: Turn,
    task: str,
    config: MonitorConfig,
    candidates: Sequence[Candidate],
    scored: Sequence[Scored],
) -> Watched:
    """Measure a task's rewards, and how its scores differ from those of the turn before."""
    rows = [
        Judged(candidate.query_id, candidate.text, one.answer, one.reward)
        for candidate, one in zip(candidates, scored, strict=True)
    ]
    measured = monitors.measure(rows)
    before, now = _before(lake, turn, task), [one.scores for one in scored]
    if min(len(before), len(now)) >= FEWEST:
        measured |= {f"drift:{name}": value for name, value in drift(before, now).items()}
    return Watched(measured, monitors.judge(measured, config))


def _before(lake: Lake, turn: Turn, task: str) -> list[dict[str, float]]:
    """The scores of the task's responses in the newest turn before this one."""
    have = lake.read(REWARDS, columns=["turn"], flywheel=turn.flywheel).column("turn").unique().to_pylist()
    earlier = max((key for key in have if key < turn.key), default=None)
    if earlier is None:
        return []
    where: dict[str, Any] = {"flywheel": turn.flywheel, "turn": earlier}
    mine = query_ids(lake, task, where)
    rows = lake.read(REWARDS, columns=["response_id", "query_id", "scores"], **where).to_pylist()
    return [dict(row["scores"]) for row in rows if row["query_id"] in mine and not is_logged(row["response_id"])]


def against_benchmark(lake: Lake, turn: Turn, config: MonitorConfig) -> Watched:
    """Whether the reward has risen from turn to turn while the candidates' primary benchmark has not."""
    rows = lake.read(
        TURNS, columns=["turn", "stage", "rows_in", "metrics"], flywheel=turn.flywheel, stage=["score", "evaluate"]
    ).to_pylist()
    keys = sorted({row["turn"] for row in rows if row["turn"] <= turn.key})
    history = [_reward_and_benchmark([row for row in rows if row["turn"] == key]) for key in keys]
    measured = {"reward_without_benchmark": float(monitors.reward_without_benchmark(history))}
    return Watched(measured, monitors.judge(measured, config))


def _reward_and_benchmark(rows: Sequence[Mapping[str, Any]]) -> tuple[float | None, float | None]:
    told = [(row["stage"], row["rows_in"], json.loads(row["metrics"])) for row in rows]
    scored = [(n, metrics["mean_reward"]) for stage, n, metrics in told if stage == "score"]
    scored = [(n, reward) for n, reward in scored if n and reward is not None]
    lines = [line for stage, _, metrics in told if stage == "evaluate" for line in metrics["benchmarks"]]
    primary = next((line["candidate"] for line in lines if line["primary"]), None)
    total = sum(n for n, _ in scored)
    return (sum(n * reward for n, reward in scored) / total if total else None), primary
