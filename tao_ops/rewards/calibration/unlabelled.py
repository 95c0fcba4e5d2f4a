"""Calibration without labels: scorers as raters whose accuracies follow from how they agree.

Dawid and Skene (1979, Journal of the Royal Statistical Society C 28(1), 20–28) find, by expectation maximisation, how
often each rater says right of right responses and wrong of wrong ones, and so each response's probability of being
right. It holds where raters err independently of each other, and what is done here is due to their not quite doing so:

- What a rule vetoes is wrong and must not be among the cases: rules build on each other (no grounding without valid
  JSON), and their common verdict would be taken for correctness. With three scorers of a made-up task that was an
  error of 0.29. So a rater whose no is always everybody's no is left out, too.
- At least three raters, each agreeing with the others: fewer don't identify anything (two raters that agree may both
  be right or both be wrong).
- The log-odds that verdicts add are divided by :data:`TEMPER`, for scorers that share a model share its errors.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tao_ops.rewards.calibration.cases import Case, matrix
from tao_ops.rewards.calibration.fitting import as_data, logistic
from tao_ops.rewards.calibration.model import Calibrator

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

TEMPER = 1.5
"""In trials with two of three to five raters copying 0, 30 or 60 % of each other's verdicts, the calibration error is
0.02–0.04, 0.05–0.09, 0.10–0.14 without it and 0.05–0.07, 0.02–0.05, 0.08–0.12 with it."""
RATERS = 3
CASES = 100
"""Fewer cases tell too little: in trials with good raters the error was 0.07 from 100 cases and 0.10 from 50."""
MOST = 2000
"""Cases that are compared; of more a sample is drawn."""
RARE = 0.02
"""A rater that says right, or wrong, less often than this has too little to be compared by."""
BUILT_ON = 0.99
"""A rater is left out where, of the cases that it says wrong of, all others say so in this share or more."""
AGREES = 0.05
"""Least mean correlation of a rater with the others; on few cases, two standard errors of a correlation."""


@dataclass(frozen=True)
class Agreement:
    """What the scorers' verdicts say together.

    Attributes:
        probabilities: of each case, in order, that it is right; None where no rater decided.
        accuracies: by rater, how often it says right of right ones, and wrong of wrong ones.
        base_rate: the share of right ones.
    """

    probabilities: tuple[float | None, ...]
    accuracies: Mapping[str, tuple[float, float]]
    base_rate: float


def agreement(cases: Sequence[Case], *, names: Sequence[str], least: int, seed: int) -> Calibrator | str:
    """A calibrator from the scorers' agreement alone; or the reason of none.

    Each case goes into the logistic step with the probability that :func:`raters` gives it in the place of a label.

    Args:
        cases: those that nothing vetoes; labels are not looked at.
        names: the scorers, in order.
        least: fewer cases than this, or than :data:`CASES`, are not compared.
        seed: of the sample, where there are many cases.
    """
    import numpy as np

    chosen = sorted(np.random.default_rng(seed).permutation(len(cases))[:MOST].tolist())
    cases = [cases[i] for i in chosen]
    found = raters(cases, names=names, least=least)
    if isinstance(found, str):
        return found
    judged = [(case, p) for case, p in zip(cases, found.probabilities, strict=True) if p is not None]
    data = as_data([Case(case.query_id, case.scores) for case, _ in judged], names, seed, [p for _, p in judged])
    fitted = logistic(data, 16.0)
    queries = len({case.query_id for case, _ in judged})
    return fitted.model_copy(update={"labels": {"agreement": len(judged)}, "queries": queries})


def raters(cases: Sequence[Case], *, names: Sequence[str], least: int) -> Agreement | str:
    """Each case's probability of being right by the scorers' verdicts (right from 0.5 on); or the reason of none."""
    import numpy as np

    values = matrix([case.scores for case in cases], names)
    verdicts = np.where(np.isnan(values), np.nan, values >= 0.5)
    which = _agreeing(verdicts)
    if isinstance(which, str):
        return which
    verdicts = verdicts[:, which]
    if (~np.isnan(verdicts).all(axis=1)).sum() < max(least, CASES):
        return "too few cases"
    found, accuracies, base_rate = _dawid_skene(verdicts)
    # The other way round, all raters wrong more often than right, is as likely to the model, but not to us.
    if np.mean(accuracies) <= 0.5:
        return "the scorers do not agree"
    return Agreement(
        probabilities=tuple(None if math.isnan(p) else p for p in _tempered(found, base_rate).tolist()),
        accuracies={names[k]: pair for k, pair in zip(which, accuracies, strict=True)},
        base_rate=base_rate,
    )


def _agreeing(verdicts: "Array") -> list[int] | str:
    """Columns of the raters that say both things and agree with the other such raters."""
    import numpy as np
    import pandas as pd

    table = pd.DataFrame(verdicts)
    shares = table.mean()
    which = [k for k in table if RARE <= shares[k] <= 1.0 - RARE]
    which = [k for k in which if (table.loc[table[k] == 0.0, which].fillna(0.0) == 0.0).all(axis=1).mean() < BUILT_ON]
    if len(which) < RATERS:
        return "fewer than three scorers to compare"
    limit = max(AGREES, 2.0 / math.sqrt(max(1, int(table[which].count().min()))))
    correlations = table[which].corr().to_numpy(copy=True)
    np.fill_diagonal(correlations, np.nan)
    while len(which) >= RATERS:
        means = np.nan_to_num(correlations).sum(axis=1) / (len(which) - 1)
        least = int(np.argmin(means))
        if means[least] >= limit:
            return which
        which = which[:least] + which[least + 1 :]
        correlations = np.delete(np.delete(correlations, least, axis=0), least, axis=1)
    return "the scorers do not agree"


def _dawid_skene(verdicts: "Array") -> "tuple[Array, list[tuple[float, float]], float]":
    """Probabilities by case (not-a-number where no rater decided), accuracies by rater, share of right ones."""
    import numpy as np
    import pandas as pd
    from crowdkit.aggregation import DawidSkene

    tasks, workers = np.nonzero(~np.isnan(verdicts))
    votes = pd.DataFrame({"task": tasks, "worker": workers, "label": verdicts[tasks, workers].astype(int)})
    # With weak raters 200 rounds err by 0.077, and the library's own end of them by 0.085, at a twentieth of the time.
    model = DawidSkene().fit(votes)
    found = np.full(len(verdicts), np.nan)
    found[model.probas_.index] = model.probas_[1]
    errors = model.errors_
    accuracies = [tuple(float(errors.loc[(k, said), said]) for said in (1, 0)) for k in range(verdicts.shape[1])]
    return found, [(right, wrong) for right, wrong in accuracies], float(model.priors_[1])


def _tempered(probabilities: "Array", base_rate: float) -> "Array":
    """Probabilities whose distance from the base rate, in log-odds, is divided by the temper."""
    import numpy as np
    from scipy.special import expit, logit

    start = logit(np.clip(base_rate, 1e-3, 1.0 - 1e-3))
    return np.asarray(expit(start + (logit(np.clip(probabilities, 1e-6, 1.0 - 1e-6)) - start) / TEMPER))
