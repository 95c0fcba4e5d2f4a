"""What changed between two turns: the scores, and what a calibrator makes of them."""

from collections.abc import Mapping, Sequence

from tao_ops.rewards.calibration.cases import matrix
from tao_ops.rewards.calibration.model import Calibrator

FLOOR = 1e-4
"""The share that an empty bin counts as."""

Rows = Sequence[Mapping[str, float]]
"""The scores of one response each, of the scorers that decided."""


def drift(before: Rows, now: Rows) -> dict[str, float | None]:
    """The population stability index of each scorer; None where it decided nothing on one of the sides.

    It is the sum over bins of ``(now - before) ln(now / before)``, both as shares (Siddiqi 2006, Credit Risk
    Scorecards; as a divergence: Jeffreys 1946). Bins are the deciles of ``before``, with a bin for each value that is a
    decile itself, so that scores of few values are told apart, and one for undecided. By custom less than 0.1 is no
    change and more than 0.25 a large one; chance alone gives about (bins - 1) (1 / rows before + 1 / rows now).

    >>> half = [{"json": 0.0}, {"json": 1.0}] * 50
    >>> round(drift(half, half[:80] + [{"json": 1.0}] * 20)["json"], 2), drift(half, [{"other": 1.0}])
    (0.04, {'json': None, 'other': None})
    """
    import numpy as np

    found: dict[str, float | None] = {}
    for name in sorted({name for row in (*before, *now) for name in row}):
        old, new = matrix(before, [name])[:, 0], matrix(now, [name])[:, 0]
        if np.isnan(old).all() or np.isnan(new).all():
            found[name] = None
            continue
        edges = np.unique(np.quantile(old[~np.isnan(old)], np.linspace(0.1, 0.9, 9)))
        shares = []
        for values in (old, new):
            # Below an edge, on it and above it are three bins; the last is that of the undecided.
            at = np.searchsorted(edges, values, side="left") + np.searchsorted(edges, values, side="right")
            at = np.where(np.isnan(values), 2 * len(edges) + 1, at)
            shares.append(np.maximum(np.bincount(at, minlength=2 * len(edges) + 2) / len(values), FLOOR))
        found[name] = float(np.sum((shares[1] - shares[0]) * np.log(shares[1] / shares[0])))
    return found


def moved(before: Calibrator, now: Calibrator, rows: Rows) -> float | None:
    """Mean absolute change of the probability of the same responses; None where no response has both."""
    pairs = zip(before.probabilities(rows), now.probabilities(rows), strict=True)
    changes = [abs(b - a) for a, b in pairs if a is not None and b is not None]
    return sum(changes) / len(changes) if changes else None
