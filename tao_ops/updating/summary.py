"""How a turn's training went, in a few figures for each method."""

from collections.abc import Mapping, Sequence
from typing import Any

from tao_ops.backends.trl_trainer.job import Question

FIGURES = ("reward", "kl", "entropy", "length")
"""What is measured on the holdout."""


def told(metrics: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """What ``tao turn show --json`` tells of each method's training.

    Args:
        metrics: of the stage ``update``.

    Returns:
        By method: ``steps``; ``kept_step``, the one whose checkpoint was kept, or None where the method had nothing to
        learn and the model before it became the candidate; ``stopped``, why it ended early, or None; ``loss``, and of
        the holdout ``reward``, ``kl``, ``entropy`` and ``length``, each as ``first`` and ``kept`` (of the loss
        ``last``); None where it was not measured.

    >>> holdout = [{"step": 0, "reward": 0.25, "kl": 0.0}, {"step": 8, "reward": 0.5, "kl": 0.75}]
    >>> raft = {"steps": 9, "kept_step": 8, "stopped": None, "loss_first": 2.0, "loss_last": 0.5, "holdout": holdout}
    >>> shown = told({"methods": {"raft": raft}})["raft"]
    >>> shown["kept_step"], shown["loss"], shown["reward"], shown["length"]
    (8, {'first': 2.0, 'last': 0.5}, {'first': 0.25, 'kept': 0.5}, None)
    """
    return {method: _told(one) for method, one in metrics.get("methods", {}).items()}


def _told(one: Mapping[str, Any]) -> dict[str, Any]:
    measured = one.get("holdout") or []
    first: Mapping[str, Any] = measured[0] if measured else {}
    kept: Mapping[str, Any] = next((m for m in measured if m["step"] == one.get("kept_step")), {})
    return {
        **{name: one.get(name) for name in ("steps", "kept_step", "stopped")},
        "loss": {"first": one.get("loss_first"), "last": one.get("loss_last")},
        **{name: _pair(first.get(name), kept.get(name)) for name in FIGURES},
    }


def _pair(first: float | None, kept: float | None) -> dict[str, float | None] | None:
    return None if first is None and kept is None else {"first": first, "kept": kept}


def by_task(
    tasks: Mapping[str, Mapping[str, Any]], holdout: Sequence[Question], metrics: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """Each task's mean reward on the holdout, before training and of the checkpoint that was kept; None if unknown.

    Args:
        tasks: what is told of each task's examples; it is told again.
        metrics: of one method's training.
    """
    measured = {one["step"]: one["rewards"] for one in metrics["holdout"]}
    found = {}
    for name, told in tasks.items():
        mine = [i for i, question in enumerate(holdout) if question.task == name]
        found[name] = {
            **told,
            "holdout_queries": len(mine),
            "holdout_reward_before": _mean(measured.get(0, ()), mine),
            "holdout_reward": _mean(measured.get(metrics["kept_step"], ()), mine),
        }
    return found


def _mean(rewards: Sequence[float | None], chosen: Sequence[int]) -> float | None:
    known = [reward for i in chosen if rewards and (reward := rewards[i]) is not None]
    return sum(known) / len(known) if known else None
