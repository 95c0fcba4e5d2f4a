"""A turn's rewards by task: how they spread, and how far they can be trusted."""

from collections.abc import Mapping
from typing import Any

from tao_ops.lake import Lake
from tao_ops.scoring.labels import is_logged
from tao_ops.tables import PROMPTS, REWARDS
from tao_ops.views.figures import Told, calibrations, of_report, tasks_scored
from tao_ops.views.records import Estimate, Reliability, ReliabilityBin, RewardHistogram

BINS = 20


def histograms(lake: Lake, flywheel: str, one: Told) -> tuple[RewardHistogram, ...]:
    """How the rewards of the newest run spread, by task; none where it has not scored."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    where: dict[str, Any] = {"flywheel": flywheel, "turn": one.turn}
    found = lake.read(REWARDS, columns=["response_id", "query_id", "reward"], run_id=one.run_id, **where)
    # A production response is scored beside the turn's own, and is none of them.
    found = found.filter(pa.array([not is_logged(each) for each in found["response_id"].to_pylist()], pa.bool_()))
    prompts = lake.read(PROMPTS, columns=["query_id", "task"], **where)
    at = pc.index_in(found["query_id"], value_set=prompts["query_id"].combine_chunks())
    tasks = np.asarray(prompts["task"].take(at).to_pylist(), dtype=object)
    rewards = found["reward"].to_numpy()
    edges = np.linspace(0.0, 1.0, BINS + 1)
    shown = []
    for task in sorted({task for task in tasks if task is not None}):
        mine = rewards[tasks == task]
        known = mine[~np.isnan(mine)]
        counts = np.histogram(known, bins=edges)[0]
        mean = float(known.mean()) if known.size else None
        told = (tuple(edges.tolist()), tuple(counts.tolist()), int(known.size), int(mine.size - known.size), mean)
        shown.append(RewardHistogram(task, *told))
    return tuple(shown)


def reliability(one: Told) -> tuple[Reliability, ...]:
    """What was promised beside what came true, on the labels that there were; by task and calibrator."""
    return tuple(
        _reliability(task, tuple(shards), made)
        for task in tasks_scored(one)
        for shards, made in calibrations(one, task)
    )


def _reliability(task: str, shards: tuple[int, ...], made: Mapping[str, Any]) -> Reliability:
    report = made.get("report") or {}
    return Reliability(
        task=task,
        shards=shards,
        calibrated=made.get("calibrator") is not None,
        reason=made["reason"],
        n=report.get("n", 0),
        labels=report.get("labels", {}),
        base_rate=report.get("base_rate"),
        auroc=of_report(report, "auroc"),
        brier=of_report(report, "brier"),
        ece=of_report(report, "ece"),
        ece_by_chance=report.get("ece_by_chance"),
        bins=tuple(
            ReliabilityBin(each["mean"], Estimate(each["right"], each["low"], each["high"]), each["n"])
            for each in report.get("bins", ())
        ),
    )
