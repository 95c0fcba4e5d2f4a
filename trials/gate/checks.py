"""That the simulations' arithmetic is the gate's own, and how often its intervals hold the truth."""

from typing import Any

import numpy as np

from tao_ops.benchmarks import paired, spending
from tao_ops.benchmarks.decide import Decision, decide
from tao_ops.benchmarks.reports import BenchmarkScores, Report
from tao_ops.config.gate import GateConfig
from tao_ops.models import ModelFacts
from trials.gate import draws, slices

COVERAGE = ((30, 0.0), (100, 0.0), (100, 0.05), (300, 0.0), (300, 0.05), (1000, 0.05))
"""Items and true difference."""


def agreement(cases: int, seed: int) -> dict[str, int]:
    """Of random candidates, how many :func:`decide` judges just as the simulations do."""
    rng, config = np.random.default_rng(seed), GateConfig()
    told = {"cases": cases, "agree": 0, **{one.value: 0 for one in Decision}}
    for case in range(cases):
        test = int(rng.integers(1, 31))
        planted = slices.Planted(
            int(rng.integers(10, 40)), 0.6, float(rng.uniform(0.1, 0.9)), float(rng.uniform(0, 0.4))
        )
        lost, won = slices.counts(rng, planted, 1)
        found = decide(config, **_reports(lost[0], won[0], planted.items), test=test, resamples=50, seed=case).decision
        told["agree"] += found is _expected(config, lost, won, planted.items, test)
        told[found.value] += 1
    return told


def _expected(config: GateConfig, lost: draws.Ints, won: draws.Ints, items: int, test: int) -> Decision:
    p = float(draws.p_values(lost.sum(axis=1), won.sum(axis=1))[0])
    if slices.rejected(lost, won, items, config).any() or (p < config.alpha and won.sum() < lost.sum()):
        return Decision.REJECT
    better = p < spending.level(config.alpha, test) and won.sum() > lost.sum()
    return Decision.PROMOTE if better else Decision.UNDECIDED


def _reports(lost: draws.Ints, won: draws.Ints, items: int) -> dict[str, Report]:
    """Scores with these items lost and won in each slice."""
    champion, candidate, of = {}, {}, {}
    for number, (worse, better) in enumerate(zip(lost, won, strict=True)):
        ids = [f"s{number}-{item}" for item in range(items)]
        of[f"slice={number}"] = ids
        for item, name in enumerate(ids):
            champion[name] = 1.0 if item < worse else 0.0
            candidate[name] = 1.0 if worse <= item < worse + better else 0.0
    return {
        arm: Report(
            ModelFacts(arm, "LlamaForCausalLM", 1, "BF16"),
            {"exam": BenchmarkScores("exam", "v1", "exact", True, scores, slices=of)},
        )
        for arm, scores in (("champion", champion), ("candidate", candidate))
    }


def coverage(trials: int, seed: int, resamples: int = 1000) -> list[dict[str, Any]]:
    """How often the BCa interval at 95 % holds the true difference, of right-or-wrong and of graded scores."""
    rng, rows = np.random.default_rng(seed), []
    for n, delta in COVERAGE:
        for kind in ("right or wrong", "graded"):
            held, width = 0, 0.0
            for trial in range(trials):
                drawn = _differences(rng, n, delta, kind)
                low, high = paired.difference_interval(drawn, alpha=0.05, seed=trial, resamples=resamples)
                # An end that equals the truth but for the last bit holds it.
                held += low - 1e-9 <= delta <= high + 1e-9
                width += (high - low) / trials
            rows.append({"kind": kind, "n": n, "delta": delta, "coverage": held / trials, "width": width})
    return rows


def _differences(rng: np.random.Generator, n: int, delta: float, kind: str) -> draws.Floats:
    """Of right-or-wrong scores a fifth differs; graded ones mostly by little, and by much at times."""
    if kind == "right or wrong":
        return rng.choice([-1.0, 1.0, 0.0], n, p=[0.1 - delta / 2, 0.1 + delta / 2, 0.8])
    return np.clip(rng.standard_t(3, n) * 0.1, -0.9, 0.9) + delta
