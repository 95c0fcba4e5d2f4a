"""The table ``turns``: what each stage of each turn did, read back as ``tao turn show`` prints it."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from tao_ops.errors import MissingInput
from tao_ops.exploration import Yield, Yields, merged, told
from tao_ops.lake import Lake
from tao_ops.lineage import code_version
from tao_ops.records import StageReport
from tao_ops.scoring import summary
from tao_ops.stages import SHARDED, Run, Stage
from tao_ops.tables import TURNS
from tao_ops.turn import Turn
from tao_ops.updating import summary as training

DONE = "done"
_NO_SHARD = 0
_VERDICT = ("decision", "reasons", "findings", "test", "level", "approval")


def record(run: Run, report: StageReport) -> None:
    """Write what a stage did, in place of what it did before in this turn."""
    row = {
        "status": DONE,
        "inputs": list(report.inputs.items()),
        "output_version": report.output_version,
        "rows_in": report.rows_in,
        "rows_out": report.rows_out,
        "config_digest": run.flywheel.digest,
        "code_version": code_version(),
        "seconds": report.seconds,
        "tokens": report.tokens,
        "metrics": json.dumps(report.metrics),
        "finished_at": datetime.now(UTC),
    }
    run.lake.write(TURNS, [row], turn=run.turn, run_id=run.run_id, stage=report.stage, shard=run.shard)


def finished(run: Run, stage: Stage) -> dict[str, Any] | None:
    """What this run recorded of a shard, where nothing before it has been done again since."""
    before = (Stage.VALIDATE, _NO_SHARD) if stage is Stage.GENERATE else (Stage.GENERATE, run.shard)
    rows = {(r["stage"], r["shard"]): r for r in _rows(run.lake, run.turn)}
    mine, source = rows.get((stage.value, run.shard)), rows.get((before[0].value, before[1]))
    if mine is None or source is None:
        return None
    same = mine["run_id"] == source["run_id"] == run.run_id and mine["config_digest"] == run.flywheel.digest
    return mine if same and source["finished_at"] <= mine["finished_at"] else None


def newest_run_id(lake: Lake, turn: Turn) -> str | None:
    """The run that took a turn's queries last, or None where none did."""
    ingested = [row for row in _rows(lake, turn) if row["stage"] == Stage.INGEST]
    return str(ingested[0]["run_id"]) if ingested else None


def list_turns(lake: Lake, flywheel: str) -> list[dict[str, Any]]:
    """One summary per turn, oldest first."""
    rows = lake.read(TURNS, flywheel=flywheel).to_pylist()
    keys = sorted({str(row["turn"]) for row in rows})
    return [_summary(key, [row for row in rows if row["turn"] == key]) for key in keys]


def show(lake: Lake, turn: Turn) -> dict[str, Any]:
    """One turn as ``tao turn show --json`` prints it; shards of a stage are added up."""
    rows = _rows(lake, turn)
    stages = {
        stage.value: _merged([row for row in rows if row["stage"] == stage], stage)
        for stage in Stage
        if any(row["stage"] == stage for row in rows)
    }
    current = _current(stages, rows)
    verdict = current.get("gate")
    release = current.get("register")
    return {
        "flywheel": turn.flywheel,
        "turn": turn.key,
        "stages": stages,
        "exploration": told(_exploration(rows)),
        "rewards": summary.told([row for row in rows if row["stage"] == Stage.SCORE]),
        "update": training.told(current.get("update", {})),
        "report": {"benchmarks": current.get("evaluate", {}).get("benchmarks", [])},
        "verdict": {key: verdict.get(key) for key in _VERDICT} if verdict else None,
        "release": {key: release[key] for key in ("model", "version", "alias")} if release else None,
    }


def exploration(lake: Lake, turn: Turn) -> Yields:
    """What each task's strategies cost and found in a turn, over all its shards.

    Raises:
        MissingInput: ``generate`` has not run.
    """
    found = _exploration(_rows(lake, turn))
    if not found:
        raise MissingInput("nothing was explored in this turn", where=turn.key, mend="run generate first")
    return found


def _exploration(rows: Sequence[dict[str, Any]]) -> dict[str, dict[str, Yield]]:
    return merged([json.loads(row["metrics"]).get("yields", {}) for row in rows if row["stage"] == Stage.GENERATE])


def _current(stages: dict[str, Any], rows: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The metrics of the stages that the newest run has finished: a verdict of the run before it is not news."""
    newest = max(rows, key=lambda row: row["finished_at"], default=None)
    if newest is None:
        return {}
    return {name: stages[name]["metrics"] for name in stages if _run_of(rows, name) == newest["run_id"]}


def _run_of(rows: Sequence[dict[str, Any]], stage: str) -> str:
    return str(next(row["run_id"] for row in rows if row["stage"] == stage))


def _rows(lake: Lake, turn: Turn) -> list[dict[str, Any]]:
    rows = lake.read(TURNS, flywheel=turn.flywheel, turn=turn.key).to_pylist()
    return sorted(rows, key=lambda row: (str(row["stage"]), int(row["shard"])))


def _merged(rows: Sequence[dict[str, Any]], stage: Stage) -> dict[str, Any]:
    metrics: Any = [json.loads(row["metrics"]) for row in rows]
    many = stage in SHARDED and len(rows) > 1
    return {
        "rows_in": sum(row["rows_in"] for row in rows),
        "rows_out": sum(row["rows_out"] for row in rows),
        "seconds": round(sum(row["seconds"] for row in rows), 1),
        "metrics": {"shards": metrics} if many else metrics[0],
    }


def _summary(key: str, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    newest = max(rows, key=lambda row: row["finished_at"])
    metrics = {row["stage"]: json.loads(row["metrics"]) for row in rows if row["run_id"] == newest["run_id"]}
    return {
        "turn": key,
        "run_id": newest["run_id"],
        "stages": len({row["stage"] for row in rows if row["run_id"] == newest["run_id"]}),
        "finished_at": f"{newest['finished_at']:%Y-%m-%dT%H:%M:%SZ}",
        "decision": metrics.get(Stage.GATE.value, {}).get("decision"),
        "version": metrics.get(Stage.REGISTER.value, {}).get("version"),
    }
