"""A whole turn without Airflow: each stage a process of its own, in order, shards one after the other."""

import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tao_ops import lease
from tao_ops.errors import TaoError
from tao_ops.launch.process import Outcome, Process
from tao_ops.launch.stage import stage_command, stage_environment
from tao_ops.stages import SHARDED, Run, Stage

LIMIT_S = 6 * 3600.0
"""A stage that takes longer is ended."""


class StageFailed(TaoError):
    """A stage's process ended with an error, which it has printed itself."""


def run_turn(run: Run, python: str = sys.executable, overrides: Sequence[str] = ()) -> None:
    """Run the eight stages; the turn is held from the first to the last.

    Args:
        run: its flywheel was read with ``overrides``.
        python: the interpreter of the stages.
        overrides: changes to the YAML for this run, handed to each stage.

    Raises:
        LeaseHeld: another run holds the turn; nothing was started.
        StageFailed: a stage failed; the stages after it were not started.
    """
    with lease.hold(run.database_url, run.turn, run.run_id, "turn", keep_between=False):
        shards = 1
        for stage in Stage:
            for shard in range(shards if stage in SHARDED else 1):
                report = _run_stage(stage, replace(run, shard=shard), python, overrides)
                if stage is Stage.VALIDATE:
                    shards = int(report["metrics"]["shards"])


def _run_stage(stage: Stage, run: Run, python: str, overrides: Sequence[str]) -> dict[str, Any]:
    shard = run.shard if stage in SHARDED else None
    with tempfile.TemporaryDirectory(prefix="tao-") as scratch:
        report = Path(scratch) / "report.json"
        name, key = run.turn.flywheel, run.turn.key
        how: dict[str, Any] = {"shard": shard, "report": report, "overrides": overrides, "python": python}
        command = stage_command(stage.value, name, key, run.run_id, **how)
        outcome = Process(command, env=stage_environment(run.database_url)).follow(run.say, limit_s=LIMIT_S)
        if outcome.code != 0 or outcome.timed_out:
            why = _why(outcome)
            said = outcome.last("error: ")
            raise StageFailed(
                f"stage {stage.value} {why}" + (f": {said.removeprefix('error: ')}" if said else ""),
                where=run.turn.key,
                mend=None if said else "its output above says more; run the turn again",
            )
        loaded: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
        return loaded


def _why(outcome: Outcome) -> str:
    if outcome.timed_out:
        return f"was ended after {LIMIT_S / 3600:.0f} hours, its limit"
    if outcome.signal_name:
        return f"was killed by {outcome.signal_name}"
    return f"ended with {outcome.code}"
