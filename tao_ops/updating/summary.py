"""How a turn's training went, in a few figures for each method."""

from collections.abc import Mapping
from typing import Any

FIGURES = ("reward", "kl", "entropy", "length")
"""What is measured on the holdout."""


def told(metrics: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """What ``tao turn show --json`` tells of each method's training.

    Args:
        metrics: of the stage ``update``.

    Returns:
        By method: ``steps``; ``kept_step``, the one whose checkpoint became the candidate; ``stopped``, why it ended
        early, or None; ``loss``, and of the holdout ``reward``, ``kl``, ``entropy`` and ``length``, each as ``first``
        and ``kept`` (of the loss ``last``); None where it was not measured.

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
