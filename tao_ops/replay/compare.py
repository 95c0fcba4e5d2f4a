"""What a stage gave then beside what it gave now: whether it is the same, and how far it is apart."""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from tao_ops.lineage import rows
from tao_ops.replay import weights
from tao_ops.trained_rows import ROWS

REWARD = 1e-9
"""Rewards nearer than this are equal."""
CANDIDATE = "candidate"
"""The arm whose scores a replay is about."""
_STANDARD_ERRORS = 3.0
"""Means that are farther apart than this are not of the same process."""

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Compared:
    """Then and now.

    Attributes:
        equal: bit for bit, rewards to :data:`REWARD`; None where nothing is left to compare with.
        alike: by statistics, where not equal.
        what: how far they are apart, in a few words.
        figures: the same as numbers.
    """

    equal: bool | None
    alike: bool
    what: str
    figures: Mapping[str, Any] = field(default_factory=dict)


def prompts(told: Mapping[str, Any], then: pa.Table | None, now: pa.Table) -> Compared:
    """By query: the same ones, in the same split and cluster, with the same count and text."""
    if (known := _by_digest(told, then, now, "prompts")) is not None:
        return known
    one, other = _by(then, "query_id"), _by(now, "query_id")
    both = one.keys() & other.keys()
    moved = [name for name in ("split", "cluster", "count", "messages") if _unequal(one, other, both, name)]
    figures = {
        "then": len(one),
        "now": len(other),
        "missing": len(one.keys() - other.keys()),
        "new": len(other.keys() - one.keys()),
        **{name: _unequal(one, other, both, name) for name in ("split", "cluster", "count", "messages")},
    }
    if not moved and len(one) == len(other) == len(both):
        return Compared(True, True, f"{len(one)} prompts, the same", figures)
    changed = ", ".join(f"{figures[name]} in another {name}" for name in moved) or "the rest the same"
    what = f"{figures['missing']} of {len(one)} prompts missing, {figures['new']} new, {changed}"
    return Compared(False, False, what, figures)


def responses(told: Mapping[str, Any], then: pa.Table | None, now: pa.Table) -> Compared:
    """By response: the same text; else the share of equal ones, and tokens and number of each strategy's."""
    if (known := _by_digest(told, then, now, "responses")) is not None:
        return known
    one, other = _by(then, "response_id"), _by(now, "response_id")
    both = one.keys() & other.keys()
    same = sum(one[name]["text"] == other[name]["text"] for name in both)
    counts = [Counter(str(row["strategy"]) for row in each.values()) for each in (one, other)]
    tokens = [[float(row["tokens"]) for row in each.values()] for each in (one, other)]
    figures = {
        "then": len(one),
        "now": len(other),
        "equal_texts": same,
        "share_equal": same / max(len(one), len(other), 1),
        "tokens": [sum(each) for each in tokens],
        "strategies": [dict(each) for each in counts],
        "logprob_difference": max((_logprobs(one[name], other[name]) for name in both), default=0.0),
    }
    if same == len(one) == len(other):
        close = f"log-probabilities apart by {figures['logprob_difference']:.2g} at most"
        return Compared(True, True, f"{same} responses, the same texts; {close}", figures)
    what = f"{same} of {len(one)} responses have the same text, {len(other)} now; {sum(tokens[0]):,.0f} tokens then, "
    alike = means_alike(*tokens) and all(
        _counts_alike(counts[0][name], counts[1][name]) for name in {*counts[0], *counts[1]}
    )
    return Compared(False, alike, f"{what}{sum(tokens[1]):,.0f} now", figures)


def rewards(told: Mapping[str, Any], then: pa.Table | None, now: pa.Table) -> Compared:
    """By response: the same reward to :data:`REWARD`; else how far the means are apart."""
    if (known := _by_digest(told, then, now, "rewards")) is not None:
        return known
    one, other = _by(then, "response_id"), _by(now, "response_id")
    both = sorted(one.keys() & other.keys())
    apart = [_apart(one[name]["reward"], other[name]["reward"]) for name in both]
    values = [[float(r["reward"]) for r in each.values() if r["reward"] is not None] for each in (one, other)]
    means = [float(np.mean(each)) if each else None for each in values]
    figures = {
        "then": len(one),
        "now": len(other),
        "compared": len(both),
        "unequal": sum(each > REWARD for each in apart),
        "largest_difference": max(apart, default=None),
        "mean_rewards": means,
        "calibrators": [sorted({str(r["calibrator_version"]) for r in each.values()}) for each in (one, other)],
    }
    if not figures["unequal"] and len(one) == len(other) == len(both):
        return Compared(True, True, f"{len(both)} rewards, equal to {REWARD:g}", figures)
    what = (
        f"{figures['unequal']} of {len(both)} rewards of the same responses differ, by {max(apart, default=0):.3g} at "
    )
    said = ["none" if mean is None else f"{mean:.4f}" for mean in means]
    return Compared(False, means_alike(*values), f"{what}most; mean {said[0]} then, {said[1]} now", figures)


def candidates(then: Mapping[str, Any], now: Mapping[str, Any]) -> Compared:
    """By manifest: the same training rows, the same model; else how far weights and the holdout's rewards are apart."""
    sides = [_trained_on(then), _trained_on(now)]
    same_rows = None if sides[0] is None or sides[1] is None else sides[0] == sides[1]
    figures: dict[str, Any] = {
        "rows": [then["rows"], now["rows"]],
        "training_rows": [None if side is None else side["digest"] for side in sides],
        "models": [then["model_version"], now["model_version"]],
    }
    rows_said = {True: "the same training rows", False: "other training rows", None: "training rows unknown"}[same_rows]
    if then["model_version"] == now["model_version"]:
        same = f"{rows_said}, the same model {now['model_version']}"
        return Compared(same_rows is not False, True, same, figures)
    holdout = [_holdout(one) for one in (then, now)]
    folders = [Path(one["path"]) for one in (then, now)]
    apart = weights.difference(*folders) if all(folder.is_dir() for folder in folders) else None
    means = [float(np.mean(each)) if each else None for each in holdout]
    figures |= {"weight_difference": apart, "holdout_rewards": means}
    said = "no weights to compare" if apart is None else f"weights apart by {apart:.3g} at most"
    told = ["none" if mean is None else f"{mean:.4f}" for mean in means]
    what = f"{rows_said}, another model: {said}; reward on the holdout {told[0]} then, {told[1]} now"
    return Compared(False, means_alike(*holdout), what, figures)


def scores(then: Sequence[Row], now: Sequence[Row]) -> Compared:
    """By arm, benchmark and item: the same score and output; else each benchmark's means."""
    if not any(row["arm"] == CANDIDATE for row in then):  # the turn was run again since, or they expired
        return Compared(None, False, "no scores of the candidate of then are left")
    one, other = ({(r["arm"], r["benchmark"], r["item_id"]): r for r in each} for each in (then, now))
    both = one.keys() & other.keys()
    unequal = sum(one[name]["score"] != other[name]["score"] for name in both)
    outputs = sum(one[name]["output"] != other[name]["output"] for name in both)
    arms = sorted({name[:2] for name in both})
    values = {
        arm: [[float(r["score"]) for k, r in each.items() if k[:2] == arm] for each in (one, other)] for arm in arms
    }
    means = {f"{benchmark}/{arm}": [float(np.mean(v)) for v in values[arm, benchmark]] for arm, benchmark in arms}
    versions = [sorted({f"{r['benchmark']} {r['benchmark_version']}" for r in each.values()}) for each in (one, other)]
    figures = {
        "then": len(one),
        "now": len(other),
        "compared": len(both),
        "unequal": unequal,
        "other_outputs": outputs,
        "means": means,
        "benchmarks": versions,
    }
    whole = len(one) == len(other) == len(both) and versions[0] == versions[1]
    if whole and not unequal and not outputs:
        return Compared(True, True, f"{len(both)} scores, the same outputs", figures)
    said = "; ".join(f"{name} {then_:.3f} then, {now_:.3f} now" for name, (then_, now_) in means.items())
    what = f"{unequal} of {len(both)} scores and {outputs} outputs differ, {len(one)} then, {len(other)} now; {said}"
    alike = versions[0] == versions[1] and all(means_alike(*values[arm]) for arm in arms)
    return Compared(False, alike and bool(both), what, figures)


def means_alike(one: Sequence[float], other: Sequence[float]) -> bool:
    """Whether two samples' means are within :data:`_STANDARD_ERRORS` of the difference's (Welch's) standard error.

    >>> means_alike([1, 2, 3], [1, 2, 4]), means_alike([1, 1, 1], [2, 2, 2]), means_alike([], [])
    (True, False, True)
    """
    if not one or not other:
        return not one and not other
    apart = abs(float(np.mean(one)) - float(np.mean(other)))
    error = math.sqrt(float(np.var(one)) / len(one) + float(np.var(other)) / len(other))
    return apart <= max(REWARD, _STANDARD_ERRORS * error)


def _counts_alike(one: int, other: int) -> bool:
    return abs(one - other) <= _STANDARD_ERRORS * math.sqrt(one + other)


def _by_digest(told: Mapping[str, Any], then: pa.Table | None, now: pa.Table, what: str) -> Compared | None:
    """The answer where the digest alone gives it: it is the same, or there are no rows of then to look closer at."""
    found = rows.digest(now)
    if found["digest"] == told["digest"]:
        return Compared(True, True, f"{found['rows']} {what}, the same bit for bit", {"digest": found["digest"]})
    if then is not None:
        return None
    figures = {"then": told["rows"], "now": found["rows"], "digests": [told["digest"], found["digest"]]}
    return Compared(
        False, False, f"other {what}, {told['rows']} then, {found['rows']} now; those of then are gone", figures
    )


def _by(found: pa.Table | None, key: str) -> dict[str, Row]:
    assert found is not None
    return {str(row[key]): row for row in found.to_pylist()}


def _unequal(one: Mapping[str, Row], other: Mapping[str, Row], both: Any, name: str) -> int:
    return sum(one[key][name] != other[key][name] for key in both)


def _logprobs(one: Row, other: Row) -> float:
    mine, its = one["logprobs"] or [], other["logprobs"] or []
    if len(mine) != len(its):
        return math.inf
    return max((abs(a - b) for a, b in zip(mine, its, strict=True)), default=0.0)


def _apart(one: float | None, other: float | None) -> float:
    if one is None or other is None:
        return 0.0 if one is other else math.inf
    return abs(one - other)


def _trained_on(manifest: Mapping[str, Any]) -> dict[str, Any] | None:
    path = Path(manifest["path"]) / ROWS
    if not path.is_file():
        return None
    import pyarrow.parquet as pq

    return rows.digest(pq.read_table(path))


def _holdout(manifest: Mapping[str, Any]) -> list[float]:
    history = manifest.get("metrics", {}).get("holdout") or [{}]
    return [float(value) for value in history[-1].get("rewards", []) if value is not None]


BY_TABLE: Mapping[str, Callable[[Mapping[str, Any], pa.Table | None, pa.Table], Compared]] = {
    "prompts": prompts,
    "responses": responses,
    "rewards": rewards,
}
"""What compares each table's rows."""
