"""Quality against tokens, a row for each task and a column for each quality."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

_COLORS = {
    "adaptive": "#1f6f43",
    "uniform": "#6b8fb5",
    "demonstrations alone": "#b5762f",
    "structured alone": "#8a5a9e",
    "plain": "#9aa5b1",
}


def draw(tasks: Mapping[str, Mapping[str, Sequence[Sequence[Any]]]], qualities: Mapping[str, str], path: Path) -> None:
    """Write a PNG: the mean over the replays as a line, the middle 90 % of them as a band."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    size = (3.6 * len(qualities), 2.9 * len(tasks))
    figure, grid = pyplot.subplots(len(tasks), len(qualities), figsize=size, squeeze=False, layout="constrained")
    for row, (task, curves) in zip(grid, tasks.items(), strict=True):
        for axes, (quality, label) in zip(row, qualities.items(), strict=True):
            for policy, curve in curves.items():
                tokens = [np.mean([point.tokens for point in points]) for points in curve]
                values = [[getattr(point, quality) for point in points] for points in curve]
                low, high = np.quantile(values, (0.05, 0.95), axis=1)
                axes.plot(tokens, np.mean(values, axis=1), color=_COLORS[policy], marker=".", label=policy)
                axes.fill_between(tokens, low, high, color=_COLORS[policy], alpha=0.15, linewidth=0)
            axes.set_title(f"{task}: {label}", fontsize=10)
            axes.set_xlabel("tokens")
            axes.set_ylim(bottom=0)
            axes.spines[["top", "right"]].set_visible(False)
    handles, labels = grid[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(labels), frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)
    pyplot.close(figure)
