"""What every cell with a candidate does and tells: train, evaluate, and what came of both."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from tao_ops.stages import Stage
from tao_ops.turn import path_safe
from trials.quality.home import Home
from trials.quality.settings import day
from trials.quality.stored import Chain

_FACTS = (
    *("steps", "tokens", "seconds", "kept_step", "stopped", "loss_first", "loss_last", "merged_agreement"),
    *("merged_difference", "kept_from_training"),
)


@contextmanager
def scratch(chain: Chain, home: Home, name: str, settings: Mapping[str, Any]) -> Iterator[Home]:
    """A copy of a home for one cell, removed once the cell has ended well."""
    copied = home.copy(chain.folder / f"cell-{path_safe(name)}", settings)
    yield copied
    copied.remove()


def candidate(chain: Chain, home: Home, turn: int, name: str) -> dict[str, Any]:
    """Train a candidate on the responses of a home, and score it; or why the update refused."""
    when, run_id = day(turn), path_safe(name)
    update = home.again(Stage.UPDATE, when, run_id)
    if "refused" in update:
        return {"turn": turn, "refused": update["refused"], "seconds": {"update": update["wall_seconds"]}}
    chain.lend_scores(home)
    evaluate = home.again(Stage.EVALUATE, when, run_id)
    if turn == 1:
        chain.share_scores(home)
    return {
        "turn": turn,
        **scores(home, turn, evaluate),
        "rows": update["rows_out"],
        "update": facts(update),
        "seconds": {"update": update["wall_seconds"], "evaluate": evaluate["wall_seconds"]},
    }


def scores(home: Home, turn: int, evaluate: Mapping[str, Any]) -> dict[str, Any]:
    """The primary benchmark's line of the evaluation's report, and which of its items each arm got right."""
    line = next(one for one in evaluate["metrics"]["benchmarks"] if one["primary"])
    return {"benchmark": line, "answers": home.answers(day(turn), line["name"])}


def facts(update: Mapping[str, Any]) -> dict[str, Any]:
    """What the update's report says of the training and of the holdout."""
    told = update["metrics"]
    phases: list[Mapping[str, Any]] = list(told.get("methods", {}).values()) or [told]
    peaks = [one["peak_mib"] for one in phases if "peak_mib" in one]
    measured = ("step", "reward", "kl", "entropy", "length")
    return {
        **{name: told[name] for name in _FACTS if name in told},
        "seconds": round(sum(float(one.get("seconds", 0.0)) for one in phases), 1),
        "peak_mib": max(peaks, default=None),
        "holdout": [{name: one.get(name) for name in measured} for one in told.get("holdout", [])],
    }
