"""Exploration: what adaptive, uniform and plain sampling find for the tokens they spend, on labelled tasks.

Every response that a policy may ask for is sampled once from the embedded model and kept in the cache (some twenty
minutes on two cores). Each policy is replayed on these, twenty times, each time in another order. ``uniform`` gives
every strategy the same number of samples of each query; a strategy alone is what who knew it to be the best one would
set; ``plain`` is the production prompt alone. None sees a right answer.
"""

import math
import statistics
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.exploration import picture
from benchmarks.exploration.curves import REPLAYS, Point, only, reached, replay
from benchmarks.exploration.pool import Pool, load
from benchmarks.exploration.tasks import SEED, Labelled, banking77, example
from benchmarks.report import Row, spread, write
from tao_ops import exploration
from tao_ops.config import GenerateConfig
from tao_ops.exploration import Adaptive, Explored, Policy, Uniform
from tao_ops.settings import PROJECT

SAMPLES = (1, 2, 3, 4, 6, 8)
"""Of each strategy and query, under ``uniform``."""
SHARES = (0.03, 0.06, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0)
"""Budgets of ``adaptive``, of the tokens that uniform spends at most."""
QUALITIES = {"reward": "best reward", "found": "a right response (pass@n)", "picked": "the best response is right"}
GOAL = 0.5

Curves = dict[str, list[list[Point]]]
"""By policy, its points from the smallest budget to the largest, each with all its replays."""


def run() -> None:
    """Sample what is missing, replay, and write the table, the points and the picture."""
    rows: list[Row] = []
    drawn: dict[str, Curves] = {}
    with tempfile.TemporaryDirectory(prefix="tao-bench-") as scratch:
        for make in (example, banking77):
            task = make(Path(scratch))
            if task is None:
                print(f"{make.__name__} is left out: its data is not there (TAO_DATA names the folder)")
                continue
            explored = exploration.explored(task.flywheel, task.name, seed=SEED)
            curves = _curves(task, load(task, explored), explored)
            rows += _rows(task, curves)
            drawn[task.name] = curves
    picture.draw(drawn, QUALITIES, PROJECT / "docs" / "images" / "exploration.png")
    write("exploration", rows, REPLAYS, points=_told(drawn))


def _curves(task: Labelled, pool: Pool, explored: Explored) -> Curves:
    def each(ways: Explored, policy: Callable[[int], Policy], tokens: int | None = None) -> list[Point]:
        return [replay(task, pool, ways, policy(seed), seed, tokens)[0] for seed in range(REPLAYS)]

    def uniformly(strategies: Sequence[str] | None, samples: Sequence[int]) -> list[list[Point]]:
        return [each(only(explored, strategies, n), lambda seed: Uniform()) for n in samples]

    uniform = uniformly(None, SAMPLES)
    most = statistics.median(point.tokens for point in uniform[-1])
    adaptive = [
        each(explored, lambda seed: Adaptive(GenerateConfig(), {}, seed), int(share * most)) for share in SHARES
    ]
    return {
        "adaptive": adaptive,
        "uniform": uniform,
        "demonstrations alone": uniformly(["demonstrations"], [*SAMPLES, 12, 16, 24]),
        "structured alone": uniformly(["structured"], SAMPLES),
        "plain": uniformly(["plain"], SAMPLES),
    }


def _rows(task: Labelled, curves: Curves) -> list[Row]:
    """How many of uniform's tokens adaptive needs for uniform's quality at its largest budget, replay by replay."""
    rows = []
    for quality, name in QUALITIES.items():
        goal = statistics.mean(getattr(point, quality) for point in curves["uniform"][-1])
        needed = [reached(curves["adaptive"], quality, goal, replay) for replay in range(REPLAYS)]
        spent = [point.tokens for point in curves["uniform"][-1]]
        ratios = sorted(ours / theirs for ours, theirs in zip(needed, spent, strict=True))
        found = sum(map(math.isfinite, ratios))
        ratio = statistics.median(ratios)
        whole = math.isfinite(ratio)
        rows.append(
            Row(
                f"{task.name}: {name}, {goal:.3f}",
                "tokens",
                statistics.median(needed) if whole else max(point.tokens for point in curves["adaptive"][-1]),
                statistics.median(spent),
                "uniform",
                round(ratio, 2) if whole else None,
                f"at most {GOAL}",
                ratio <= GOAL,
                spread(ratios[1:-1]) if found == REPLAYS else f"reached in {found} of {REPLAYS} replays",
            )
        )
    return rows


def _told(drawn: Mapping[str, Curves]) -> dict[str, Any]:
    return {
        task: {policy: [_mean(points) for points in curve] for policy, curve in curves.items()}
        for task, curves in drawn.items()
    }


def _mean(points: Sequence[Point]) -> dict[str, float]:
    names = ("tokens", *QUALITIES, "picks", "precision")
    return {name: round(statistics.mean(getattr(point, name) for point in points), 4) for name in names}
