"""How a training went, as a picture: a small chart for each figure, over the updates of all its methods."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tao_ops.files import replaced
from tao_ops.updating.journal import HOLDOUT, Axis, Line

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_PANELS = {
    "loss": "loss",
    "reward": "reward (0 to 1)",
    "kl": "divergence (nats per token)",
    "entropy": "entropy (nats per token)",
    "length": "length (tokens of an answer)",
    "learning_rate": "learning rate",
}
_STEPS = ("#4c78a8", "#b5762b")
"""Of the first method and of the one after it."""
_HELD, _KEPT, _REST = "#1f6f43", "#a23b72", "#8a949e"
_MANY = 60
"""From so many points on, a line of means is drawn through them."""

Series = list[tuple[int, float]]


def draw(lines: Sequence[Line], path: Path, *, kept: Mapping[str, int] | None = None) -> None:
    """Write a PNG of loss, reward, divergence, entropy, length and learning rate, of training and on the holdout.

    Args:
        lines: in their order.
        kept: by method, the step whose checkpoint was kept.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from matplotlib.ticker import MaxNLocator

    axis, held, trained = Axis(), _empty(), dict[str, dict[str, Series]]()
    for one in lines:
        at = axis(one)
        for name, value in one.figures.items():
            of = held if name.startswith(HOLDOUT) else trained.setdefault(one.method, _empty())
            if value is not None:
                of.get(name.removeprefix(HOLDOUT), []).append((at, value))
    figure, grid = pyplot.subplots(2, 3, figsize=(11.4, 5.6), sharex=True, layout="constrained")
    for axes, (name, label) in zip(grid.flat, _PANELS.items(), strict=True):
        _panel(axes, {method: series[name] for method, series in trained.items()}, held[name])
        for method, start in list(axis.starts.items())[1:]:
            axes.axvline(start, color=_REST, linewidth=0.8, linestyle=":", label=f"{method} begins")
        for method, step in (kept or {}).items():
            at = axis.starts.get(method, 0) + step
            axes.axvline(at, color=_KEPT, linewidth=1.2, linestyle="--", label="kept checkpoint")
        axes.set_title(label, loc="left", fontsize=10)
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=8)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    for axes in grid[1]:
        axes.set_xlabel("step (updates)", fontsize=9)
    if any(series["kl"] for series in trained.values()):
        told = "in training: from where the method begins;\non the holdout: from the champion"
        grid.flat[2].text(0.02, 0.98, told, transform=grid.flat[2].transAxes, va="top", color=_REST, fontsize=7)
    labelled = {
        label: drawn for axes in grid.flat for drawn, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.legend(labelled.values(), labelled, loc="outside upper left", ncols=6, frameon=False, fontsize=9)
    with replaced(path) as part:
        figure.savefig(part, dpi=130, format="png")
    pyplot.close(figure)


def _panel(axes: "Axes", trained: Mapping[str, Series], held: Series) -> None:
    for (method, series), color in zip(trained.items(), _STEPS, strict=False):
        if not series:
            continue
        label, many = f"training, {method}", len(series) >= _MANY
        at, values = zip(*series, strict=True)
        marker = "o" if len(series) == 1 else None
        axes.plot(
            at,
            values,
            color=color,
            linewidth=0.7 if many else 1.3,
            alpha=0.35 if many else 1.0,
            marker=marker,
            label=None if many else label,
        )
        if many:
            axes.plot(at, _means(values), color=color, linewidth=1.6, label=label)
    if held:
        at, values = zip(*held, strict=True)
        axes.plot(at, values, color=_HELD, marker="o", markersize=5, linewidth=1, label="on the holdout")
    if not held and not any(trained.values()):
        axes.text(0.5, 0.5, "not measured", transform=axes.transAxes, ha="center", va="center", color=_REST, fontsize=9)
        axes.set_yticks([])


def _means(values: Sequence[float]) -> list[float]:
    """Of each value and those around it, a twentieth of all."""
    reach = max(1, len(values) // 40)
    sums = [0.0]
    for value in values:
        sums.append(sums[-1] + value)
    ends = [(max(0, i - reach), min(len(values), i + reach + 1)) for i in range(len(values))]
    return [(sums[high] - sums[low]) / (high - low) for low, high in ends]


def _empty() -> dict[str, Series]:
    return {name: [] for name in _PANELS}
