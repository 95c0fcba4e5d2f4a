"""``turn``: seconds per stage of the example's turn through Airflow, beside the same turn by ``tao turn``.

Both start from an empty home each time, in turn. ``TAO_BENCH_REPEATS`` (default 3) says how often; a repeat takes
about a quarter of an hour on two cores.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.report import Row, median, write
from tao_ops.config import load_flywheel
from tao_ops.example.logs import write_logs
from tao_ops.local.environment import empty_home
from tao_ops.settings import PROJECT, Settings

GOAL_S = 900.0
_TAO = [sys.executable, "-m", "tao_ops.cli"]
_LIMIT_S = 2700


def run() -> None:
    """Measure both, in turn, and write the result."""
    repeats = int(os.environ.get("TAO_BENCH_REPEATS") or 3)
    airflow, plain = [], []
    for _ in range(repeats):
        airflow.append(_measure(["local", "flywheel", "tickets"]))
        plain.append(_measure(["turn", "tickets"]))
    rows = []
    for figure in airflow[0]:
        ours, peer = median([m[figure] for m in airflow]), median([m[figure] for m in plain])
        ratio = median([a[figure] / p[figure] for a, p in zip(airflow, plain, strict=True)]) if peer else None
        goal, met = (f"at most {GOAL_S:.0f}", ours <= GOAL_S) if figure == "turn" else (None, None)
        rows.append(Row(figure, "s", ours, peer, "tao turn, without Airflow", ratio, goal, met))
    write("turn", rows, repeats)


def _measure(arguments: list[str]) -> dict[str, float]:
    """Seconds of each stage, of the whole turn, and of what was no stage's (start and stop of services included)."""
    settings = Settings.from_env()
    with tempfile.TemporaryDirectory(prefix="tao-bench-") as home:
        env = empty_home(Path(home)) | {"TAO_HASH_KEY": "a key for this benchmark"}
        flywheel = load_flywheel("tickets", settings)
        write_logs(
            Path(home) / "logs" / "tickets",
            seed=flywheel.seed,
            today=datetime.now(UTC).date(),
            system_prompt=flywheel.prompt("tickets"),
        )
        started = time.monotonic()
        ended = subprocess.run(
            [*_TAO, *arguments], env=env, cwd=PROJECT, timeout=_LIMIT_S, stdout=subprocess.DEVNULL, check=False
        )
        wall = time.monotonic() - started
        if ended.returncode not in (0, 3):
            raise SystemExit(f"error: tao {' '.join(arguments)} ended with {ended.returncode}")
        shown = _shown(env)
    stages = {name: float(stage["seconds"]) for name, stage in shown["stages"].items()}
    return {**stages, "no stage's": wall - sum(stages.values()), "turn": wall}


def _shown(env: dict[str, str]) -> dict[str, Any]:
    listed = subprocess.check_output([*_TAO, "turn", "list", "tickets", "--json"], env=env, cwd=PROJECT)
    turn = json.loads(listed)[-1]["turn"]
    told = subprocess.check_output([*_TAO, "turn", "show", "tickets", "--turn", turn, "--json"], env=env, cwd=PROJECT)
    shown: dict[str, Any] = json.loads(told)
    return shown
