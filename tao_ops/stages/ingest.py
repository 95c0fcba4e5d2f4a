"""``ingest``: the query logs of an interval become ``queries``, each once, redacted before the first write."""

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import chain

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tao_ops import erasure, routing, sources
from tao_ops.config import SourceConfig, expand
from tao_ops.errors import DataError
from tao_ops.identities import Identities, Known
from tao_ops.intake import Intake, conversations, identified, identities, too_long
from tao_ops.records import StageReport
from tao_ops.refusals import Refusals
from tao_ops.sources.records import Batch, BrokenLine, Window
from tao_ops.spool import Spool
from tao_ops.stages import Run
from tao_ops.story import Pace
from tao_ops.tables import QUARANTINE, QUERIES, TURNS, Reason
from tao_ops.turn import turns_within

CLOCKS = timedelta(minutes=5)
"""How far a logging machine's clock may be ahead of ours."""


def run(run: Run) -> StageReport:
    """Take every logged query of the turn's interval once, and late ones of the turns before it.

    A query is late where its time lies in an earlier turn, no further back than ``ingest.lateness``, that turn has
    run, and no turn holds it. What cannot be used goes to ``quarantine``.

    Raises:
        ConfigError: there is no key for the hashes.
        DataError: a source cannot be read, or no query of the interval was found; nothing was written.
    """
    key = run.settings.require_hash_key()
    with Spool(QUARANTINE.schema, run.settings.home / "spool" / run.turn.flywheel) as quarantine:
        taking = _Taking(run, key, quarantine)
        rows = taking.queries()
        first = next(rows, None)
        if first is None:
            raise _nothing(run, taking)
        version = run.lake.write_stream(QUERIES, chain([first], rows), turn=run.turn, run_id=run.run_id)
        run.lake.write_stream(QUARANTINE, quarantine.read(), turn=run.turn, run_id=run.run_id, stage="ingest")
        return taking.report(version)


@dataclass
class _Taking:
    """What one run of the stage knows while it reads."""

    run: Run
    key: bytes
    quarantine: Spool
    counts: Counter[str] = field(default_factory=Counter)
    late: Counter[str] = field(default_factory=Counter)
    left: Counter[str] = field(default_factory=Counter)
    judged: dict[bytes, tuple[str | None, bool]] = field(default_factory=dict)
    judged_late: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        turn, flywheel = self.run.turn, self.run.flywheel
        self.now = datetime.now(UTC) + CLOCKS
        self.window = Window(turn.start - flywheel.ingest.lateness, turn.end)
        schedule = {"schedule": flywheel.schedule, "timezone": flywheel.timezone}
        self.turns = [*turns_within(flywheel.name, self.window.start, turn.start, **schedule), turn]
        ran = self.run.lake.read(TURNS, columns=["turn"], flywheel=turn.flywheel, stage="ingest")
        self.ran = {*ran.column("turn").to_pylist(), turn.key}
        seed = int.from_bytes(hashlib.sha256(self.key).digest()[:8], "big")
        self.seen, self.held = Identities(seed), self._held(Identities(seed))
        self.erased_users, self.erased_queries = erasure.erased(self.run.lake, turn.flywheel)
        self.intake = Intake(flywheel, self.key)
        waiting = [past for past in self.turns if past.key not in self.ran]
        self.refusals = Refusals(
            self.run.lake,
            turn,
            self.window,
            waiting=waiting,
            intake=self.intake,
            spool=self.quarantine,
            erased=self.erased_users,
        )

    def queries(self) -> Iterator[pa.RecordBatch]:
        """Rows of ``queries``, source by source and file by file; broken lines go to the spool meanwhile."""
        run = self.run
        pace = Pace(run.say, "queries")
        for source in run.flywheel.sources:
            file, taken = None, 0
            pattern = expand(source.path)
            found = sources.read(source, pattern, self.window, timezone=run.flywheel.timezone, say=run.say)
            for batch in found:
                if batch.file != file:
                    self._tell(file, taken)
                    file, taken = batch.file, 0
                rows = self._take(batch, source)
                taken += len(rows)
                for line in batch.broken:
                    self.refusals.add(line, source.namespace, batch.file)
                pace.at(self.counts["taken"])
                if len(rows):
                    yield rows
            self._tell(file, taken)

    def _tell(self, file: str | None, taken: int) -> None:
        if taken:
            self.run.say(f"{str(file).rsplit('/', 1)[-1]}: {taken} queries")

    def _take(self, batch: Batch, source: SourceConfig) -> pa.RecordBatch:
        queries = self._of_sane_length(self._of_the_window(batch), source, batch.file)
        queries, tasks = self._of_the_tasks(queries, source, batch.file)
        queries, tasks, event_turns = self._of_the_turns(queries, tasks)
        queries = identified(queries, self.key)
        new = self._new(queries, source, batch.file)
        rows = self.intake.rows(queries.filter(new), tasks.filter(new), event_turns.filter(new), source.namespace)
        rows = self._not_erased(rows)
        self.counts["taken"] += len(rows)
        for late in pc.value_counts(rows.column("event_turn")).to_pylist():
            if late["values"] != self.run.turn.key:
                self.late[late["values"]] += late["counts"]
        return rows

    def _of_the_window(self, batch: Batch) -> pa.RecordBatch:
        queries = batch.queries
        at = queries.column("received_at")
        future = pc.greater(at, pa.scalar(self.now, at.type))
        if pc.any(future).as_py():
            for row in queries.filter(future).select(["position", "received_at", "user"]).to_pylist():
                said = f"{row['received_at']:%Y-%m-%dT%H:%M:%SZ}"
                batch.broken.append(BrokenLine(row["position"], Reason.IN_THE_FUTURE, said, user=row["user"]))
        after, before = pa.scalar(self.window.start, at.type), pa.scalar(min(self.window.end, self.now), at.type)
        return queries.filter(pc.and_(pc.greater_equal(at, after), pc.less(at, before)))

    def _of_sane_length(self, queries: pa.RecordBatch, source: SourceConfig, file: str) -> pa.RecordBatch:
        """Without those whose conversation or response is longer than any context, and than redaction has time for."""
        long = too_long(queries)
        if long is None:
            return queries
        for row in queries.filter(long).select(["position", "received_at", "user"]).to_pylist():
            line = BrokenLine(row["position"], Reason.TOO_LONG, "", row["received_at"], row["user"])
            self.refusals.add(line, source.namespace, file)
        return queries.filter(pc.invert(long))

    def _of_the_tasks(
        self, queries: pa.RecordBatch, source: SourceConfig, file: str
    ) -> tuple[pa.RecordBatch, pa.Array]:
        tasks, ours = routing.tasks_of(queries, source, list(self.run.flywheel.tasks))
        self.counts["other_traffic"] += int((~ours).sum())
        unknown = pc.and_(pc.is_null(tasks), pa.array(ours))
        for row in queries.filter(unknown).select(["position", "task", "received_at", "user"]).to_pylist():
            line = BrokenLine(row["position"], Reason.UNKNOWN_TASK, row["task"] or "", row["received_at"], row["user"])
            self.refusals.add(line, source.namespace, file)
        known = pc.is_valid(tasks)
        return queries.filter(known), tasks.filter(known)

    def _of_the_turns(self, queries: pa.RecordBatch, tasks: pa.Array) -> tuple[pa.RecordBatch, pa.Array, pa.Array]:
        """Those whose turn has run, and the turn of each one's time."""
        starts = np.array([turn.start.replace(tzinfo=None) for turn in self.turns], "datetime64[us]")
        times = pc.cast(queries.column("received_at"), pa.timestamp("us")).to_numpy(zero_copy_only=False)
        index = np.searchsorted(starts, times, side="right") - 1
        ran = np.array([turn.key in self.ran for turn in self.turns])[index]
        for number, count in zip(*np.unique(index[~ran], return_counts=True), strict=True):
            self.left[self.turns[number].key] += int(count)
        keep = pa.array(ran)
        keys = pa.array([turn.key for turn in self.turns]).take(pa.array(index))
        return queries.filter(keep), tasks.filter(keep), keys.filter(keep)

    def _new(self, queries: pa.RecordBatch, source: SourceConfig, file: str) -> pa.Array:
        """Which queries neither another turn holds nor this run has taken already."""
        from xxhash import xxh3_64_intdigest

        ids = identities(pa.repeat(pa.scalar(source.namespace), len(queries)), queries.column("request_id"))
        known_elsewhere = np.zeros(len(ids), np.int8)
        if len(self.held):
            known_elsewhere = self.held.look_up(ids, _seconds(queries.column("received_at")))
        held = known_elsewhere != Known.NEW
        own = pc.greater_equal(queries.column("received_at"), pa.scalar(self.run.turn.start)).to_numpy(
            zero_copy_only=False
        )
        self.counts["held"] += int(((known_elsewhere == Known.SAME) & own).sum())
        self._see_late_feedback(queries, ids, np.flatnonzero(known_elsewhere == Known.SAME))
        # Of the turns before only what is new matters: two exports of one call may tell its time differently.
        self._refuse_reused(queries, np.flatnonzero((known_elsewhere == Known.OTHER) & own), source, file)
        rest = np.flatnonzero(~held)
        said = pc.cast(conversations(queries.column("messages")).take(pa.array(rest)), pa.binary()).to_pylist()
        known = self.seen.add([ids[row] for row in rest.tolist()], (xxh3_64_intdigest(text) for text in said))
        self.counts["repeated"] += int((known == Known.SAME).sum())
        self._refuse_reused(queries, rest[known == Known.OTHER], source, file)
        new = np.zeros(len(ids), bool)
        new[rest[known == Known.NEW]] = True
        return pa.array(new)

    def _see_late_feedback(self, queries: pa.RecordBatch, ids: list[bytes], rows: npt.NDArray[np.int64]) -> None:
        """Note held queries of which a user has said something that the turn which holds them does not know."""
        told = pc.or_(pc.is_valid(queries.column("feedback")), pc.is_valid(queries.column("corrected")))
        for row in rows[told.to_numpy(zero_copy_only=False)[rows]].tolist():
            verdict, corrected = (queries.column(name)[row].as_py() for name in ("feedback", "corrected"))
            held_verdict, held_corrected = self.judged.get(ids[row], (None, False))
            if (verdict or held_verdict) != held_verdict or (corrected is not None and not held_corrected):
                self.judged_late.add(queries.column("request_id")[row].as_py())

    def _late_feedback(self) -> dict[str, int]:
        """How many queries there are of which a turn does not know what was said, by that turn."""
        found: Counter[str] = Counter()
        every = sorted(self.judged_late)
        for first in range(0, len(every), 1000):
            ids = every[first : first + 1000]
            rows = self.run.lake.read(QUERIES, columns=["turn"], flywheel=self.run.turn.flywheel, request_id=ids)
            found.update(rows.column("turn").to_pylist())
        found.pop(self.run.turn.key, None)
        return dict(sorted(found.items()))

    def _refuse_reused(
        self, queries: pa.RecordBatch, rows: npt.NDArray[np.int64], source: SourceConfig, file: str
    ) -> None:
        """Queries whose request id another has: of this turn with other words, of another turn at another time."""
        chosen = queries.take(pa.array(rows)).select(["position", "request_id", "received_at", "user"])
        for row in chosen.to_pylist():
            line = BrokenLine(
                row["position"], Reason.REUSED_REQUEST_ID, row["request_id"], row["received_at"], row["user"]
            )
            self.refusals.add(line, source.namespace, file)

    def _not_erased(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        if not self.erased_users and not self.erased_queries:
            return rows
        users = pc.is_in(rows.column("user_hash"), pa.array(list(self.erased_users), pa.string()))
        gone = pc.or_(users, pc.is_in(rows.column("query_id"), pa.array(list(self.erased_queries), pa.string())))
        self.counts["erased"] += pc.sum(gone).as_py() or 0
        return rows.filter(pc.invert(gone))

    def _held(self, held: Identities) -> Identities:
        """What other turns hold of the window's times, whatever turn took it."""
        turn = self.run.turn
        # By time alone: which turns may hold it depends on the schedules and the lateness of their days.
        condition = (
            f"flywheel = '{turn.flywheel}' and turn <> '{turn.key}'"
            f" and received_at >= '{self.window.start.isoformat()}' and received_at < '{self.window.end.isoformat()}'"
        )
        columns = ["source", "request_id", "received_at", "feedback", "corrected"]
        for batch in self.run.lake.scan(QUERIES, columns, condition):
            ids = identities(batch.column(0), batch.column(1))
            held.add(ids, _seconds(batch.column(2)))
            told = pc.indices_nonzero(pc.or_(pc.is_valid(batch.column(3)), pc.is_valid(batch.column(4))))
            for row in told.to_pylist():
                self.judged[ids[row]] = (batch.column(3)[row].as_py(), batch.column(4)[row].is_valid)
        return held

    def report(self, version: int) -> StageReport:
        """What the run did; late queries and those left for their own turn are said in the log too."""
        for turn, count in sorted(self.late.items()):
            self.run.say(f"late: {count} queries of turn {turn}, logged after it ran")
        for turn, count in sorted(self.left.items()):
            self.run.say(f"left: {count} queries of turn {turn}, which has not run: run it to take them")
        judged_late = self._late_feedback()
        for turn, count in judged_late.items():
            self.run.say(
                f"feedback: {count} answers of turn {turn} were judged after it ran: run it again to take that"
            )
        refused = sum(self.refusals.reasons.values())
        return StageReport(
            stage="ingest",
            rows_in=self.counts["taken"] + refused,
            rows_out=self.counts["taken"],
            output_version=version,
            metrics={
                "quarantine": dict(sorted(self.refusals.reasons.items())),
                "users": len(self.intake.users - {int(user[:16], 16) for user in self.erased_users}),
                "redacted": self.intake.counts(),
                "late": dict(sorted(self.late.items())),
                "left": dict(sorted(self.left.items())),
                "late_feedback": judged_late,
                **{name: self.counts[name] for name in ("repeated", "held", "other_traffic", "erased")},
            },
        )


def _seconds(times: pa.Array) -> npt.NDArray[np.uint64]:
    """Whole seconds since 1970: exports round what is below."""
    seconds = pc.divide(pc.cast(times, pa.int64()), 1_000_000).to_numpy(zero_copy_only=False)
    return np.asarray(seconds, np.int64).astype(np.uint64)


def _nothing(run: Run, taking: _Taking) -> DataError:
    interval = f"{run.turn.key} to {run.turn.end:%Y-%m-%dT%H:%MZ}"
    refusals = taking.refusals
    if refusals.reasons:
        said = ", ".join(f"{count} {reason}" for reason, count in refusals.reasons.most_common())
        return DataError(
            f"none of the interval's {sum(refusals.reasons.values())} lines is a query ({said})",
            where=f"{interval}; first: {refusals.first}",
            mend="see what writes the logs; docs/query-logs.md shows the formats",
        )
    others = {"held": "are held by other turns", "other_traffic": "are other traffic", "erased": "were erased"}
    seen = ", ".join(f"{taking.counts[name]} {words}" for name, words in others.items() if taking.counts[name])
    sources = ", ".join(expand(source.path) for source in run.flywheel.sources)
    return DataError(
        f"no query was logged in the interval{f' ({seen})' if seen else ''}",
        where=interval,
        mend=f"see that logs of it have landed in {sources}",
    )
