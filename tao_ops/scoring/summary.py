"""What a turn's rewards are made by and how far they can be trusted, by task, over all its shards.

Each shard's calibrator is fitted by itself, to anchors and earlier turns' labels that all shards share and to a few of
its own: labels of several shards must not be added up.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from tao_ops.lake import Lake
from tao_ops.scoring.labels import is_logged
from tao_ops.tables import PROMPTS, REWARDS, TURNS
from tao_ops.turn import Turn, path_safe

FIGURES = ("auroc", "brier", "ece")
"""How good rewards are on labels: each an estimate with its 95 % interval."""


def told(rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """What ``tao turn show --json`` tells of each task's rewards.

    Args:
        rows: of the table ``turns``, of one turn and stage ``score``, by shard.

    Returns:
        By task: ``shards``, how many there are; ``calibrations``, equal ones of several shards once; ``undecided``, by
        scorer and reason; ``barred``, by scorer the shards whose rewards did without it; ``probes``, how many were
        tried; ``fell_for``, by scorer the kinds of probes; ``monitors`` that are over a limit.
    """
    shards = [(int(row["shard"]), json.loads(row["metrics"])) for row in rows]
    tasks = dict.fromkeys(task for _, metrics in shards for task in metrics.get("calibration", {}))
    return {task: _task(_of_task(shards, task)) for task in tasks}


def figures(lake: Lake, turn: Turn, run_id: str) -> dict[str, float]:
    """What MLflow keeps of a run's rewards: ``reward.<task>.auroc``, ``brier``, ``ece``, ``labels`` and ``mean``.

    Over shards, ``labels`` is the mean, the first three are means weighted by labels, and ``mean`` is over all rewards.
    What is not known is left out.
    """
    where: dict[str, Any] = {"flywheel": turn.flywheel, "turn": turn.key}
    rows = lake.read(TURNS, columns=["shard", "metrics"], stage="score", run_id=run_id, **where).to_pylist()
    means = _means(lake, where, run_id)
    found: dict[str, float] = {}
    for task, one in told(rows).items():
        values = {**_on_labels(one["calibrations"]), "mean": means.get(task)}
        # A task may have any name, a metric may not.
        found |= {f"reward.{path_safe(task)}.{name}": value for name, value in values.items() if value is not None}
    return found


def _of_task(shards: Sequence[tuple[int, Mapping[str, Any]]], task: str) -> list[tuple[int, dict[str, Any]]]:
    names = ("calibration", "undecided", "barred", "probes", "monitors")
    return [
        (shard, {name: metrics.get(name, {}).get(task) or {} for name in names})
        for shard, metrics in shards
        if task in metrics.get("calibration", {})
    ]


def _task(shards: Sequence[tuple[int, Mapping[str, Any]]]) -> dict[str, Any]:
    undecided: dict[str, Counter[str]] = {}
    barred: dict[str, list[int]] = {}
    fell_for: dict[str, dict[str, None]] = {}
    for shard, one in shards:
        for scorer, reasons in one["undecided"].items():
            undecided.setdefault(scorer, Counter()).update(reasons)
        for scorer in one["barred"]:
            barred.setdefault(scorer, []).append(shard)
        for scorer, kind in one["probes"].get("fallen", []):
            fell_for.setdefault(scorer, {})[kind] = None
    return {
        "shards": len(shards),
        "calibrations": _calibrations(shards),
        "undecided": {scorer: dict(reasons.most_common()) for scorer, reasons in undecided.items()},
        "barred": barred,
        "probes": sum(one["probes"].get("probes", 0) for _, one in shards),
        "fell_for": {scorer: list(kinds) for scorer, kinds in fell_for.items()},
        "monitors": _monitors(shards),
    }


def _calibrations(shards: Sequence[tuple[int, Mapping[str, Any]]]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for shard, one in shards:
        mine = _calibration(one["calibration"])
        same = next((other for other in found if {**other, "shards": None} == {**mine, "shards": None}), None)
        if same is None:
            found.append({"shards": [shard], **mine})
        else:
            same["shards"].append(shard)
    return found


def _calibration(told: Mapping[str, Any]) -> dict[str, Any]:
    report = told["report"] or {}
    return {
        "version": told["version"],
        "calibrated": told["calibrator"] is not None,
        "reason": told["reason"],
        "n": report.get("n", 0),
        "labels": report.get("labels", {}),
        "base_rate": report.get("base_rate"),
        **{name: report.get(name) for name in (*FIGURES, "ece_by_chance")},
    }


def _monitors(shards: Sequence[tuple[int, Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """By monitor and level, what the first shard found, and which shards found it too; failures first."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for shard, one in shards:
        for finding in one["monitors"].get("findings", []):
            first = found.setdefault((finding["name"], finding["level"]), {**finding, "shards": []})
            first["shards"].append(shard)
    return sorted(found.values(), key=lambda finding: str(finding["level"]))


def _on_labels(calibrations: Sequence[Mapping[str, Any]]) -> dict[str, float | None]:
    shards = [one for one in calibrations for _ in one["shards"]]
    values: dict[str, float | None] = {"labels": sum(one["n"] for one in shards) / len(shards)}
    for name in FIGURES:
        known = [(one["n"], one[name]["value"]) for one in shards if one[name] is not None]
        labels = sum(n for n, _ in known)
        values[name] = sum(n * value for n, value in known) / labels if labels else None
    return values


def _means(lake: Lake, where: Mapping[str, Any], run_id: str) -> dict[str, float]:
    """The mean reward of each task's responses that have one."""
    prompts = lake.read(PROMPTS, columns=["query_id", "task"], **where).to_pylist()
    tasks = {row["query_id"]: row["task"] for row in prompts}
    columns = ["response_id", "query_id", "reward"]
    sums: dict[str, list[float]] = {}
    for row in lake.read(REWARDS, columns=columns, run_id=run_id, **where).to_pylist():
        task = tasks.get(row["query_id"])
        if task is not None and row["reward"] is not None and not is_logged(row["response_id"]):
            total = sums.setdefault(task, [0.0, 0])
            total[0] += row["reward"]
            total[1] += 1
    return {task: total / n for task, (total, n) in sums.items()}
