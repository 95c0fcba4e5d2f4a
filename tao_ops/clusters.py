"""The index of all prompts that a flywheel ever had: which cluster and split a text is in, for ever."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from tao_ops import splits
from tao_ops.dedup import PERMUTATIONS, Leaders, Match, NearIndex, signatures
from tao_ops.lake import Lake
from tao_ops.records import Message, Split
from tao_ops.splits import Likeness, Wall
from tao_ops.tables import CLUSTERS, Reason
from tao_ops.turn import Turn

Query = tuple[str, Sequence[Message]]
"""``query_id`` and messages."""

_SIGNATURE = np.dtype([("equal", "<u8"), ("near", "<u4", (PERMUTATIONS,))])
"""The column ``signature``: the first 64 bits of the cluster that the text itself would lead, by which equal texts are
found; and its MinHash."""


@dataclass(frozen=True)
class Placed:
    """Where a query belongs.

    Attributes:
        leader: position of the query that it is merged into; its own where it is a prompt, or refused.
        cluster: the cluster it is in; where it is refused, the one that it would have led.
        split: None where it is refused.
        reason: why it is refused; None where it is not.
        near: merged or refused because it is similar to another text, not equal.
    """

    leader: int
    cluster: str
    split: Split | None
    reason: Reason | None = None
    near: bool = False


class Index:
    """The table ``clusters`` of one flywheel, as a turn reads and extends it. One process at a time may.

    The first assignment of a text wins for ever: rows are only added, each to the partition of the turn that saw its
    text first. A turn that runs again meets the rows of its own partition one by one, as they came, so that it places
    the same queries as before; a prompt that it has not seen yet has to agree with all of them.
    """

    def __init__(self, lake: Lake, turn: Turn, tasks: dict[str, "_Known"]) -> None:
        self._lake, self._turn, self._tasks = lake, turn, tasks
        self._new: list[dict[str, Any]] = []

    @classmethod
    def load(cls, lake: Lake, turn: Turn) -> "Index":
        """Read the rows of every turn of the flywheel."""
        columns = ["task", "turn", "query_id", "cluster", "split", "signature"]
        rows = lake.read(CLUSTERS, columns=columns, flywheel=turn.flywheel)
        facts = rows.select(columns[:-1])
        # An order that does not depend on how the table is stored: of equally similar rows the first one counts.
        order = pc.sort_indices(facts, [(name, "ascending") for name in columns[:3]])
        facts, packed = facts.take(order), _unpack(rows.column("signature"), order.to_numpy())
        tasks, start = {}, 0
        for task in facts.column("task").value_counts().to_pylist():
            end = start + task["counts"]
            tasks[task["values"]] = _Known(facts.slice(start, end - start), packed[start:end], turn)
            start = end
        return cls(lake, turn, tasks)

    def assign(
        self, task: str, queries: Sequence[Query], *, wall: Wall, holdout: float, threshold: float, key: bytes
    ) -> list[Placed]:
        """Place the turn's queries of one task, in their order; once per task.

        A query is refused if it is like an item of the exam, or near the holdout and near a training text at once.
        Else it is merged into the most similar prompt before it in the turn; or it is a prompt, in the cluster and
        split of the index's text that is equal or most similar to it, or in a new cluster, split by its digest.

        Args:
            wall: the exam, as queries of this task would show it.
            holdout: share of the new clusters that are held out.
            threshold: least similarity of near texts; 1 for equal texts only.
            key: of the hashes.
        """
        own = [splits.cluster_id(key, task, splits.conversation_text(messages)) for _, messages in queries]
        first: dict[str, int] = {}
        for position, cluster in enumerate(own):
            first.setdefault(cluster, position)
        distinct = list(first.values())
        placing = _Placing(self._known(task), [queries[i] for i in distinct], list(first), wall, holdout, threshold)
        placed = dict(zip(first, placing.placed, strict=True))
        self._new += [{"task": task, **row} for row in placing.new]
        return [
            replace(placed[cluster], leader=position if placed[cluster].reason else distinct[placed[cluster].leader])
            for position, cluster in enumerate(own)
        ]

    def write(self, run_id: str) -> int | None:
        """Add the new prompts of all tasks to the turn's partition, in one commit; returns the table's version."""
        if not self._new:
            return self._lake.version(CLUSTERS)
        kept = self._lake.read(CLUSTERS, flywheel=self._turn.flywheel, turn=self._turn.key).to_pylist()
        return self._lake.write(CLUSTERS, [*kept, *self._new], turn=self._turn, run_id=run_id)

    def held_out(self, conversations: Sequence[Sequence[Message]], threshold: float) -> list[bool]:
        """Whether each conversation is equal or near to a text of any task's holdout: one model learns all tasks."""
        texts = [splits.conversation_text(messages) for messages in conversations]
        kept = [known.signatures[known.holdout] for known in self._tasks.values()]
        holdout = NearIndex(np.concatenate([np.empty((0, PERMUTATIONS), np.uint32), *kept]), threshold)
        return [bool(matches) for matches in holdout.matches(signatures(texts))]

    def _known(self, task: str) -> "_Known":
        if task in self._tasks:
            return self._tasks[task]
        return _Known(CLUSTERS.schema.empty_table(), np.empty(0, dtype=_SIGNATURE), self._turn)


class _Known:
    """The rows of one task."""

    def __init__(self, facts: pa.Table, packed: NDArray[np.void], turn: Turn) -> None:
        self._clusters = facts.column("cluster")
        self.signatures = packed["near"]
        self.holdout = pc.equal(facts.column("split"), Split.HOLDOUT.value).to_numpy()
        self.of_turn = pc.equal(facts.column("turn"), turn.key).to_numpy()
        self._order = np.argsort(packed["equal"], kind="stable").astype(np.uint32)
        self._equal = packed["equal"][self._order]

    def cluster(self, row: int) -> str:
        return str(self._clusters[row].as_py())

    def split(self, row: int) -> Split:
        return Split.HOLDOUT if self.holdout[row] else Split.TRAIN

    def equal(self, own: Sequence[str]) -> list[int | None]:
        """The row of the same text, by the cluster that it would lead."""
        asked = np.array([_equal(cluster) for cluster in own], dtype=np.uint64)
        low, high = (np.searchsorted(self._equal, asked, side) for side in ("left", "right"))
        return [int(self._order[a]) if a < b else None for a, b in zip(low, high, strict=True)]

    def near(self, asked: NDArray[np.uint32], threshold: float) -> list[list[Match]]:
        return NearIndex(self.signatures, threshold).matches(asked)


class _Placing:
    """The distinct texts of a turn's queries of one task, placed one after the other."""

    def __init__(
        self, known: _Known, queries: Sequence[Query], own: Sequence[str], wall: Wall, holdout: float, threshold: float
    ) -> None:
        self._known, self._queries, self._own, self._holdout = known, queries, own, holdout
        self._texts = [splits.conversation_text(messages) for _, messages in queries]
        self._signed = signatures(self._texts)
        self._equal = known.equal(own)
        none: list[list[Match]] = [[] for _ in queries]
        self._near = none if threshold == 1 else known.near(self._signed, threshold)
        self._leaders = None if threshold == 1 else Leaders(self._signed, threshold)
        self.placed: list[Placed] = []
        self.new: list[dict[str, Any]] = []
        for at, like in enumerate(wall.find([messages for _, messages in queries], self._signed)):
            if like is not None:
                self.placed.append(self._refuse(at, Reason.BENCHMARK_ITEM, near=like is Likeness.NEAR))
            else:
                self.placed.append(self._place(at))

    def _place(self, at: int) -> Placed:
        mates = [] if self._leaders is None else [position for position, _ in self._leaders.matches(at)]
        if (row := self._equal[at]) is not None:
            # It keeps its assignment, even beside a prompt of the other split.
            mates = [mate for mate in mates if self.placed[mate].split is self._known.split(row)]
            return self._merge(mates[0]) if mates else self._lead(at, self._known.cluster(row), self._known.split(row))
        rows = [row for row, _ in self._near[at] if not (mates and self._known.of_turn[row])]
        seen = {self._known.split(row) for row in rows} | {self.placed[mate].split for mate in mates}
        if len(seen) > 1:
            return self._refuse(at, Reason.HOLDOUT_MATCH, near=True)
        if mates:
            return self._merge(mates[0])
        if rows:
            cluster, split = self._known.cluster(rows[0]), self._known.split(rows[0])
        else:
            cluster, split = self._own[at], splits.split(splits.digest(self._texts[at]), self._holdout)
        self._remember(at, cluster, split)
        return self._lead(at, cluster, split)

    def _refuse(self, at: int, reason: Reason, *, near: bool) -> Placed:
        return Placed(at, self._own[at], None, reason, near)

    def _merge(self, leader: int) -> Placed:
        return replace(self.placed[leader], near=True)

    def _lead(self, at: int, cluster: str, split: Split) -> Placed:
        if self._leaders is not None:
            self._leaders.add(at)
        return Placed(at, cluster, split)

    def _remember(self, at: int, cluster: str, split: Split) -> None:
        packed = np.array((_equal(self._own[at]), self._signed[at]), dtype=_SIGNATURE)
        row = {"query_id": self._queries[at][0], "cluster": cluster, "split": split.value}
        self.new.append({**row, "signature": packed.tobytes()})


def _equal(cluster: str) -> int:
    return int(cluster[:16], 16)


def _unpack(column: pa.ChunkedArray, order: NDArray[np.uint64]) -> NDArray[np.void]:
    """The signatures, those of row ``order[i]`` at place i; by chunks, since one array of many rows would overflow."""
    found = np.empty(len(column), dtype=_SIGNATURE)
    place = np.empty(len(column), dtype=np.int64)
    place[order] = np.arange(len(column))
    start = 0
    for chunk in column.chunks:
        fixed = chunk.cast(pa.binary(_SIGNATURE.itemsize))
        values = np.frombuffer(fixed.buffers()[1], dtype=_SIGNATURE)[fixed.offset : fixed.offset + len(fixed)]
        found[place[start : start + len(chunk)]] = values
        start += len(chunk)
    return found
