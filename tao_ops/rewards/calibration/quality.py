"""How good probabilities of being correct are: ranking, error, calibration, each with what chance does to it."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from tao_ops.rewards.calibration.cases import Case, matrix

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Ints = NDArray[np.int64]

BINS = 10
"""Most bins of a calibration error."""
A_BIN = 10
"""Fewest cases a bin; with fewer, the error is mostly noise."""
RESAMPLES = 1000
_AT_ONCE = 2_000_000
"""Most numbers of resamples that are held at once."""
WIDTH = 20
"""Equally wide parts of [0, 1] that probabilities are counted in."""


@dataclass(frozen=True)
class Estimate:
    """A figure with the 95 % percentile interval of a bootstrap over queries."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Bin:
    """Cases of like probability.

    Attributes:
        n: how many.
        mean: their mean probability.
        right: the share of them that is right.
        low: of the 95 % Wilson interval of that share, as if all were of different queries.
        high: of the same interval.
    """

    n: int
    mean: float
    right: float
    low: float
    high: float


@dataclass(frozen=True)
class CalibrationReport:
    """How good a calibrator is on labelled cases.

    Attributes:
        n: cases with a label and a probability.
        queries: of so many queries.
        undecided: labelled cases without a probability; they are in no figure.
        labels: cases by the source of their label.
        base_rate: the share that is right.
        auroc: area under the ROC curve; None where all labels are the same.
        brier: mean squared error of the probability (Brier 1950).
        ece: expected calibration error, see :func:`report`.
        ece_by_chance: the error that a perfect calibrator shows in the mean on as many cases: a smaller figure than
            this can't be told from perfect.
        scorers: each scorer's AUROC alone, over the cases that it decided.
        bins: of the calibration error, from low to high.
        histogram: how many probabilities lie in each of 20 equal parts of [0, 1].
    """

    n: int
    queries: int
    undecided: int
    labels: dict[str, int]
    base_rate: float | None
    auroc: Estimate | None
    brier: Estimate | None
    ece: Estimate | None
    ece_by_chance: float | None
    scorers: dict[str, Estimate | None]
    bins: tuple[Bin, ...]
    histogram: tuple[int, ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain values, fit for JSON."""
        return asdict(self)


def report(
    cases: Sequence[Case], probabilities: Sequence[float | None], *, names: Sequence[str], seed: int
) -> CalibrationReport:
    """How good probabilities are, over the labelled ones among the cases; each label counts alike.

    The probabilities must not come from a calibrator that saw these labels: see
    :func:`~tao_ops.rewards.calibration.out_of_fold`.

    The expected calibration error is the mean, over bins weighted by their cases, of the distance between mean
    probability and share of right ones (Naeini et al., AAAI 2015; Guo et al., ICML 2017). Bins hold equally many
    cases, ten bins or as many as leave ten cases a bin; equal probabilities stay in one bin. A finite sample makes it
    larger than it is, the more so the fewer cases (``ece_by_chance``), and a bootstrap once more: the interval lies
    high on few cases. Bins stay as they are in the bootstrap, which draws whole queries.

    Args:
        cases: any; those without a label do not count.
        probabilities: one per case; None where there is none.
        names: the scorers whose own AUROC is wanted.
        seed: of the bootstrap.
    """
    import numpy as np

    pairs = [(c, p) for c, p in zip(cases, probabilities, strict=True) if c.label is not None]
    used = [(case, p) for case, p in pairs if p is not None]
    y = np.array([case.label for case, _ in used], dtype=np.float64)
    p = np.array([p for _, p in used], dtype=np.float64)
    queries, of = np.unique([case.query_id for case, _ in used], return_inverse=True)
    random = np.random.default_rng(seed)
    at = _bins(p)
    values = matrix([case.scores for case, _ in used], names)
    figures: list[list[Array]] = []
    for weights in _resampled(of, len(queries), random):
        whole = [_aurocs(p, y, weights), _means((p - y) ** 2, weights), _errors(p - y, at, weights)]
        figures.append(whole + [_alone(values[:, k], y, weights) for k in range(len(names))])
    auroc, brier, ece, *alone = [_estimate(np.concatenate(parts)) for parts in zip(*figures, strict=True)]
    return CalibrationReport(
        n=len(used),
        queries=len(queries),
        undecided=len(pairs) - len(used),
        labels=dict(sorted(Counter(case.source for case, _ in used).items())),
        base_rate=float(y.mean()) if used else None,
        auroc=auroc,
        brier=brier,
        ece=ece,
        ece_by_chance=_by_chance(p, at, random) if used else None,
        scorers=dict(zip(names, alone, strict=True)),
        bins=tuple(_bin(p[at == k], y[at == k]) for k in np.unique(at)),
        histogram=tuple(np.histogram(p, bins=WIDTH, range=(0.0, 1.0))[0].tolist()),
    )


def _resampled(of: "Ints", queries: int, random: "np.random.Generator") -> "Iterator[Array]":
    """How often each case is drawn, in blocks of shape (draws, cases); the first block has each case once."""
    import numpy as np

    yield np.ones((1, len(of)))
    left = RESAMPLES if queries else 0
    while left:
        draws = min(left, max(1, _AT_ONCE // len(of)))
        yield random.multinomial(queries, np.full(queries, 1.0 / queries), size=draws)[:, of].astype(np.float64)
        left -= draws


def _estimate(values: "Array") -> Estimate | None:
    """The first value, with the interval of the further ones; those that are not defined don't count."""
    import numpy as np

    if np.isnan(values[0]):
        return None
    drawn = values[~np.isnan(values)]
    low, high = np.quantile(drawn[1:] if len(drawn) > 1 else drawn, (0.025, 0.975))
    return Estimate(float(values[0]), float(low), float(high))


def _alone(values: "Array", y: "Array", weights: "Array") -> "Array":
    import numpy as np

    decided = ~np.isnan(values)
    return _aurocs(values[decided], y[decided], weights[:, decided])


def _aurocs(values: "Array", y: "Array", weights: "Array") -> "Array":
    """The share of pairs, right and wrong, whose right one has the higher value, ties as half; one per weighting."""
    import numpy as np

    if not len(values):
        return np.full(len(weights), np.nan)
    order = np.argsort(values, kind="stable")
    starts = np.unique(values[order], return_index=True)[1]
    right = np.add.reduceat((weights * y)[:, order], starts, axis=1)
    wrong = np.add.reduceat((weights * (1.0 - y))[:, order], starts, axis=1)
    below = np.cumsum(wrong, axis=1) - wrong / 2.0
    pairs = right.sum(axis=1) * wrong.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(pairs > 0.0, (right * below).sum(axis=1) / pairs, np.nan))


def _means(values: "Array", weights: "Array") -> "Array":
    """Weighted means; one per weighting."""
    import numpy as np

    return np.asarray(weights @ values / weights.sum(axis=1)) if len(values) else np.full(len(weights), np.nan)


def _bins(p: "Array") -> "Ints":
    """The bin of each probability."""
    import numpy as np
    from scipy.stats import rankdata

    bins = max(1, min(BINS, len(p) // A_BIN))
    middle = (rankdata(p) - 0.5) / max(1, len(p))
    found: Ints = np.minimum((bins * middle).astype(np.int64), bins - 1)
    return found


def _errors(gaps: "Array", at: "Ints", weights: "Array") -> "Array":
    """Expected calibration errors by weighting; ``gaps`` are probability minus label, or these by weighting."""
    import numpy as np

    if not len(at):
        return np.full(len(weights), np.nan)
    sums = (weights * gaps) @ np.eye(int(at.max()) + 1)[at]
    return np.asarray(np.abs(sums).sum(axis=1) / weights.sum(axis=1))


def _by_chance(p: "Array", at: "Ints", random: "np.random.Generator") -> float:
    """The mean calibration error over 200 draws of labels that the probabilities are true of."""
    import numpy as np

    each = np.ones((1, len(p)))
    return float(np.mean([_errors(p - (random.random(len(p)) < p), at, each)[0] for _ in range(200)]))


def _bin(p: "Array", y: "Array") -> Bin:
    from scipy.stats import binomtest

    interval = binomtest(int(y.sum()), len(y)).proportion_ci(method="wilson")
    return Bin(len(y), float(p.mean()), float(y.mean()), float(interval.low), float(interval.high))
