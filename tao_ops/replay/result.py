"""What a replay found: of each stage, and in all."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from tao_ops.replay.promises import Change
from tao_ops.stages import Stage


class Agreement(StrEnum):
    """How a stage's result stands to what is stored of it."""

    EQUAL = "equal"
    """The same, bit for bit; rewards to 1e-9."""
    ALIKE = "alike"
    """Not the same, which nothing promised; by statistics of the same process."""
    DIFFERS = "differs"
    """Not the same though that was promised, or farther apart than chance has it."""
    UNKNOWN = "unknown"
    """Nothing is stored any more that it could be held against."""


@dataclass(frozen=True)
class StageReplay:
    """One stage, run again.

    Attributes:
        promise: None where the stage promises the same bit for bit; else why it does not.
        what: how far then and now are apart, in a few words.
        figures: the same as numbers.
    """

    stage: Stage
    agreement: Agreement
    promise: str | None
    what: str
    figures: Mapping[str, Any]
    seconds: float

    def sentence(self) -> str:
        """As the log and the summary say it."""
        promised = "bit for bit" if self.promise is None else f"no promise: {self.promise}"
        return f"{self.stage.value}: {self.agreement.value} ({promised}): {self.what}"


@dataclass
class Replay:
    """What a replay found.

    Attributes:
        changed: what was not as it was then.
        skipped: by stage, why it was not run again.
    """

    flywheel: str
    version: int
    turn: str
    run_id: str
    folder: str | None
    changed: Sequence[Change]
    skipped: dict[str, str] = field(default_factory=dict)
    stages: list[StageReplay] = field(default_factory=list)

    @property
    def agrees(self) -> bool:
        """Whether no stage differs."""
        return not any(one.agreement is Agreement.DIFFERS for one in self.stages)

    @property
    def first_difference(self) -> StageReplay | None:
        """The first stage whose result is not the same."""
        return next((s for s in self.stages if s.agreement in (Agreement.ALIKE, Agreement.DIFFERS)), None)

    def verdict(self) -> str:
        """The last line: whether it agrees, and where it first differs."""
        first = self.first_difference
        if first is None:
            return "agrees: the same in every stage that could be compared"
        how = "promised the same" if first.promise is None else f"promised nothing ({first.promise})"
        word = "agrees by statistics" if self.agrees else "differs"
        return f"{word}: first in {first.stage.value}, which {how}: {first.what}"

    def as_dict(self) -> dict[str, Any]:
        """Plain values, fit for JSON."""
        first = self.first_difference
        told = {**asdict(self), "agrees": self.agrees, "first_difference": None if first is None else first.stage.value}
        plain: dict[str, Any] = _finite(told)
        return plain


def _finite(value: Any) -> Any:
    """``value`` without what JSON has no number for."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {name: _finite(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(one) for one in value]
    return value
