"""A line through a measure's values, turn by turn."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Trend:
    """A line fitted by least squares.

    Attributes:
        first, last: the measure after the first turn and after the last.
        slope: change a turn; ``low`` and ``high`` are its 95 % interval.
        rise: of the fitted line, from the first turn to the last.
    """

    first: float
    last: float
    slope: float
    low: float
    high: float
    rise: float

    def as_dict(self) -> dict[str, float]:
        """Plain values."""
        return {name: round(value, 4) for name, value in asdict(self).items()}


def trend(values: Sequence[float]) -> Trend:
    """The line through ``values``, one a turn; fewer than three tell no slope, and nothing grows by them.

    >>> trend([1.0, 2.0, 3.0, 4.0]).slope
    1.0
    """
    if len(values) < 3:
        return Trend(values[0], values[-1], 0.0, 0.0, 0.0, 0.0)
    from scipy.stats import t

    n = len(values)
    middle, mean = (n - 1) / 2, sum(values) / n
    spread = sum((turn - middle) ** 2 for turn in range(n))
    slope = sum((turn - middle) * (value - mean) for turn, value in enumerate(values)) / spread
    rest = sum((value - mean - slope * (turn - middle)) ** 2 for turn, value in enumerate(values))
    margin = float(t.ppf(0.975, n - 2)) * (rest / (n - 2) / spread) ** 0.5
    return Trend(values[0], values[-1], slope, slope - margin, slope + margin, slope * (n - 1))
