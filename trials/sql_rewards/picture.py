"""The curve of the trial: how well agreement parts right from wrong, by how many of eight are right."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np


def plot(cells: Sequence[dict[str, Any]], path: Path) -> None:
    """Means over the seeds' cells; intervals from the lowest to the highest end of theirs."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(9.6, 4.2), layout="constrained", width_ratios=(3, 2))
    numbers = [number for number, one in cells[0]["right_ones"].items() if "auroc" in one]
    curves = [{number: _told(cell["right_ones"][number]) for number in numbers} for cell in cells]
    kinds = [kind for kind in curves[0][numbers[-1]] if kind != "all"]
    colors = pyplot.get_cmap("tab10")(np.linspace(0, 1, 10))
    for i, kind in enumerate([*kinds, "all"]):
        told = [[curve[number].get(kind) for curve in curves] for number in numbers]
        if not all(all(one) for one in told):
            continue
        mean = np.array([np.mean([one["auroc"] for one in several]) for several in told])
        low = mean - [min(one["low"] for one in several) for several in told]
        high = [max(one["high"] for one in several) for several in told] - mean
        style = (
            {"color": "black", "linewidth": 2.5, "zorder": 3} if kind == "all" else {"color": colors[i], "alpha": 0.8}
        )
        at = np.arange(len(numbers)) + (i - len(kinds) / 2) * 0.03
        label = "mean of the kinds of mistakes" if kind == "all" else kind
        left.errorbar(at, mean, yerr=[low, high], capsize=2, marker="o", markersize=4, label=label, **style)
    left.axhline(0.5, color="grey", linestyle=":", linewidth=1)
    left.set_xticks(range(len(numbers)), [f"{number} of 8" for number in numbers])
    left.set_ylim(0, 1.02)
    left.set_xlabel("right responses in a pool")
    left.set_ylabel("AUROC, right against wrong of the same pool")
    left.legend(loc="lower right", frameon=False, fontsize=8)
    every = list(cells[0]["right_ones"])
    for name, label, color in (
        ("best_is_right", "the best of eight is right", "#1f6f43"),
        ("wrong_with_any_reward", "wrong ones that another wrong one agrees with", "#b5483a"),
    ):
        values = [np.mean([cell["right_ones"][number][name] for cell in cells]) for number in every]
        right.plot(range(len(every)), values, marker="o", color=color, label=label)
    right.set_xticks(range(len(every)), [f"{number} of 8" for number in every])
    right.set_ylim(-0.02, 1.25)
    right.set_yticks(np.linspace(0, 1, 6))
    right.set_xlabel("right responses in a pool")
    right.set_ylabel("share")
    right.legend(loc="upper left", frameon=False, fontsize=8)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
    pyplot.close(figure)


def _told(one: dict[str, Any]) -> dict[str, Any]:
    """The AUROC of a composition by kind, the model's own among them."""
    own = one.get("model", {}).get("auroc", {})
    return {**one["auroc"], **{kind: value for kind, value in own.items() if kind != "all"}}
