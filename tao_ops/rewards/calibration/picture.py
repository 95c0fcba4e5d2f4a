"""A reliability diagram: what the probabilities promise beside what came true."""

from pathlib import Path
from typing import TYPE_CHECKING

from tao_ops.errors import ConfigError
from tao_ops.files import replaced
from tao_ops.rewards.calibration.quality import WIDTH, CalibrationReport, Estimate

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LINE, _BARS, _REST = "#1f6f43", "#6b8fb5", "#8a949e"


def draw(report: CalibrationReport, path: Path, *, task: str) -> None:
    """Write a PNG: by bin the share that is right against the mean probability, and how the probabilities spread.

    Raises:
        ConfigError: there is no folder for it.
    """
    if not path.absolute().parent.is_dir():
        raise ConfigError("there is no such folder", where=path.parent, mend="make it, or name another file")
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (above, below) = pyplot.subplots(
        2, 1, figsize=(5.6, 7.0), height_ratios=(4.4, 1), sharex=True, layout="constrained"
    )
    _reliability(above, report)
    above.set_title(f"{task}: {report.n:,} labelled responses of {report.queries:,} queries", loc="left", fontsize=11)
    _spread(below, report)
    for axes in (above, below):
        axes.spines[["top", "right"]].set_visible(False)
    with replaced(path) as part:
        figure.savefig(part, dpi=130, format="png")
    pyplot.close(figure)


def _reliability(axes: "Axes", report: CalibrationReport) -> None:
    axes.plot([0, 1], [0, 1], color=_REST, linestyle="--", linewidth=1, label="perfect")
    means = [one.mean for one in report.bins]
    right = [one.right for one in report.bins]
    spread = [[one.right - one.low for one in report.bins], [one.high - one.right for one in report.bins]]
    # Rounding may put an interval's end a hair past its middle.
    spread = [[max(0.0, value) for value in side] for side in spread]
    axes.errorbar(means, right, spread, color=_LINE, marker="o", capsize=3, label="seen, with 95 % interval")
    lines = [_written(name, one) for name, one in (("ECE", report.ece), ("Brier", report.brier))]
    if report.ece_by_chance is not None:
        lines.insert(1, f"  by chance {report.ece_by_chance:.3f}")
    lines.append(_written("AUROC", report.auroc))
    paper = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8}
    axes.text(0.98, 0.03, "\n".join(lines), transform=axes.transAxes, ha="right", va="bottom", fontsize=9, bbox=paper)
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), ylabel="share that is right")
    axes.legend(frameon=False, loc="upper left", fontsize=9)


def _spread(axes: "Axes", report: CalibrationReport) -> None:
    at = [(i + 0.5) / WIDTH for i in range(len(report.histogram))]
    axes.bar(at, report.histogram, width=0.9 / WIDTH, color=_BARS)
    axes.set(xlabel="probability of being right", ylabel="responses")


def _written(name: str, one: Estimate | None) -> str:
    return f"{name} undefined" if one is None else f"{name} {one.value:.3f} [{one.low:.3f}, {one.high:.3f}]"
