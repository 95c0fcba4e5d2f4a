"""What the rows of the table ``turns`` tell of one turn: its line, and its points of the series over turns."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tao_ops.stages import SHARDED, Stage
from tao_ops.views.records import (
    BenchmarkPoint,
    CalibrationPoint,
    CostPoint,
    Estimate,
    RewardPoint,
    TurnLine,
    TurnStatus,
    VolumePoint,
)

Row = Mapping[str, Any]


@dataclass(frozen=True)
class BenchmarkLine:
    """A point of a benchmark's series, with what the series is of."""

    name: str
    metric: str
    primary: bool
    point: BenchmarkPoint


@dataclass(frozen=True)
class Figures:
    """One turn in the lists and series over turns.

    Attributes:
        model_version: the candidate's.
    """

    line: TurnLine
    benchmarks: tuple[BenchmarkLine, ...]
    reward: RewardPoint | None
    calibration: Mapping[str, CalibrationPoint]
    volume: VolumePoint
    cost: CostPoint | None
    model_version: str | None


@dataclass(frozen=True)
class Told:
    """The newest run of a turn, as its stages have recorded it.

    Attributes:
        rows: of that run, each with its metrics as plain values, by stage in the shards' order.
        earlier: rows of runs before it, of stages or shards that it has not recorded.
    """

    turn: str
    run_id: str
    finished_at: datetime
    rows: Mapping[str, Sequence[Row]]
    earlier: Mapping[str, Sequence[Row]]

    @property
    def shards(self) -> int | None:
        """How many shards the prompts were split into; None where ``validate`` has not told."""
        return self.metrics(Stage.VALIDATE).get("shards")

    @property
    def complete(self) -> list[Stage]:
        """The stages that are recorded with all of their shards."""
        return [stage for stage in Stage if len(self.rows.get(stage, ())) >= (self.of_shards(stage) or 1)]

    @property
    def decision(self) -> str | None:
        """What the gate decided; ``register`` decides again where the champion has moved meanwhile."""
        return self.metrics(Stage.REGISTER).get("decision") or self.metrics(Stage.GATE).get("decision")

    def of_shards(self, stage: Stage) -> int | None:
        """How many shards a stage has; None where that is not known."""
        return self.shards if stage in SHARDED else 1

    def metrics(self, stage: Stage) -> Mapping[str, Any]:
        """What a stage of no shards has told; nothing where it is not recorded."""
        rows = self.rows.get(stage, ())
        return rows[0]["metrics"] if rows else {}

    def total(self, stage: Stage, column: str) -> int | None:
        """A column's sum over a stage's shards; None where the stage is not recorded, or its shards are not all."""
        return int(sum(row[column] for row in self.rows[stage])) if stage in self.complete else None


def told(turn: str, rows: Iterable[Row]) -> Told:
    """What a turn's rows tell; there is one at least, with its metrics as JSON."""
    every = sorted(rows, key=lambda row: (str(row["stage"]), int(row["shard"])))
    newest = max(every, key=lambda row: row["finished_at"])
    mine: dict[str, list[Row]] = {}
    earlier: dict[str, list[Row]] = {}
    for row in every:
        into = mine if row["run_id"] == newest["run_id"] else earlier
        into.setdefault(row["stage"], []).append({**row, "metrics": json.loads(row["metrics"])})
    return Told(turn, newest["run_id"], newest["finished_at"], mine, earlier)


def figures(turn: str, rows: Iterable[Row]) -> Figures:
    """One turn's figures."""
    one = told(turn, rows)
    return Figures(
        line=_line(one),
        benchmarks=_benchmarks(one),
        reward=_reward(one),
        calibration=_calibration(one),
        volume=VolumePoint(
            turn,
            rows=one.total(Stage.INGEST, "rows_in"),
            queries=one.total(Stage.INGEST, "rows_out"),
            prompts=one.total(Stage.VALIDATE, "rows_out"),
            quarantined=_quarantined(one),
        ),
        cost=_cost(one),
        model_version=one.metrics(Stage.UPDATE).get("candidate"),
    )


def only_quarantine(turn: str, run_id: str, reasons: Mapping[str, int]) -> Figures:
    """The figures of a turn of which no stage is recorded, but rows are in quarantine."""
    line = TurnLine(turn, run_id, TurnStatus.NOTHING_IN, 0, len(Stage), None, None, None, None, None)
    # None of its rows is a query: all that were read are in quarantine.
    volume = VolumePoint(turn, rows=sum(reasons.values()), queries=0, prompts=None, quarantined=reasons)
    return Figures(line, (), None, {}, volume, None, None)


def estimate(line: Mapping[str, Any], name: str, low: str, high: str) -> Estimate | None:
    """A figure of a line with its interval; None where the line has none."""
    return None if line.get(name) is None else Estimate(line[name], line.get(low), line.get(high))


def of_arm(line: Mapping[str, Any], arm: str) -> Estimate | None:
    """An arm's mean score on a benchmark."""
    return estimate(line, arm, f"{arm}_low", f"{arm}_high")


def of_report(report: Mapping[str, Any], name: str) -> Estimate | None:
    """A figure of a calibration's report."""
    found = report.get(name)
    return None if found is None else Estimate(found["value"], found["low"], found["high"])


def calibrations(one: Told, task: str) -> list[tuple[list[int], Mapping[str, Any]]]:
    """What made a task's rewards: what several shards share comes once, with their numbers."""
    found: list[tuple[list[int], Mapping[str, Any]]] = []
    for row in one.rows.get(Stage.SCORE, ()):
        told_of = row["metrics"].get("calibration", {}).get(task)
        if told_of is None:
            continue
        # How far it moved its own shard's probabilities is no other calibrator.
        mine = {name: value for name, value in told_of.items() if name != "moved"}
        shards = next((shards for shards, other in found if other == mine), None)
        if shards is None:
            found.append(([row["shard"]], mine))
        else:
            shards.append(row["shard"])
    return found


def tasks_scored(one: Told) -> list[str]:
    """The tasks that ``score`` has told of, in its order."""
    rows = one.rows.get(Stage.SCORE, ())
    return list(dict.fromkeys(task for row in rows for task in row["metrics"].get("calibration", {})))


def _line(one: Told) -> TurnLine:
    gate, decision, stages = one.metrics(Stage.GATE), one.decision, len(one.complete)
    return TurnLine(
        turn=one.turn,
        run_id=one.run_id,
        status=TurnStatus.DONE if stages == len(Stage) else TurnStatus.PARTIAL,
        stages=stages,
        of_stages=len(Stage),
        finished_at=one.finished_at,
        decision=decision,
        reason=next(iter(gate.get("reasons", ())), None) if gate.get("decision") == decision else None,
        version=one.metrics(Stage.REGISTER).get("version"),
        approval=gate.get("approval"),
    )


def _benchmarks(one: Told) -> tuple[BenchmarkLine, ...]:
    version = one.metrics(Stage.REGISTER).get("version")
    promoted = one.decision == "promote"
    found = []
    for line in one.metrics(Stage.EVALUATE).get("benchmarks", ()):
        if (score := of_arm(line, "candidate")) is not None:
            point = BenchmarkPoint(
                turn=one.turn,
                n=line["n"],
                score=score,
                champion=of_arm(line, "champion"),
                control=of_arm(line, "control"),
                delta=estimate(line, "delta", "ci_low", "ci_high"),
                p_value=line.get("p_value"),
                promoted=promoted,
                became_champion=False,
                version=version,
            )
            found.append(BenchmarkLine(line["name"], line["metric"], bool(line.get("primary")), point))
    return tuple(found)


def _reward(one: Told) -> RewardPoint | None:
    """The mean over all shards; None where one has not told its own, or no response has a reward."""
    if Stage.SCORE not in one.complete:
        return None
    shards = [
        (row["metrics"].get("mean_reward"), row["rows_out"] - row["metrics"].get("without_reward", 0))
        for row in one.rows[Stage.SCORE]
    ]
    known = [(mean, n) for mean, n in shards if mean is not None and n > 0]
    n = sum(n for _, n in known)
    return RewardPoint(one.turn, sum(mean * n for mean, n in known) / n, n) if n else None


def _calibration(one: Told) -> dict[str, CalibrationPoint]:
    found = {}
    for task in tasks_scored(one):
        reports = [(len(shards), told["report"]) for shards, told in calibrations(one, task) if told["report"]]
        weights = [times * report["n"] for times, report in reports]
        if not sum(weights):
            continue
        found[task] = CalibrationPoint(
            turn=one.turn,
            labels=round(sum(weights) / sum(times for times, _ in reports)),
            ece=_mean_estimate([of_report(report, "ece") for _, report in reports], weights),
            ece_by_chance=_mean([report.get("ece_by_chance") for _, report in reports], weights),
            brier=_mean_estimate([of_report(report, "brier") for _, report in reports], weights),
        )
    return found


def _mean(values: Sequence[float | None], weights: Sequence[float]) -> float | None:
    known = [(value, weight) for value, weight in zip(values, weights, strict=True) if value is not None]
    whole = sum(weight for _, weight in known)
    return sum(value * weight for value, weight in known) / whole if whole else None


def _mean_estimate(found: Sequence[Estimate | None], weights: Sequence[float]) -> Estimate | None:
    value = _mean([None if one is None else one.value for one in found], weights)
    if value is None:
        return None
    low = _mean([None if one is None else one.low for one in found], weights)
    return Estimate(value, low, _mean([None if one is None else one.high for one in found], weights))


def _quarantined(one: Told) -> dict[str, int] | None:
    told = [one.metrics(stage).get("quarantine") for stage in (Stage.INGEST, Stage.VALIDATE)]
    known = [reasons for reasons in told if reasons is not None]
    if not known:
        return None
    counted: Counter[str] = Counter()
    for reasons in known:
        counted.update(reasons)
    return dict(counted.most_common())


def _cost(one: Told) -> CostPoint:
    every = [row for rows in one.rows.values() for row in rows]
    return CostPoint(one.turn, sum(row["tokens"] for row in every), sum(row["seconds"] for row in every) / 60)
