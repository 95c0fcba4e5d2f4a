"""``score``: responses a second of each scorer that asks no model, beside the plain call; and the example's whole.

One process, so one core at a time: where a scorer works in a process of its own, the one waits for the other. Both
sides get the same responses and take turns; each is called once before it is timed. What a plain call leaves out (a
limit, strictness, the reason of a verdict) is part of our figure; ``notes`` says where that weighs.

The example's whole is ``score_task`` on a pool of 150 queries × 17 responses (those that the trial ``example_rewards``
sampled, where the cache has them), each time in a process of its own; set against the seconds in which ``generate``
samples the pool's tokens, by its own benchmark.

``TAO_BENCH_REPEATS`` (default 5) says how often. Data that ``TAO_DATA`` does not have are left out or made.
"""

import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.report import Row, median, spread, write
from benchmarks.score import checks, data, databases, references, shard
from benchmarks.score.contests import Contest, race
from tao_ops.config import load_flywheel
from tao_ops.rewards import Setting, TaskScorers

GOAL = 0.1


def run() -> None:
    """Measure each scorer and the example, and write the result."""
    repeats = int(os.environ.get("TAO_BENCH_REPEATS") or 5)
    rows, source = data.pool()
    notes: dict[str, str] = {}
    found = [_share(rows, source, repeats)]
    with tempfile.TemporaryDirectory(prefix="tao-bench-") as scratch:
        for contest in _contests(rows, Path(scratch)):
            found.append(race(contest, repeats))
            if contest.note:
                notes[contest.figure] = contest.note
    write("score", found, repeats, notes=notes)


def _contests(rows: Sequence[dict[str, Any]], scratch: Path) -> Iterator[Contest]:
    flywheel, batch = load_flywheel(shard.TASK), data.candidates(rows)
    task = flywheel.tasks[shard.TASK]
    scorers = TaskScorers(task.scorers, Setting(flywheel.file(""), task.json_schema))
    yield Contest("the example's scorers", lambda _: scorers.score(batch))
    yield from checks.contests(batch, flywheel.file(""))
    yield from references.contests()
    yield from databases.contests(scratch)


def _share(rows: Sequence[dict[str, Any]], source: str, repeats: int) -> Row:
    """Seconds of the whole of scoring, beside those of generating the same responses."""
    took = [shard.fresh() for _ in range(repeats)]
    generating = sum(row["tokens"] for row in rows) / shard.tokens_per_second()
    shares = [one / generating for one in took]
    figure = f"score, the example's {len(rows)} responses, {source}"
    goal, met = f"ratio at most {GOAL}", median(shares) <= GOAL
    name = "generating them"
    return Row(figure, "s", median(took), round(generating, 3), name, median(shares), goal, met, spread(shares))
