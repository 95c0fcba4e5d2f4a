"""Each method on turn one from the same stored responses; and two ways to begin turn three."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from trials.quality.cell import Cell
from trials.quality.measure import candidate, scratch
from trials.quality.settings import METHODS, STARTS, flywheel_settings, update_of, updated
from trials.quality.stored import Chain


def cells(chains: Sequence[Chain]) -> list[Cell]:
    """A cell is one seed and one method; then one seed and one start of turn three."""
    found = []
    for chain in chains:
        for name in METHODS:
            settings = flywheel_settings(chain.seed, update=update_of(name))
            found.append(Cell(chain.seed, name, settings, partial(_measured, chain, 1, name, settings)))
    for chain in chains:
        told = flywheel_settings(chain.seed)
        for name, start in STARTS.items():
            settings = {**told, "update": updated(told, **start)}
            # The champion of turn three is of the flywheel's own method.
            shaping = {**settings, "before": told}
            found.append(Cell(chain.seed, name, shaping, partial(_measured, chain, 3, name, settings)))
    return found


def _measured(chain: Chain, turn: int, name: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    with scratch(chain, chain.scored(turn), name, settings) as home:
        return candidate(chain, home, turn, name)
