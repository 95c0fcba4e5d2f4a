"""What a budget of false promotions costs and saves, and how often a better candidate is promoted."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trials.gate import months, single

_WEEKLY = ("weekly +5, 300 items", "weekly +5, 1000 items")
_DIFFER = 0.2
_GREEN, _RED, _GREY = "#1f6f43", "#b5483a", "#9a9a9a"


def plot(cells: Mapping[str, Mapping[str, Any]], path: Path) -> None:
    """Draw the cells of the months and of power."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (left, middle, right) = pyplot.subplots(
        1, 3, figsize=(13, 4.4), layout="constrained", width_ratios=(4, 4, 4)
    )
    _false(left, cells)
    _true(middle, cells)
    _power(right, cells)
    for axes in (left, middle, right):
        axes.spines[["top", "right"]].set_visible(False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
    pyplot.close(figure)


def _false(axes: Any, cells: Mapping[str, Mapping[str, Any]]) -> None:
    names = list(months.SCHEMES)[::-1]
    values = [100 * cells["month: none"]["rows"][name]["false_months"] for name in names]
    bars = axes.barh(names, values, color=[_RED if name == months.NONE else _GREY for name in names])
    bars[names.index(months.CHOSEN)].set_color(_GREEN)
    axes.axvline(100 * single.ALPHA, color="black", linestyle=":", linewidth=1)
    over_the_line = {"facecolor": "white", "edgecolor": "none", "pad": 1}
    axes.bar_label(bars, [f"{value:.1f} %" for value in values], padding=4, fontsize=9, bbox=over_the_line)
    axes.text(100 * single.ALPHA + 0.3, -0.62, "alpha", fontsize=8, va="bottom")
    axes.set_xlim(0, 1.2 * max(values))
    axes.set_xlabel("% of months that promote by chance")
    axes.set_title("30 candidates, none better", fontsize=10)


def _true(axes: Any, cells: Mapping[str, Mapping[str, Any]]) -> None:
    names = list(months.SCHEMES)[::-1]
    for shift, (scenario, color) in zip((0.2, -0.2), zip(_WEEKLY, ("#a9c9b6", _GREEN), strict=True), strict=True):
        values = [cells[f"month: {scenario}"]["rows"][name]["true_a_month"] for name in names]
        bars = axes.barh([y + shift for y in range(len(names))], values, 0.38, color=color, label=scenario)
        axes.bar_label(bars, [f"{value:.2f}" for value in values], padding=3, fontsize=8)
    axes.set_yticks(range(len(names)), [])
    axes.set_xlim(0, 4)
    axes.set_xlabel("better candidates promoted a month, of 4")
    axes.set_title("one candidate a week truly better by 5 points", fontsize=10)
    axes.legend(loc="lower right", frameon=False, fontsize=9)


def _power(axes: Any, cells: Mapping[str, Mapping[str, Any]]) -> None:
    rows = [row for row in cells["power"]["rows"] if row["differ"] == _DIFFER]
    gains = [100 * row["gain"] for row in rows]
    for night, color in zip(rows[0]["promoted"], (_GREEN, "#5b9c78", "#c79a3b", _RED), strict=True):
        shares = [100 * row["promoted"][night] for row in rows]
        axes.plot(gains, shares, marker="o", color=color, label=f"no. {night}")
    at_alpha = [100 * row["promoted_at_alpha"] for row in rows]
    axes.plot(gains, at_alpha, marker="o", color=_GREY, linestyle="--", label="at alpha")
    axes.axhline(100 * single.POWER, color="black", linestyle=":", linewidth=1)
    axes.set_ylim(0, 102)
    axes.set_xlabel("truly better by, points")
    axes.set_ylabel("% promoted")
    axes.set_title(f"{rows[0]['n']} items, {_DIFFER:.0%} answered differently", fontsize=10)
    opaque = {"framealpha": 1, "edgecolor": "white"}
    axes.legend(loc="upper left", fontsize=9, title="candidate of this champion", title_fontsize=9, **opaque)
