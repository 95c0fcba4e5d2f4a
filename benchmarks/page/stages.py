"""What each stage of a made-up turn has told, as long as a real one's."""

import json
import random
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

TASKS = ("tickets", "refunds")
STRATEGIES = ("plain", "demonstrations", "chain_of_thought", "rephrase")
BENCHMARKS = (("exam", True), ("regression", False), ("holdout", False))
ITEMS = 60
FIRST = datetime(2024, 1, 1, tzinfo=UTC)
_SCORERS = ("json_schema", "grounding", "consensus", "judge")
_BINS = 10


def run_id(day: int) -> str:
    """The run of that day's turn."""
    return f"scheduled__{FIRST + timedelta(days=day + 1):%Y-%m-%d}"


def rows(day: int, sizes: Mapping[str, int], rng: random.Random) -> list[dict[str, Any]]:
    """The rows of the table ``turns`` of one turn, without flywheel, turn and run.

    Args:
        sizes: rows of ``queries``, ``prompts`` and ``responses``, and how many ``shards``.
    """
    told = _metrics(day, sizes, rng)
    queries, prompts, responses = sizes["queries"], sizes["prompts"], sizes["responses"]
    counts = {
        "ingest": (queries + 5, queries),
        "validate": (queries, prompts),
        "generate": (prompts, responses),
        "score": (responses, responses),
        "update": (responses, prompts // 2),
        "evaluate": (ITEMS * len(BENCHMARKS), 2 * ITEMS * len(BENCHMARKS)),
        "gate": (2 * ITEMS * len(BENCHMARKS), 1),
        "register": (1, 1),
    }
    at, found = FIRST + timedelta(days=day + 1, hours=2), []
    for stage, (rows_in, rows_out) in counts.items():
        of = sizes["shards"] if stage in ("generate", "score") else 1
        for shard in range(of):
            at += timedelta(seconds=60)
            found.append(
                {
                    "stage": stage,
                    "shard": shard,
                    "status": "done",
                    "inputs": [],
                    "output_version": day,
                    "rows_in": rows_in // of,
                    "rows_out": rows_out // of,
                    "config_digest": "c" * 64,
                    "code_version": "0.1.0",
                    "seconds": 55.0,
                    "tokens": 40 * responses // of if stage == "generate" else 0,
                    "metrics": json.dumps(told[stage]),
                    "finished_at": at,
                }
            )
    return found


def _metrics(day: int, sizes: Mapping[str, int], rng: random.Random) -> dict[str, dict[str, Any]]:
    lines = [_line(name, primary, day, rng) for name, primary in BENCHMARKS]
    promoted = rng.random() < 0.3
    each = sizes["responses"] / len(TASKS) / len(STRATEGIES) / sizes["shards"]
    yields = {"samples": each, "tokens": 40 * each, "passed": each / 3, "reward": each / 2}
    holdout = [{"step": step, "reward": 0.5, "kl": 0.1, "rewards": [0.5] * 50} for step in range(0, 50, 10)]
    raft = {"steps": 48, "kept_step": 40, "loss_first": 2.0, "loss_last": 0.5, "holdout": holdout, "stopped": None}
    findings = [
        {
            "benchmark": line["name"],
            "slice": "",
            "n": line["n"],
            **{name: line[name] for name in ("delta", "p_value")},
            **{"low": line["ci_low"], "high": line["ci_high"], "corrected_p": line["p_value"], "level": 0.025},
            **{"decision": "promote" if promoted else "undecided", "sentence": f"{line['name']}: so and so."},
        }
        for line in lines
    ]
    return {
        "ingest": {"quarantine": {"not_json": 2, "no_time": 1}, "users": 30, "redacted": {"email": 3}},
        "validate": {
            "quarantine": {"expectation": 1, "benchmark_item": 1},
            "shards": sizes["shards"],
            "observations": {task: {"lengths": [rng.random() for _ in range(60)]} for task in TASKS},
        },
        "generate": {"yields": {task: dict.fromkeys(STRATEGIES, yields) for task in TASKS}, "model_version": "m"},
        "score": {
            "mean_reward": 0.4 + 0.2 * rng.random(),
            "without_reward": 3,
            "mean_scores": dict.fromkeys(_SCORERS, 0.5),
            "flags": {"repeats": 4},
            "undecided": {task: {"judge": {"no reference": 3}} for task in TASKS},
            "calibration": {task: _calibration(rng) for task in TASKS},
            "probes": {task: {"probes": 12, "fallen": []} for task in TASKS},
            "barred": {task: [] for task in TASKS},
            "monitors": {task: {"findings": []} for task in TASKS},
        },
        "update": {"candidate": f"candidate{day:07}", **raft, "methods": {"raft": raft}},
        "evaluate": {"champion": "champion", "candidate": f"candidate{day:07}", "benchmarks": lines},
        "gate": {
            "decision": "promote" if promoted else "undecided",
            "reasons": ["The candidate is better on exam.", "No other benchmark fell."],
            "findings": findings,
            **{"test": 1, "level": 0.025, "approval": "auto"},
        },
        "register": {"model": "page", "version": day + 1, "alias": "champion" if promoted else None},
    }


def _line(name: str, primary: bool, day: int, rng: random.Random) -> dict[str, Any]:
    champion, gain = 0.5 + 0.0002 * day, 0.1 * rng.random() - 0.02
    slices = [
        {"slice": f"kind={k}", "champion": champion, "candidate": champion + gain, "n": 15, "delta": gain}
        | {"ci_low": gain - 0.1, "ci_high": gain + 0.1, "p_value": 0.2}
        for k in range(4)
    ]
    outputs = {"tokens": 30.0, "empty": 0.0, "truncated": 0.01, "repeated": 0.0, "reward": 0.6, "rewarded": ITEMS}
    found = {"name": name, "metric": "exact_json", "primary": primary, "n": ITEMS, "control": None}
    for arm, value in (("champion", champion), ("candidate", champion + gain)):
        found |= {arm: value, f"{arm}_low": value - 0.05, f"{arm}_high": value + 0.05}
    differs = {"delta": gain, "ci_low": gain - 0.04, "ci_high": gain + 0.04, "p_value": 0.03}
    return {**found, **differs, "slices": slices, "outputs": {"champion": outputs, "candidate": outputs}}


def _calibration(rng: random.Random) -> dict[str, Any]:
    def estimate(value: float) -> dict[str, float]:
        return {"value": value, "low": value - 0.02, "high": value + 0.02}

    bins = [
        {"n": 20, "mean": (k + 0.5) / _BINS, "right": (k + 0.5) / _BINS, "low": k / _BINS, "high": (k + 1) / _BINS}
        for k in range(_BINS)
    ]
    quality = {name: estimate(0.1 + 0.1 * rng.random()) for name in ("auroc", "brier", "ece")}
    report = {
        **{"n": 200, "queries": 180, "undecided": 2, "labels": {"anchor": 40, "feedback": 160}, "base_rate": 0.5},
        **quality,
        "ece_by_chance": 0.05,
        "scorers": {name: estimate(0.7) for name in _SCORERS},
        "bins": bins,
        "histogram": [10] * 20,
    }
    calibrator = {"names": list(_SCORERS), "weights": [rng.random() for _ in range(24)], "version": "calibrator-1"}
    return {"version": "c1", "reason": "fitted to 200 labels", "calibrator": calibrator, "report": report, "moved": 0.1}


def scores(day: int, rng: random.Random) -> Sequence[dict[str, Any]]:
    """The rows of ``evaluations`` of one turn."""
    found = []
    for benchmark, _ in BENCHMARKS:
        for arm, model in (("champion", "champion"), ("candidate", f"candidate{day:07}")):
            for item in range(ITEMS):
                found.append(
                    {
                        **{"model_version": model, "arm": arm, "prompt_digest": "p", "decoding_digest": "d"},
                        **{"engine": "e", "benchmark": benchmark, "benchmark_version": "v1", "item_id": f"i{item:04}"},
                        **{"score": float(rng.random() < 0.6), "output": f"Answer {item} of {arm}.", "tokens": 20},
                        **{"flags": [], "reward": rng.random()},
                    }
                )
    return found
