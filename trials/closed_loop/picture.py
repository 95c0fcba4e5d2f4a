"""How often users were answered rightly, by the time of asking, with the champion's moves."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

WINDOW = 50
"""Answers of one point of the line."""


def draw(cells: Mapping[str, Mapping[str, Any]], path: Path) -> None:
    """One line per seed: the share of right answers among the last :data:`WINDOW`, over the days."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7.6, 3.8), layout="constrained")
    for cell in cells.values():
        began, day = cell["began"], 60.0 * cell["minutes"]
        rows = [row for row in cell["answers"] if row[2] is not None]
        at = [(row[0] - began) / day for row in rows]
        shares = [
            100 * sum(bool(r[2]) for r in rows[max(0, i - WINDOW + 1) : i + 1]) / min(i + 1, WINDOW)
            for i in range(len(rows))
        ]
        axes.plot(at, shares, color="#1f6f43", label=f"the last {WINDOW} answers, seed {cell['seed']}")
        for version, when in first_answers(rows).items():
            place = (when - began) / day
            axes.axvline(place, color="#b5762f", linestyle="--", linewidth=1)
            axes.annotate(
                f"version {version}",
                (place, 1.0),
                xycoords=("data", "axes fraction"),
                xytext=(3, -3),
                textcoords="offset points",
                ha="left",
                va="top",
                color="#8a5a20",
                fontsize=9,
            )
        for number, share in enumerate(cell["right"]):
            axes.annotate(
                f"day {number + 1}: {share:.0%}",
                (number + 0.5, 0),
                xycoords="data",
                xytext=(0, 5),
                textcoords="offset points",
                ha="center",
                color="#444",
                fontsize=9,
            )
    days = max(len(cell["right"]) for cell in cells.values())
    axes.set_xticks(range(days + 1))
    axes.set_xlim(0, days)
    axes.set_ylim(0, 100)
    axes.set_xlabel("simulated days")
    axes.set_ylabel("users' exact match, %")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="center left")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
    pyplot.close(figure)


def first_answers(rows: list[list[Any]]) -> dict[int, float]:
    """When each version but the base model answered first."""
    found: dict[int, float] = {}
    for at, version, *_ in rows:
        if version:
            found.setdefault(version, at)
    return found
