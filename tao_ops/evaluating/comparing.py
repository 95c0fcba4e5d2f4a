"""The report's lines: each benchmark's means with their intervals, the paired difference, its slices, the outputs."""

from collections.abc import Mapping, Sequence
from typing import Any

from tao_ops.benchmarks import paired
from tao_ops.benchmarks.item_sets import ItemSet
from tao_ops.benchmarks.reports import EMPTY, REPEATED, TRUNCATED
from tao_ops.config import BenchmarkConfig
from tao_ops.errors import ConfigError
from tao_ops.evaluating.exams import CANDIDATE, CHAMPION, CONTROL, Exam

ALPHA = 0.05
"""The report's intervals are of 95 %; the gate has a level of its own."""

Rows = Sequence[Mapping[str, Any]]


def line(exam: Exam, rows: Rows, slices: Mapping[str, Sequence[str]], *, seed: int) -> dict[str, Any]:
    """What the report says of a benchmark.

    Args:
        exam: any arm's.
        rows: of all arms on this benchmark.
        slices: item_ids by slice.
    """
    benchmark, arms = exam.benchmark, _by_arm(rows)
    items = sorted(arms[CHAMPION])
    found: dict[str, Any] = {
        "name": benchmark.name,
        "version": exam.version,
        "task": exam.task,
        "metric": benchmark.scored_by,
        "primary": benchmark.primary,
        **_difference(arms, items, seed),
    }
    for arm in (CHAMPION, CONTROL, CANDIDATE):
        scores = [arms[arm][i] for i in items] if arm in arms else None
        low, high = paired.mean_interval(scores) if scores else (None, None)
        found |= {arm: _mean(scores), f"{arm}_low": low, f"{arm}_high": high}
    found["slices"] = [_slice(name, arms, sorted(ids), seed) for name, ids in slices.items()]
    found["outputs"] = {arm: _outputs(rows, arm) for arm in (CHAMPION, CANDIDATE)}
    return found


def slices(benchmark: BenchmarkConfig, items: ItemSet) -> dict[str, list[str]]:
    """The item_ids of each declared slice, ``column=value``; an item without the column is in none of it.

    Raises:
        ConfigError: no item has a declared column.
    """
    found: dict[str, list[str]] = {}
    for column in benchmark.slices:
        mine: dict[str, list[str]] = {}
        for item in items.items:
            if column in item.slices:
                mine.setdefault(f"{column}={item.slices[column]}", []).append(item.item_id)
        if not mine:
            raise ConfigError(
                f"no item of benchmark {benchmark.name} has a column {column!r} to slice by",
                where=benchmark.path or benchmark.format.value,
                mend="mend the benchmark's 'slices', or give its items that column",
            )
        found |= {name: mine[name] for name in sorted(mine)}
    return found


def sentence(line: Mapping[str, Any]) -> str:
    """A line of the report for the log."""
    control = "" if line["control"] is None else f", control {line['control']:.3f}"
    return (
        f"{line['name']} ({line['n']} items, {line['metric']}): champion {line['champion']:.3f}{control}, "
        f"candidate {line['candidate']:.3f}; difference {line['delta']:+.3f} "
        f"[{line['ci_low']:+.3f}, {line['ci_high']:+.3f}], p {line['p_value']:.2g}"
    )


def _slice(name: str, arms: Mapping[str, Mapping[str, float]], items: Sequence[str], seed: int) -> dict[str, Any]:
    means = {arm: _mean([arms[arm][i] for i in items]) for arm in (CHAMPION, CANDIDATE)}
    return {"slice": name, **means, **_difference(arms, items, seed)}


def _difference(arms: Mapping[str, Mapping[str, float]], items: Sequence[str], seed: int) -> dict[str, Any]:
    champion, candidate = ([arms[arm][i] for i in items] for arm in (CHAMPION, CANDIDATE))
    pair = paired.compare(champion, candidate, alpha=ALPHA, seed=seed)
    return {"n": pair.n, "delta": pair.delta, "ci_low": pair.low, "ci_high": pair.high, "p_value": pair.p_value}


def _outputs(rows: Rows, arm: str) -> dict[str, Any] | None:
    """Mean tokens and reward, and the share of outputs with each flag; None where the harness had them."""
    mine = [row for row in rows if row["arm"] == arm and row.get("flags") is not None]
    if not mine:
        return None
    rewards = [row["reward"] for row in mine if row.get("reward") is not None]
    shares = {flag: sum(flag in row["flags"] for row in mine) / len(mine) for flag in (EMPTY, TRUNCATED, REPEATED)}
    tokens = sum(row["tokens"] for row in mine) / len(mine)
    return {"tokens": tokens, **shares, "reward": _mean(rewards), "rewarded": len(rewards)}


def _by_arm(rows: Rows) -> dict[str, dict[str, float]]:
    arms: dict[str, dict[str, float]] = {}
    for row in rows:
        arms.setdefault(row["arm"], {})[row["item_id"]] = row["score"]
    return arms


def _mean(values: Sequence[float] | None) -> float | None:
    return sum(values) / len(values) if values else None
