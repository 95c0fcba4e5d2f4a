"""A second task in the same flywheel: its lift, and that the first one loses nothing."""

from collections.abc import Sequence

from trials.quality.cell import Cell
from trials.quality.stored import Chain

FLYWHEEL: str | None = None
"""The YAML with both tasks; None while there is none."""
BENCHMARK = "banking77"


def cells(chains: Sequence[Chain]) -> list[Cell]:
    """None: no flywheel of this repository has a second task."""
    return []
