"""The score by turn, for each seed, beside the control."""

from pathlib import Path

from tao_ops.settings import PROJECT
from trials.quality.cell import Known, key
from trials.quality.figures import score
from trials.quality.settings import SEEDS, TURNS

PICTURE = PROJECT / "docs" / "images" / "turns.png"


def draw(turns: Known, path: Path = PICTURE) -> None:
    """One line per seed with 95 % intervals over the items, from the untuned model on; nothing without a cell."""
    measured = [cell for cell in turns.values() if "benchmark" in cell]
    if not measured:
        return
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7.2, 3.8), layout="constrained")
    for seed, color in zip(SEEDS, ("#1f6f43", "#6b8fb5", "#b5762f"), strict=True):
        at, scores, bars = _line(turns, seed)
        if at:
            axes.errorbar(at, scores, yerr=bars, color=color, marker="o", capsize=3, label=f"seed {seed}")
    controls = [value for seed in SEEDS if (value := score(turns.get(key(seed, "1")), "control")) is not None]
    if controls:
        control = 100 * sum(controls) / len(controls)
        axes.axhline(control, color="#888", linestyle="--", linewidth=1)
        said = "untuned model, worked examples in its prompt"
        axes.annotate(
            said,
            (1.0, control),
            xycoords=("axes fraction", "data"),
            ha="right",
            va="bottom",
            color="#666",
            fontsize=9,
        )
    axes.set_xticks([0, *TURNS], ["untuned", *(f"turn {turn}" for turn in TURNS)])
    axes.set_ylabel(f"exact match, % of {measured[0]['benchmark']['n']} held-out items")
    axes.set_ylim(0, 100)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="lower right")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
    pyplot.close(figure)


def _line(turns: Known, seed: int) -> tuple[list[int], list[float], list[list[float]]]:
    """Places, scores and the lengths of the intervals below and above them, of the seed's measured turns."""
    found: list[tuple[int, float, float, float]] = []
    for turn in TURNS:
        cell = turns.get(key(seed, str(turn)))
        if cell is None or "benchmark" not in cell:
            continue
        for place, arm in ((0, "champion"), (turn, "candidate")):
            if place or turn == 1:
                line = cell["benchmark"]
                found.append((place, *(100 * line[name] for name in (arm, f"{arm}_low", f"{arm}_high"))))
    lows = [value - low for _, value, low, _ in found]
    highs = [high - value for _, value, _, high in found]
    return [place for place, *_ in found], [value for _, value, *_ in found], [lows, highs]
