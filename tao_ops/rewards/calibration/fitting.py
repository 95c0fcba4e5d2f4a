"""Fitting a calibrator to labels: logistic regression that knows higher scores are better, then a monotone curve.

Scores are few and labels are fewer, so the regression is told what is known beforehand. Every coefficient is at least
0, for a scorer's higher value never speaks against a response. Each has a normal prior around :data:`PRIOR`, so that a
scorer whose value was the same in all labelled cases still counts when it differs later. An undecided scorer has its
own value between the scorer's 0 and 1, learnt with the rest: to have no score never pays more than to have the best.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tao_ops.rewards.calibration.cases import WEIGHTS, Case, matrix
from tao_ops.rewards.calibration.model import Calibrator

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

PRIOR = 2.0
"""Log-odds between a scorer's 0 and its 1 before any label is seen: right is seven times as likely for a 1."""
VARIANCES = (0.25, 1.0, 4.0, 16.0, 64.0)
"""Variances of the prior that cross-validation chooses from; a small one trusts the labels little."""
FOLDS = 5
_DIGITS = 6
"""Decimals of a calibrator: those that an optimiser finds alike on every machine."""


@dataclass(frozen=True)
class Data:
    """Cases as arrays of one length: scores (cases, names), targets in [0, 1], weights, and folds from 0."""

    names: tuple[str, ...]
    values: "Array"
    targets: "Array"
    weights: "Array"
    folds: "NDArray[np.int64]"

    def part(self, mask: "NDArray[np.bool_]") -> "Data":
        """The cases of a mask."""
        return Data(self.names, self.values[mask], self.targets[mask], self.weights[mask], self.folds[mask])


def fit(cases: Sequence[Case], *, names: Sequence[str], least: int, isotonic: int, seed: int) -> Calibrator | str:
    """A calibrator of the labelled ones among the cases; or the reason of none.

    Labels weigh by source (:data:`WEIGHTS`).

    Args:
        cases: any; those without a label do not count.
        names: the scorers, in order.
        least: fewer labels than this are not fitted to.
        isotonic: from this many labels on, a monotone curve follows the logistic step.
        seed: decides which queries are held out together.
    """
    labelled = [case for case in cases if case.label is not None]
    if len(labelled) < least:
        return "too few labels"
    if len({case.label for case in labelled}) < 2:
        return "all labels are the same"
    data = as_data(labelled, names, seed)
    if not data.names:
        return "no scorer decided"
    found = fitted(data, isotonic)
    labels = dict(sorted(Counter(case.source for case in labelled).items()))
    return found.model_copy(update={"labels": labels, "queries": len({case.query_id for case in labelled})})


def out_of_fold(cases: Sequence[Case], *, names: Sequence[str], isotonic: int, seed: int) -> list[float | None]:
    """The probability of each case by a calibrator that was fitted to the other queries' labels alone.

    All of :func:`fit` is done anew for each of at most five parts of the queries. None where the others' labels say
    nothing of a case's scorers; for all, where there is one query only.

    Raises:
        ValueError: a case has no label.
    """
    data = as_data(cases, names, seed)
    found: list[float | None] = [None] * len(cases)
    for fold in sorted(set(data.folds.tolist())):
        held = data.folds == fold
        rest = [case for case, out in zip(cases, held.tolist(), strict=True) if not out]
        if not rest or not (train := as_data(rest, names, seed)).names:
            continue
        at = held.nonzero()[0].tolist()
        values = fitted(train, isotonic).probabilities([cases[i].scores for i in at])
        for i, value in zip(at, values, strict=True):
            found[i] = value
    return found


def as_data(cases: Sequence[Case], names: Sequence[str], seed: int, targets: Sequence[float] | None = None) -> Data:
    """Cases as arrays, of no scorer where none decided any; ``targets`` stand in the place of labels.

    A scorer that decided none of them keeps its prior: it may decide later, and must then count for something.
    """
    import numpy as np

    every = matrix([case.scores for case in cases], names)
    nothing = bool(np.isnan(every).all())
    if targets is None:
        if any(case.label is None for case in cases):
            raise ValueError("a case without a label cannot be fitted to")
        targets = [case.label for case in cases if case.label is not None]
    return Data(
        names=() if nothing else tuple(names),
        values=every,
        targets=np.array(targets, dtype=np.float64),
        weights=np.array([WEIGHTS.get(case.source, 1.0) for case in cases]),
        folds=_folds([case.query_id for case in cases], targets, seed),
    )


def _folds(queries: Sequence[str], targets: Sequence[float], seed: int) -> "NDArray[np.int64]":
    """Whole queries dealt to at most five folds, each with its share of those that are mostly right."""
    import numpy as np

    sums: dict[str, list[float]] = {}
    for query, target in zip(queries, targets, strict=True):
        sums.setdefault(query, []).append(target)
    order = sorted(sums)
    np.random.default_rng(seed).shuffle(order)
    order.sort(key=lambda query: sum(sums[query]) / len(sums[query]))  # stable: equals stay shuffled
    of = {query: i % FOLDS for i, query in enumerate(order)}
    return np.array([of[query] for query in queries], dtype=np.int64)


def fitted(data: Data, isotonic: int) -> Calibrator:
    """The calibrator of some cases, whatever their labels; the curve only from ``isotonic`` cases on."""
    import numpy as np

    folds = sorted(set(data.folds.tolist()))
    if len(folds) < 2:
        return logistic(data, 1.0)
    held: list[Array] = []
    for variance in VARIANCES:
        log_odds = np.empty(len(data.targets))
        for fold in folds:
            out = data.folds == fold
            log_odds[out] = logistic(data.part(~out), variance).log_odds(data.values[out])
        held.append(log_odds)
    best = int(np.argmin([round(_loss(one, data), 9) for one in held]))  # of equals the smallest variance
    found = logistic(data, VARIANCES[best])
    if len(data.targets) < isotonic:
        return found
    return found.model_copy(update={"knots": _knots(held[best], data)})


def _loss(log_odds: "Array", data: Data) -> float:
    """Weighted mean cross-entropy, in nats."""
    import numpy as np

    each = np.logaddexp(0.0, log_odds) - data.targets * log_odds
    return float(np.average(each, weights=data.weights))


def logistic(data: Data, variance: float) -> Calibrator:
    """Logistic regression by maximum a posteriori, coefficients at least 0, each with prior N(PRIOR, variance).

    A scorer has two columns, its value with 1 and its value with 0 where it is undecided, both with a coefficient of
    at least 0. Their sum is the scorer's coefficient, the first one's part of it the fill value. The prior splits a
    coefficient so that the fill value is the scorer's mean until data say otherwise.
    """
    import numpy as np
    from scipy.optimize import minimize

    undecided = np.isnan(data.values)
    mean = np.array([np.mean(data.values[~gone, k]) if not gone.all() else 0.5 for k, gone in enumerate(undecided.T)])
    share = np.clip(mean, 0.05, 0.95)
    columns = np.hstack([np.where(undecided, 1.0, data.values), np.where(undecided, 0.0, data.values)])
    parts = np.concatenate([share, 1.0 - share])
    centre = np.average(columns, axis=0, weights=data.weights)
    # The intercept, at the centre, is all but free; its wide prior keeps it finite where all labels are the same.
    inputs = np.hstack([columns - centre, np.ones((len(columns), 1))])
    start = np.append(PRIOR * parts, 0.0)
    widths = np.append(variance * parts, 100.0)

    def loss(w: "Array") -> "tuple[float, Array]":
        odds = inputs @ w
        value = data.weights @ (np.logaddexp(0.0, odds) - data.targets * odds) + 0.5 * np.sum((w - start) ** 2 / widths)
        slope = inputs.T @ (data.weights * (1.0 / (1.0 + np.exp(-odds)) - data.targets)) + (w - start) / widths
        return float(value), slope

    bounds = [(0.0, None)] * len(parts) + [(None, None)]
    w = minimize(
        loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 1000, "ftol": 1e-14, "gtol": 1e-9}
    ).x
    high, low = w[: len(share)], w[len(share) : -1]
    total = high + low
    fills = np.where(total > 0.0, high / np.where(total > 0.0, total, 1.0), share)
    return Calibrator(
        names=data.names,
        coefficients=tuple(round(v, _DIGITS) for v in total.tolist()),
        fills=tuple(round(v, _DIGITS) for v in fills.tolist()),
        intercept=round(float(w[-1] - w[:-1] @ centre), _DIGITS),
    )


def _knots(log_odds: "Array", data: Data) -> tuple[tuple[float, float], ...]:
    """The monotone curve through held-out labels: isotonic regression, each level step drawn in to its centre.

    Lines between the steps' centres keep apart what a plain isotonic curve makes equal, so that two responses of
    different scores seldom get the same reward (centred isotonic regression, Oron and Flournoy 2017, Statistics in
    Biopharmaceutical Research 9(3)). The ends stay as far from 0 and 1 as one further case of the other kind puts them.
    """
    import numpy as np
    from sklearn.isotonic import IsotonicRegression

    steps = IsotonicRegression().fit_transform(log_odds, data.targets, sample_weight=data.weights).round(9)
    edge = 1.0 / (len(steps) + 2.0)
    knots: list[tuple[float, float]] = []
    for level in np.unique(steps):
        on = steps == level
        x = round(float(np.average(log_odds[on], weights=data.weights[on])), _DIGITS)
        y = round(float(np.clip(level, edge, 1.0 - edge)), _DIGITS)
        if not knots or x > knots[-1][0]:
            knots.append((x, y))
    return tuple(knots)
