"""``update``: training as the stage does it, beside the same trainer of TRL called by hand on the same batches.

The rows are the example's messages with their right answers, under the production prompt. Each run is a process of its
own, the sides in turn, the first alternating. Ours is ``trl_trainer.train`` with a single checkpoint and no holdout,
``raft`` with weights; the peer is ``by_hand.py``: the same arguments, order, seed and precision, and both must end at
the same loss. A step's seconds are between two lines of the trainer's log, the first step left out; no import, loading,
checkpoint or merging is in them. Peak memory is of the whole process: the kernel's, or the GPU's where there is one.

Then training on the same rows with one setting changed at a time, beside the default: bf16, LoRA, all cores, 8 rows a
step. TRL's packing is called by hand, since the update has none.

Where there is a GPU, the same is measured on it, with ``grpo`` on-policy.

``TAO_BENCH_REPEATS`` (default 3) and ``TAO_BENCH_STEPS`` (default 6, on a GPU 30) say how often and how much;
``TAO_BENCH_MODEL`` names another model's folder, and ``TAO_BENCH_ENGINES`` what samples for ``grpo`` (``transformers``,
``vllm``, or both, with a blank between them). ``TAO_BENCH_PARTS`` is ``methods``, ``settings`` or both, as by default.
"""

import math
import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.report import Row, median, spread, write
from benchmarks.update.sides import GRPO, Asked, Bench, Measured, Side, card
from tao_ops.settings import PROJECT

GOAL = 1.03
STEPS, STEPS_ON_GPU, STEPS_OF_A_SETTING = 6, 30, 3
SAME = 0.02
"""Two losses are the same within this share: bf16 rounds, and weights of nearly one round otherwise."""
_HAND = "TRL by hand"
_DEFAULT = "the default"

DEFAULT = Asked(method="raft", batch_size=8)
METHODS: Mapping[str, Asked] = {"raft": DEFAULT, "dpo": Asked(method="dpo", batch_size=4, learning_rate=5e-4)}
"""By method, what both sides train; pairs are two responses each."""
SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "fp32": {"precision": "fp32"},
    "one thread": {"threads": 1},
    "gradient checkpointing": {"gradient_checkpointing": True},
    "4 rows a step": {"batch_size": 4},
    "16 rows a step": {"batch_size": 16},
    "64 rows a step": {"batch_size": 64},
    "all weights": {"tune": "full", "learning_rate": 1e-4},
    "padding_free": {"more": {"padding_free": True}},
    "packing": {"more": {"packing": True}},
}
"""By name, what is changed of the default; ``more`` is for TRL by hand."""


def run() -> None:
    """Measure both sides by method, then each setting, and write the result."""
    gpu = card()
    repeats = int(os.environ.get("TAO_BENCH_REPEATS") or 3)
    steps = max(2, int(os.environ.get("TAO_BENCH_STEPS") or (STEPS_ON_GPU if gpu else STEPS)))
    few = steps if gpu else min(steps, STEPS_OF_A_SETTING)
    parts = os.environ.get("TAO_BENCH_PARTS", "methods settings").split()
    with tempfile.TemporaryDirectory(prefix="tao-bench-") as scratch:
        bench = Bench(Path(scratch))
        methods = {name: asked.but(steps=steps) for name, asked in {**METHODS, **_on_policy(gpu)}.items()}
        rows: list[Row] = []
        if "methods" in parts:
            for name, asked in methods.items():
                rows += beside(name, asked, _pairs(bench, asked, repeats))
        if "settings" in parts:
            alone = {name: DEFAULT.but(steps=few, **changes) for name, changes in _settings(gpu).items()}
            rows += changed(_each(bench, {_DEFAULT: DEFAULT.but(steps=few), **alone}, min(2, repeats)))
        write("update", rows, repeats, commit=_commit(), card=gpu, model=bench.model_name, steps=steps)


def _on_policy(gpu: str | None) -> dict[str, Asked]:
    """``grpo``, by what samples: without a GPU it takes too long to be measured here."""
    engines = os.environ.get("TAO_BENCH_ENGINES", "transformers").split() if gpu else []
    asked = Asked(method="grpo", batch_size=4, learning_rate=1e-4)
    return {f"grpo, {engine}": asked.but(engine=engine) for engine in engines}


def _settings(gpu: str | None) -> dict[str, Mapping[str, Any]]:
    left_out = {"one thread"} if gpu else {"64 rows a step"}
    return {name: changes for name, changes in SETTINGS.items() if name not in left_out}


def _pairs(bench: Bench, asked: Asked, repeats: int) -> list[tuple[Measured, Measured]]:
    """Ours and the peer's, once for each repeat; who begins alternates."""
    found = []
    for number in range(repeats):
        order = [Side.OURS, Side.BY_HAND] if number % 2 == 0 else [Side.BY_HAND, Side.OURS]
        seen = {side: bench.trained(side, asked) for side in order}
        see_that_it_is_the_same_work(asked, seen[Side.OURS], seen[Side.BY_HAND])
        found.append((seen[Side.OURS], seen[Side.BY_HAND]))
    return found


def _each(bench: Bench, asked: Mapping[str, Asked], repeats: int) -> dict[str, list[Measured]]:
    """All of them in turn, and the other way round in every second repeat."""
    found: dict[str, list[Measured]] = {name: [] for name in asked}
    for number in range(repeats):
        for name in list(asked)[:: 1 if number % 2 == 0 else -1]:
            side = Side.BY_HAND if asked[name].more else Side.OURS
            found[name].append(bench.trained(side, asked[name]))
    return found


def see_that_it_is_the_same_work(asked: Asked, ours: Measured, peer: Measured) -> None:
    """Raise where the two sides did not learn the same; what a model samples itself may differ.

    Raises:
        SystemExit: their last losses are not the same.
    """
    if asked.method != "grpo" and not math.isclose(ours.loss_last, peer.loss_last, rel_tol=SAME):
        raise SystemExit(f"error: {asked.method} ends at loss {ours.loss_last}, by hand at {peer.loss_last}")


def beside(name: str, asked: Asked, pairs: Sequence[tuple[Measured, Measured]]) -> list[Row]:
    """A method's rows: ours, and the trainer by hand."""

    def row(figure: str, unit: str, value: str, goal: float | None = None) -> Row:
        ours, peer = ([getattr(pair[side], value) for pair in pairs] for side in range(2))
        ratios = [o / p for o, p in zip(ours, peer, strict=True)]
        ratio = median(ratios)
        aim, met = (f"ratio at most {goal}", ratio <= goal) if goal else (None, None)
        return Row(f"{name}: {figure}", unit, median(ours), median(peer), _HAND, ratio, aim, met, spread(ratios))

    unit = {"dpo": "pairs", "grpo": f"queries × {GRPO['samples']}"}.get(asked.method, "rows")
    return [
        row(f"a step of {asked.batch_size} {unit}", "s", "step_s", GOAL),
        row("training", "tokens/s", "tokens_per_s"),
        row("peak memory", "MiB", "peak_mib", GOAL),
        row("all that is no step", "s", "rest_s"),
    ]


def changed(found: Mapping[str, Sequence[Measured]]) -> list[Row]:
    """The rows of each setting: with it, and with the default. The first of ``found`` is the default."""
    plain, *others = found
    rows = []
    for name in others:
        pairs = list(zip(found[name], found[plain], strict=True))
        shown = name if name != "padding_free" or _same_start(pairs) else f"{name}, rows see each other"
        for figure, unit, value in ((shown, "tokens/s", "tokens_per_s"), (f"{shown}: peak memory", "MiB", "peak_mib")):
            mine, theirs = ([getattr(pair[side], value) for pair in pairs] for side in range(2))
            ratios = [o / p for o, p in zip(mine, theirs, strict=True)]
            row = Row(figure, unit, median(mine), median(theirs), plain, median(ratios), spread=spread(ratios))
            rows.append(row)
    return rows


def _same_start(pairs: Sequence[tuple[Measured, Measured]]) -> bool:
    """Whether the first step's loss is as without the setting: a row that saw others before it would be easier."""
    return all(math.isclose(one.loss_first, other.loss_first, rel_tol=SAME) for one, other in pairs)


def _commit() -> str:
    """The commit that is measured; ``-dirty`` where files of it were changed."""
    asked = ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    return subprocess.run(asked, cwd=PROJECT, capture_output=True, text=True, check=True).stdout.strip()
