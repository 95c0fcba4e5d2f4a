"""The calibrator: plain numbers that turn a response's scores into the probability that it is correct."""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import Field, ValidationError, model_validator

from tao_ops.config.base import Share, Strict
from tao_ops.errors import DataError
from tao_ops.rewards.calibration.cases import matrix

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_Number = Annotated[float, Field(allow_inf_nan=False, ge=-1e6, le=1e6)]


class Calibrator(Strict):
    """Logistic regression on scores, and, where there were labels enough, a monotone curve after it.

    ``P = curve(intercept + sum of coefficient x score)``, a fill value in the place of a score that is missing. No
    coefficient is negative and the curve does not fall: a higher score never lowers the probability, and an undecided
    scorer counts neither less than its 0 nor more than its 1.
    """

    names: tuple[str, ...] = Field(min_length=1)
    """The scorers, in order."""
    coefficients: tuple[Annotated[_Number, Field(ge=0.0)], ...]
    """Log-odds per unit of score."""
    fills: tuple[Share, ...]
    """What an undecided scorer counts as."""
    intercept: _Number
    """Log-odds where all scores are 0."""
    knots: tuple[tuple[_Number, Share], ...] = ()
    """Points (log-odds, probability) of the curve, straight lines between them, level beyond; none: the sigmoid."""
    labels: dict[str, int] = Field(default_factory=dict)
    """How many labels it was fitted to, by source; ``agreement`` for cases that had none."""
    queries: int = Field(default=0, ge=0)
    """Of how many queries these were."""

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if not len(self.names) == len(set(self.names)) == len(self.coefficients) == len(self.fills):
            raise ValueError("names, coefficients and fills do not fit together")
        for (x, y), (further, higher) in zip(self.knots, self.knots[1:], strict=False):
            if further <= x or higher < y:
                raise ValueError("the curve's knots do not rise")
        return self

    @property
    def n(self) -> int:
        """How many cases it was fitted to."""
        return sum(self.labels.values())

    @property
    def source(self) -> str:
        """What it was fitted to, to read: ``anchor 30, feedback 12``."""
        return ", ".join(f"{source} {count}" for source, count in self.labels.items())

    @property
    def version(self) -> str:
        """The first 12 hex digits of the SHA-256 of all of it."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def probability(self, scores: Mapping[str, float]) -> float | None:
        """The probability that a response with these scores is correct; None where none of its scorers decided.

        >>> calibrator = Calibrator(names=("json", "votes"), coefficients=(1, 3), fills=(0.9, 0.5), intercept=-2)
        >>> [round(calibrator.probability(s), 2) for s in ({"json": 1, "votes": 1}, {"json": 1}, {"json": 0})]
        [0.88, 0.62, 0.38]
        >>> calibrator.probability({"another": 1}) is None
        True
        """
        return self.probabilities([scores])[0]

    def probabilities(self, rows: Sequence[Mapping[str, float]]) -> list[float | None]:
        """:meth:`probability` of each of many."""
        import numpy as np

        values = matrix(rows, self.names)
        found = np.where(np.isnan(values).all(axis=1), np.nan, self.curve(self.log_odds(values)))
        return [None if math.isnan(p) else p for p in found.tolist()]

    def log_odds(self, values: "NDArray[np.float64]") -> "NDArray[np.float64]":
        """Of scores of shape (rows, names), not-a-number where undecided, the log-odds before the curve."""
        import numpy as np

        filled = np.where(np.isnan(values), np.array(self.fills), values)
        # Summed scorer by scorer: a matrix product's last digit differs from machine to machine, and by batch size.
        total = np.full(len(values), self.intercept)
        for k, coefficient in enumerate(self.coefficients):
            total = total + coefficient * filled[:, k]
        return total

    def curve(self, log_odds: "NDArray[np.float64]") -> "NDArray[np.float64]":
        """The probabilities of log-odds."""
        import numpy as np

        if self.knots:
            return np.interp(log_odds, [x for x, _ in self.knots], [y for _, y in self.knots])
        return np.asarray(1.0 / (1.0 + np.exp(-np.clip(log_odds, -500.0, 500.0))))

    def as_dict(self) -> dict[str, Any]:
        """Plain values, fit for JSON, with the version."""
        return {**self.model_dump(mode="json"), "version": self.version}

    @classmethod
    def from_dict(cls, raw: Any, *, where: object = None) -> "Calibrator":
        """The calibrator that :meth:`as_dict` wrote.

        Raises:
            DataError: it is none, or was changed since.
        """
        mend = "run score again, so that it is fitted anew"
        if not isinstance(raw, Mapping):
            raise DataError("a calibrator is no JSON object", where=where, mend=mend)
        try:
            found = cls.model_validate({key: value for key, value in raw.items() if key != "version"})
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            place = ".".join(map(str, first["loc"]))
            raise DataError(f"no calibrator: {place} {first['msg']}", where=where, mend=mend) from None
        if raw.get("version") != found.version:
            raise DataError("a calibrator does not have its version's numbers", where=where, mend=mend)
        return found
