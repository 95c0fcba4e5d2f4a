"""What the lake still holds of a version's turn, and the first stage whose input that is."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

import pyarrow as pa

from tao_ops.config import Flywheel
from tao_ops.errors import LakeError
from tao_ops.lake import Lake
from tao_ops.lineage import rows
from tao_ops.lineage.made_of import HELD
from tao_ops.lineage.versions import turn_of
from tao_ops.records import Split
from tao_ops.scoring.labels import LOOK_BACK
from tao_ops.stages import Stage
from tao_ops.tables import CLUSTERS, PROMPTS, QUARANTINE, QUERIES, RESPONSES, REWARDS, TURNS, Table
from tao_ops.turn import Turn

STAGES = (Stage.VALIDATE, Stage.GENERATE, Stage.SCORE, Stage.UPDATE, Stage.EVALUATE, Stage.GATE)
"""The stages that a replay runs; it may begin with any but the last."""
_NEEDS: Mapping[Stage, tuple[str, ...]] = {
    Stage.VALIDATE: (QUERIES.name,),
    Stage.GENERATE: (PROMPTS.name,),
    Stage.SCORE: (PROMPTS.name, RESPONSES.name),
    Stage.UPDATE: (PROMPTS.name, RESPONSES.name, REWARDS.name),
    Stage.EVALUATE: (),  # the candidate lies beside its manifest
}
_READS = dict(zip((QUERIES.name, PROMPTS.name, RESPONSES.name, REWARDS.name), STAGES, strict=False))
"""The stage that reads each table first."""


@dataclass(frozen=True)
class Stored:
    """A version's turn as the lake holds it.

    Attributes:
        lake: it is only read.
        manifest: of the version.
    """

    lake: Lake
    manifest: Mapping[str, Any]
    flywheel: Flywheel

    @property
    def told(self) -> Mapping[str, Any]:
        """What the manifest says of where the version comes from."""
        lineage: Mapping[str, Any] = self.manifest["lineage"]
        return lineage

    @cached_property
    def turn(self) -> Turn:
        """The turn that made it; its end does not matter here."""
        start = datetime.fromisoformat(turn_of(dict(self.manifest)).replace("Z", "+00:00"))
        return Turn(self.flywheel.name, start, start)

    @cached_property
    def rows(self) -> dict[str, pa.Table | None]:
        """The turn's rows of each table as they were, by the table's name; None where they are gone."""
        told = self.told["rows"][self.turn.key]
        return {table.name: self._stored(table, self.turn.key, told[table.name]) for table in HELD}

    @cached_property
    def first(self) -> Stage:
        """The first stage whose input is there."""
        return next(stage for stage in STAGES if not self.missing(stage))

    def missing(self, stage: Stage) -> list[str]:
        """The tables that a replay from a stage on needs, and whose rows of the turn are gone."""
        return [name for name in _NEEDS[stage] if self.rows[name] is None]

    def before(self, start: Stage) -> Iterable[tuple[Table, pa.Table]]:
        """What a turn's own stages find that begin with ``start``: tables and rows."""
        done = [stage.value for stage in Stage if _index(stage) < _index(start)]
        for table in HELD:
            found = self.rows[table.name]
            if found is not None and (table is QUERIES or _index(_READS[table.name]) <= _index(start)):
                yield table, found
        yield QUARANTINE, self._at(QUARANTINE, turn=self.turn.key, stage=done)
        yield TURNS, self._at(TURNS, turn=self.turn.key, stage=done)
        if start is not Stage.VALIDATE:
            yield CLUSTERS, self._at(CLUSTERS, turn=self.turn.key)

    def earlier(self) -> Iterable[tuple[Table, pa.Table]]:
        """What the stages read of the turns before it."""
        have = self._at(REWARDS, columns=["turn"]).column("turn").unique().to_pylist()
        keys = sorted(key for key in have if key < self.turn.key)
        labels, window = self._labels(), self._window()
        for table, count in ((QUERIES, labels), (PROMPTS, max(labels, window)), (REWARDS, max(labels, window))):
            yield table, self._of_turns(table, keys[-count:] if count else [])
        yield RESPONSES, self._of_turns(RESPONSES, keys[-window:] if window else [])
        whole = set(keys[-max(labels, window) :] if max(labels, window) else [])
        # An update measures on the newest queries of the holdout, of whatever turn.
        held_out = self._at(PROMPTS, split=Split.HOLDOUT.value)
        yield PROMPTS, _where(held_out, lambda key: key < self.turn.key and key not in whole)
        yield TURNS, _where(self._at(TURNS), lambda key: key < self.turn.key)
        clusters, as_recorded = self._read(CLUSTERS)
        # Of a turn that ran after later ones those count too, as long as they can be told from what came since.
        yield CLUSTERS, _where(clusters, lambda key: key != self.turn.key if as_recorded else key < self.turn.key)

    def _labels(self) -> int:
        """Earlier turns whose labels and scores a calibrator may be fitted to."""
        return LOOK_BACK if any(task.calibration.history for task in self.flywheel.tasks.values()) else 0

    def _window(self) -> int:
        """Earlier turns whose responses are trained on, or are worked examples."""
        strategies = [one for task in self.flywheel.tasks.values() for one in task.strategies]
        examples = max(1, self.flywheel.generate.history) if any(one.bootstrap for one in strategies) else 0
        return max(self.flywheel.update.window - 1, examples)

    def _of_turns(self, table: Table, keys: Sequence[str]) -> pa.Table:
        return self._at(table, turn=list(keys)) if keys else table.schema.empty_table()

    def _at(self, table: Table, **how: Any) -> pa.Table:
        return self._read(table, **how)[0]

    def _read(self, table: Table, **how: Any) -> tuple[pa.Table, bool]:
        """Rows at the recorded version, and true; where that can't be read any more, those of now, and false."""
        try:
            version = self.told["tables"][table.name]
            return self.lake.read(table, version=version, flywheel=self.flywheel.name, **how), True
        except LakeError:
            return self.lake.read(table, flywheel=self.flywheel.name, **how), False

    def _stored(self, table: Table, turn: str, told: Mapping[str, Any]) -> pa.Table | None:
        version = self.told["tables"][table.name]
        return rows.stored(self.lake, table, version, told, flywheel=self.flywheel.name, turn=turn)


def _index(stage: Stage) -> int:
    return list(Stage).index(stage)


def _where(found: pa.Table, keep: Any) -> pa.Table:
    return found.filter(pa.array([keep(key) for key in found.column("turn").to_pylist()], pa.bool_()))
