"""The example's first turn through Airflow, for seeds 1, 2 and 3, each from an empty home.

A cell holds the scores of champion, control and candidate, the verdict, and the seconds of each stage.
"""

import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tao_ops.local.environment import empty_home
from tao_ops.settings import PROJECT, Settings
from trials.record import Cells

SEEDS = (1, 2, 3)
LIFT = 0.40
"""The candidate must be this far above the champion."""
LIMIT_S = 2400


def run() -> bool:
    """Measure the cells that this commit lacks; true where every seed promotes with the lift."""
    cells = Cells("seeds")
    for seed in SEEDS:
        if not cells.known(seed):
            cells.keep(seed, _first_turn(seed), _outcome)
        print(f"seed {seed}: {json.dumps(cells.cells[str(seed)]['benchmark'])}", flush=True)
    print(f"seeds: {_outcome(cells.cells)}")
    _plot(cells.cells, PROJECT / "docs" / "images" / "result.png")
    return all(_holds(cell) for cell in cells.cells.values()) and len(cells.cells) == len(SEEDS)


def _first_turn(seed: int) -> dict[str, Any]:
    settings = Settings.from_env()
    with tempfile.TemporaryDirectory(prefix="tao-seed-") as scratch:
        include = Path(scratch) / "include"
        shutil.copytree(settings.include, include)
        path = include / "flywheels" / "tickets.yaml"
        path.write_text(re.sub(r"^seed: \d+$", f"seed: {seed}", path.read_text(encoding="utf-8"), flags=re.M))
        env = empty_home(Path(scratch) / "home") | {"TAO_INCLUDE": str(include)}
        started = time.monotonic()
        tao = [sys.executable, "-m", "tao_ops.cli"]
        flywheel = subprocess.run(
            [*tao, "local", "flywheel", "tickets"], env=env, cwd=PROJECT, timeout=LIMIT_S, check=False
        )
        seconds = time.monotonic() - started
        listed = subprocess.check_output([*tao, "turn", "list", "tickets", "--json"], env=env, cwd=PROJECT)
        turn = json.loads(listed)[-1]["turn"]
        shown = json.loads(
            subprocess.check_output([*tao, "turn", "show", "tickets", "--turn", turn, "--json"], env=env, cwd=PROJECT)
        )
    return {
        "exit": flywheel.returncode,
        "benchmark": next(iter(shown["report"]["benchmarks"]), None),
        "verdict": shown["verdict"],
        "release": shown["release"],
        "stage_seconds": {name: stage["seconds"] for name, stage in shown["stages"].items()},
        "wall_seconds": round(seconds, 1),
    }


def _holds(cell: dict[str, Any]) -> bool:
    if not cell["verdict"] or not cell["benchmark"]:
        return False
    return bool(cell["verdict"]["decision"] == "promote" and cell["benchmark"]["delta"] >= LIFT)


def _outcome(cells: dict[str, dict[str, Any]]) -> str:
    held = sum(_holds(cell) for cell in cells.values())
    return f"{held} of {len(cells)} seeds promoted with a lift of at least {LIFT:.0%}"


def _plot(cells: dict[str, dict[str, Any]], path: Path) -> None:
    """The three arms of each seed with their 95 % intervals, as the README shows them."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    cells = {seed: cell for seed, cell in cells.items() if cell["benchmark"]}
    figure, axes = pyplot.subplots(figsize=(7.2, 3.6), layout="constrained")
    arms = {"champion": "#9aa5b1", "control": "#6b8fb5", "candidate": "#1f6f43"}
    labels = {
        "champion": "untuned model",
        "control": "untuned model, four worked examples in its prompt",
        "candidate": "after one turn, without a label, same prompt as the first",
    }
    for i, (arm, color) in enumerate(arms.items()):
        lines = [cell["benchmark"] for _, cell in sorted(cells.items())]
        at = [seed + (i - 1) * 0.27 for seed in range(len(lines))]
        scores = [100 * line[arm] for line in lines]
        low = [100 * (line[arm] - line[f"{arm}_low"]) for line in lines]
        high = [100 * (line[f"{arm}_high"] - line[arm]) for line in lines]
        bars = axes.bar(at, scores, 0.25, yerr=[low, high], color=color, capsize=3, label=labels[arm])
        axes.bar_label(bars, fmt="%.0f", padding=3)
    n = next(iter(cells.values()))["benchmark"]["n"]
    axes.set_xticks(range(len(cells)), [f"seed {seed}" for seed in sorted(cells)])
    axes.set_ylabel(f"exact match, % of {n} held-out items")
    axes.set_ylim(0, 100)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="upper left", frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
