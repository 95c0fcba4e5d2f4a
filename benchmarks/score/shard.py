"""All that ``score`` does with the example's responses, in a process of its own, as a stage is one."""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from benchmarks.report import RESULTS
from benchmarks.score import data
from tao_ops.config import load_flywheel
from tao_ops.lake import open_lake
from tao_ops.records import Message, Prompt
from tao_ops.scoring.task import Shard, score_task
from tao_ops.settings import PROJECT
from tao_ops.turn import Turn

TASK = "tickets"
_START = datetime(2024, 1, 1, tzinfo=UTC)


def seconds(rows: Sequence[dict[str, Any]]) -> float:
    """How long scorers, calibrator, probes and monitors take, what they import first among it."""
    prompts = {
        row["query_id"]: Prompt(row["query_id"], TASK, (Message(role="user", content=row["query"]),)) for row in rows
    }
    batch, turn = data.candidates(rows), Turn(TASK, _START, _START + timedelta(days=1))
    with tempfile.TemporaryDirectory(prefix="tao-bench-") as lake:
        shard = Shard(open_lake(lake), load_flywheel(TASK), turn, None, 1, lambda _: None)
        started = time.perf_counter()
        score_task(shard, TASK, batch, prompts)
        return time.perf_counter() - started


def fresh() -> float:
    """The same of the whole pool, in a new process."""
    code = "from benchmarks.score import data, shard; print(shard.seconds(data.pool()[0]))"
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, stdout=subprocess.PIPE, text=True, check=True)
    return float(done.stdout.splitlines()[-1])


def tokens_per_second() -> float:
    """What ``generate`` makes of the embedded model here, as its own benchmark measured it."""
    told = json.loads((RESULTS / "generate.json").read_text(encoding="utf-8"))
    return next(float(row["ours"]) for row in told["rows"] if row["unit"] == "tokens/s")
