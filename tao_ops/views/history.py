"""The turns of a flywheel that the lake knows, and their figures, kept in the process from one look to the next.

Which turns there are, and of which files, the table's log tells without that a file is read. A turn's figures are
read once, and again when its files are others: so a look at a hundred turns reads the newest one alone.
"""

import threading
from collections import Counter, OrderedDict
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tao_ops.errors import DataError
from tao_ops.lake import Lake
from tao_ops.tables import QUARANTINE, TURNS, Table
from tao_ops.views.figures import Figures, figures, only_quarantine

if TYPE_CHECKING:
    import pyarrow as pa

MOST = 4000
"""Turns whose figures are kept: some megabytes."""

_COLUMNS = ("turn", "run_id", "stage", "shard", "rows_in", "rows_out", "seconds", "tokens", "metrics", "finished_at")
_Files = Mapping[str, tuple[str, ...]]
_Key = tuple[str, str, str]


class History:
    """A flywheel's turns as they are now."""

    def __init__(self, lake: Lake, flywheel: str) -> None:
        """See which turns there are.

        Raises:
            DataError: there is none.
        """
        self._lake, self.flywheel = lake, flywheel
        recorded, refused = (_by_turn(lake, table, flywheel) for table in (TURNS, QUARANTINE))
        self._files: _Files = {**refused, **recorded}
        self._recorded = frozenset(recorded)
        if not self._files:
            raise unknown(lake, flywheel)

    @property
    def turns(self) -> list[str]:
        """Their keys, oldest first."""
        return sorted(self._files)

    def figures(self, turns: Sequence[str]) -> list[Figures]:
        """The figures of some of the turns, in the given order."""
        held = {turn: one for turn in turns if (one := _KEPT.get(self._key(turn), self._files[turn])) is not None}
        missing = [turn for turn in turns if turn not in held]
        fresh = self._read(missing)
        for turn in missing:
            if turn in fresh:
                _KEPT.put(self._key(turn), self._files[turn], fresh[turn])
        held |= fresh
        # A turn that was removed since its name was read has no rows any more.
        return [held[turn] for turn in turns if turn in held]

    def _key(self, turn: str) -> _Key:
        return self._lake.root, self.flywheel, turn

    def _read(self, turns: Sequence[str]) -> dict[str, Figures]:
        recorded = [turn for turn in turns if turn in self._recorded]
        found = {turn: figures(turn, rows) for turn, rows in self._rows(TURNS, recorded, _COLUMNS).items()}
        others = [turn for turn in turns if turn not in self._recorded]
        for turn, rows in self._rows(QUARANTINE, others, ("turn", "run_id", "reason")).items():
            reasons = Counter(str(row["reason"]) for row in rows)
            found[turn] = only_quarantine(turn, str(rows[0]["run_id"]), dict(reasons.most_common()))
        return found

    def _rows(self, table: Table, turns: Collection[str], columns: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
        """The rows of some turns, by turn."""
        if not turns:
            return {}
        # In one read: batch by batch, the thousands of small files take half as long again.
        read = self._lake.read(table, columns=list(columns), flywheel=self.flywheel, turn=list(turns))
        found: dict[str, list[dict[str, Any]]] = {}
        for row in read.to_pylist():
            found.setdefault(row["turn"], []).append(row)
        return found


class _Kept:
    """Figures by turn, each of the files that it was made of; the least looked at go first."""

    def __init__(self, most: int) -> None:
        self._most, self._lock = most, threading.Lock()
        self._held: OrderedDict[_Key, tuple[tuple[str, ...], Figures]] = OrderedDict()

    def get(self, key: _Key, files: tuple[str, ...]) -> Figures | None:
        with self._lock:
            held = self._held.get(key)
            if held is None or held[0] != files:
                return None
            self._held.move_to_end(key)
            return held[1]

    def put(self, key: _Key, files: tuple[str, ...], one: Figures) -> None:
        with self._lock:
            self._held[key] = (files, one)
            self._held.move_to_end(key)
            while len(self._held) > self._most:
                self._held.popitem(last=False)

    def clear(self) -> None:
        with self._lock:
            self._held.clear()


_KEPT = _Kept(MOST)


def forget() -> None:
    """Forget all that is kept: the next look reads anew."""
    _KEPT.clear()


def flywheels(lake: Lake) -> tuple[str, ...]:
    """The names of the flywheels that the lake has turns of."""
    found = (_partitions(lake, table) for table in (TURNS, QUARANTINE))
    return tuple(sorted({name for each in found if each for name in each["partition.flywheel"].unique().to_pylist()}))


def turns_of(lake: Lake, table: Table, flywheel: str) -> set[str]:
    """The turns of a flywheel that a table holds rows of."""
    return set(_by_turn(lake, table, flywheel))


def unknown(lake: Lake, flywheel: str) -> DataError:
    """The error of a flywheel that the lake knows nothing of."""
    known = flywheels(lake)
    others = f"it has turns of {', '.join(known)}" if known else "no turn has run yet: run one"
    return DataError(f"the lake has no turn of flywheel {flywheel!r}", where=lake.root, mend=others)


def check_flywheel(lake: Lake, flywheel: str) -> None:
    """See that the lake has turns of the flywheel.

    Raises:
        DataError: it has none.
    """
    if flywheel not in flywheels(lake):
        raise unknown(lake, flywheel)


def check_turn(lake: Lake, flywheel: str, turn: str) -> None:
    """See that the lake has the turn; asked where nothing of it was found.

    Raises:
        DataError: it has not.
    """
    known = History(lake, flywheel).turns
    if turn not in known:
        mend = f"name one from {known[0]} to {known[-1]}, by its key, as 2026-11-21T00:00Z"
        raise DataError(f"{flywheel} has no turn {turn!r}", where=lake.root, mend=mend)


def _by_turn(lake: Lake, table: Table, flywheel: str) -> _Files:
    import pyarrow.compute as pc

    found = _partitions(lake, table)
    if found is None:
        return {}
    mine = found.filter(pc.equal(found["partition.flywheel"], flywheel))
    files: dict[str, list[str]] = {}
    for turn, path in zip(*(mine[name].to_pylist() for name in ("partition.turn", "path")), strict=True):
        files.setdefault(turn, []).append(path)
    return {turn: tuple(sorted(paths)) for turn, paths in files.items()}


def _partitions(lake: Lake, table: Table) -> "pa.Table | None":
    """Of each file of the newest version its path, flywheel and turn; None without one. Only the log is read."""
    import pyarrow as pa

    told = lake.change(table, lambda opened: pa.table(opened.get_add_actions(flatten=True)))
    return told if told is not None and told.num_rows else None
