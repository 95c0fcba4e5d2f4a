"""What each strategy cost and found, as a picture."""

from pathlib import Path
from typing import TYPE_CHECKING

from tao_ops.errors import ConfigError
from tao_ops.exploration.yields import Yields
from tao_ops.files import replaced

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_PASSED, _REST = "#1f6f43", "#c3ccd6"


def draw(yields: Yields, path: Path) -> None:
    """Write a PNG: by task and strategy the responses that passed and those that didn't, pass rate, tokens a pass.

    Raises:
        ConfigError: there is no folder for it.
    """
    if not path.absolute().parent.is_dir():
        raise ConfigError("there is no such folder", where=path.parent, mend="make it, or name another file")
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    rows = [
        (f"{task}/{name}" if len(yields) > 1 else name, one) for task in yields for name, one in yields[task].items()
    ]
    rows.reverse()  # the first strategy stands on top
    height = 1.5 + 0.42 * len(rows)
    figure, (left, right) = pyplot.subplots(1, 2, figsize=(8.4, height), sharey=True, layout="constrained")
    at = range(len(rows))
    passed = [one.passed for _, one in rows]
    left.barh(at, passed, color=_PASSED, label="passed")
    left.barh(at, [one.samples - one.passed for _, one in rows], left=passed, color=_REST, label="did not")
    for i, (_, one) in enumerate(rows):
        rate = one.passed / one.samples if one.samples else 0.0
        left.annotate(f"{rate:.0%}", (one.samples, i), xytext=(4, 0), textcoords="offset points", va="center")
    left.set_yticks(at, [name for name, _ in rows])
    left.set_xlabel("samples")
    left.margins(x=0.15)
    left.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, 1.12 + 0.2 / len(rows)), ncols=2)
    _costs(right, [one.tokens for _, one in rows], [one.tokens / one.passed if one.passed else None for _, one in rows])
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    with replaced(path) as part:
        figure.savefig(part, dpi=130, format="png")
    pyplot.close(figure)


def _costs(axes: "Axes", tokens: list[float], a_pass: list[float | None]) -> None:
    bars = axes.barh(range(len(tokens)), tokens, color="#6b8fb5")
    axes.bar_label(bars, ["none passed" if one is None else f"{one:,.0f} a pass" for one in a_pass], padding=4)
    axes.set_xlabel("tokens")
    axes.margins(x=0.35)
