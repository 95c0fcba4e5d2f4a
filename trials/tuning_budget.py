"""Quality after the update against what exploration may spend, on the example: the curve that TAO's authors show.

A cell is one seed and one budget: the first turn of the example with ``generate.budget``, from the base model, without
Airflow. All budgets of a seed share a home: the same logs, prompts and scores of the champion.
"""

import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from tao_ops.config import load_flywheel
from tao_ops.example.logs import write_logs
from tao_ops.lake import Lake
from tao_ops.launch.stage import stage_command
from tao_ops.local.environment import empty_home
from tao_ops.settings import PROJECT, Settings
from tao_ops.stages import Stage
from trials.record import Cells

SEEDS = (1, 2, 3)
TOKENS = (2_500, 6_000, 15_000, 40_000)
LIMIT_S = 2400
PICTURE = PROJECT / "docs" / "images" / "tuning-budget.png"


def run() -> bool:
    """Measure the cells that this commit lacks; true where the largest budget does better than the smallest."""
    cells = Cells("tuning_budget")
    for seed in SEEDS:
        missing = [tokens for tokens in TOKENS if not cells.known(seed, _key(seed, tokens))]
        if missing:
            with tempfile.TemporaryDirectory(prefix="tao-budget-") as scratch:
                home = _Home(Path(scratch), seed)
                for tokens in missing:
                    cells.keep(seed, home.turn(tokens), _outcome, _key(seed, tokens))
                    print(f"seed {seed}, {tokens} tokens: {json.dumps(cells.cells[_key(seed, tokens)])}", flush=True)
    _plot(list(cells.cells.values()))
    print(f"tuning_budget: {_outcome(cells.cells)}")
    return _mean(cells.cells, max(TOKENS)) > _mean(cells.cells, min(TOKENS))


def _key(seed: int, tokens: int) -> str:
    return f"{seed}-{tokens}"


class _Home:
    """A home of its own with the example's logs of the last day, taken in and validated."""

    def __init__(self, scratch: Path, seed: int) -> None:
        settings = Settings.from_env()
        self._include = scratch / "include"
        shutil.copytree(settings.include, self._include)
        self._change(seed=seed)
        self._env = empty_home(scratch / "home") | {
            "TAO_INCLUDE": str(self._include),
            "TAO_LAKE": str(scratch / "lake"),
            "TAO_HASH_KEY": "a key for this trial",
        }
        flywheel = load_flywheel("tickets", settings)
        folder = scratch / "home" / "logs" / "tickets"
        logs = write_logs(folder, seed=seed, today=datetime.now(UTC).date(), system_prompt=flywheel.prompt("tickets"))
        self._day, self._lake = logs[-1].name[:10], Lake(str(scratch / "lake"))
        for stage in (Stage.INGEST, Stage.VALIDATE):
            self._run(stage, "all")

    def turn(self, tokens: int) -> dict[str, Any]:
        """Explore within the budget, train, and score on the benchmark."""
        self._change(tokens=tokens)
        run_id = f"tokens-{tokens}"
        seconds, reports = {}, {}
        for stage in (Stage.GENERATE, Stage.SCORE, Stage.UPDATE, Stage.EVALUATE):
            started = time.monotonic()
            reports[stage] = self._run(stage, run_id)
            seconds[stage.value] = round(time.monotonic() - started, 1)
        found = reports[Stage.GENERATE]["metrics"]
        return {
            "budget": tokens,
            "tokens": reports[Stage.GENERATE]["tokens"],
            "settled": found["settled"],
            "rows": reports[Stage.UPDATE]["rows_out"],
            "benchmark": reports[Stage.EVALUATE]["metrics"]["benchmarks"][0],
            "yields": found["yields"],
            "seconds": seconds,
        }

    def _run(self, stage: Stage, run_id: str) -> dict[str, Any]:
        with tempfile.TemporaryDirectory(prefix="tao-report-") as folder:
            report = Path(folder) / "report.json"
            command = stage_command(stage.value, "tickets", self._day, run_id, report=report, python=sys.executable)
            subprocess.run(command, env=self._env, cwd=PROJECT, timeout=LIMIT_S, check=True)
            told: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
        return told

    def _change(self, *, seed: int | None = None, tokens: int | None = None) -> None:
        path = self._include / "flywheels" / "tickets.yaml"
        told = yaml.safe_load(path.read_text(encoding="utf-8"))
        if seed is not None:
            told["seed"] = seed
        if tokens is not None:
            told["generate"] = {**told["generate"], "budget": {"tokens": tokens}}
            told["update"]["min_rows"] = 1
        path.write_text(yaml.safe_dump(told), encoding="utf-8")


def _mean(cells: Mapping[str, dict[str, Any]], tokens: int) -> float:
    scores = [cell["benchmark"]["candidate"] for cell in cells.values() if cell["budget"] == tokens]
    return sum(scores) / len(scores) if scores else 0.0


def _outcome(cells: dict[str, dict[str, Any]]) -> str:
    budgets = sorted({cell["budget"] for cell in cells.values()})
    told = ", ".join(f"{100 * _mean(cells, tokens):.1f} % at {tokens:,} tokens" for tokens in budgets)
    seeds = len({cell["seed"] for cell in cells.values()})
    return f"exact match after the update, mean of {seeds} seed(s): {told}"


def _plot(cells: Sequence[dict[str, Any]]) -> None:
    """One line per seed with 95 % intervals, and the control, as the docs show them."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7.2, 3.8), layout="constrained")
    for seed, color in zip(sorted({cell["seed"] for cell in cells}), ("#1f6f43", "#6b8fb5", "#b5762f"), strict=False):
        mine = sorted((c for c in cells if c["seed"] == seed), key=lambda c: c["budget"])
        lines = [cell["benchmark"] for cell in mine]
        scores = [100 * line["candidate"] for line in lines]
        bars = [[100 * (line["candidate"] - line["candidate_low"]) for line in lines]]
        bars += [[100 * (line["candidate_high"] - line["candidate"]) for line in lines]]
        axes.errorbar(
            [c["tokens"] for c in mine], scores, yerr=bars, color=color, marker="o", capsize=3, label=f"seed {seed}"
        )
    control = cells[0]["benchmark"]["control"]
    if control is not None:
        axes.axhline(100 * control, color="#888", linestyle="--", linewidth=1)
        axes.annotate(
            "untuned model, worked examples in its prompt",
            (1.0, 100 * control),
            xycoords=("axes fraction", "data"),
            ha="right",
            va="bottom",
            color="#666",
            fontsize=9,
        )
    n = cells[0]["benchmark"]["n"]
    axes.set_xscale("log")
    ticks = sorted({cell["budget"] for cell in cells})
    axes.set_xticks(ticks, [f"{t:,}" for t in ticks])
    axes.minorticks_off()
    axes.set_xlabel("tokens that exploration spent in the turn")
    axes.set_ylabel(f"exact match after the update,\n% of {n} held-out items")
    axes.set_ylim(0, 100)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="upper left")
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(PICTURE, dpi=150)
