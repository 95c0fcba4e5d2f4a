"""The lake: Delta tables, read by turn and replaced by turn, each write one atomic commit."""

import random
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, QueryBuilder, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError

from tao_ops.errors import LakeError
from tao_ops.lake_files import TIMES, write_file
from tao_ops.tables import SCHEMA_VERSION, Table
from tao_ops.turn import Turn, path_safe

COMMIT_ATTEMPTS = 8
DESCRIPTION = f"schema_version={SCHEMA_VERSION}"
PROPERTIES = {"delta.dataSkippingNumIndexedCols": "0", "delta.checkpointInterval": "10"}
"""The log keeps no smallest and largest values of columns: they would be users' texts, and outlive the rows.

It gets a checkpoint every ten commits: whoever opens a table reads all commits since the last one, and the Delta
library's own hundred made the hundredth commit take ten times as long as the first.
"""

_Done = TypeVar("_Done")


class Lake:
    """The tables and artifacts below one root folder or object-store URI.

    Only a process that was spawned, never forked from one that used it, may open a lake:
    the Delta library's threads do not survive a fork.
    """

    def __init__(self, root: str) -> None:
        self.root = root.rstrip("/")

    def uri(self, table: Table) -> str:
        """The table's address."""
        return f"{self.root}/{table.name}"

    def version(self, table: Table) -> int | None:
        """The table's newest version, or None where it was never written."""
        opened = self._open(table)
        return None if opened is None else opened.version()

    def read(
        self, table: Table, *, columns: list[str] | None = None, version: int | None = None, **where: Any
    ) -> pa.Table:
        """Rows whose columns have the given values; a list means any of them. No table reads as no rows."""
        opened = self._open(table, version)
        schema = table.schema if columns is None else pa.schema([table.schema.field(c) for c in columns])
        if opened is None:
            return schema.empty_table()
        # Asked of the Delta library's own engine: pyarrow's, reading through it, may abort the process at its end.
        chosen = ", ".join(f'"{name}"' for name in schema.names)
        condition = f" where {_predicate(where)}" if where else ""
        try:
            found = QueryBuilder().register("rows", opened).execute(f"select {chosen} from rows{condition}")
            return pa.table(found.read_all()).cast(schema)
        except Exception as error:  # the engine raises nothing narrower
            raise LakeError(f"cannot read: {error}", where=self.uri(table)) from error

    def write(
        self, table: Table, rows: Iterable[Mapping[str, Any]], *, turn: Turn, run_id: str, **partition: Any
    ) -> int:
        """Replace one partition's rows by ``rows`` in one commit; returns the table's newest version after it.

        ``rows`` need not carry ``flywheel``, ``turn``, ``run_id`` or the partition's columns.

        Raises:
            LakeError: two rows share the table's key, or the commit kept conflicting; nothing was written.
        """
        fixed = {"flywheel": turn.flywheel, "turn": turn.key, "run_id": run_id, **partition}
        data = pa.Table.from_pylist([{**row, **fixed} for row in rows], schema=table.schema)
        _refuse_repeats(table, data)
        return self.write_stream(table, iter(data.to_batches()), turn=turn, run_id=run_id, **partition)

    def scan(self, table: Table, columns: list[str], condition: str) -> Iterator[pa.RecordBatch]:
        """Rows for which an SQL condition holds, batch by batch, so that memory does not grow with them."""
        opened = self._open(table)
        if opened is None:
            return
        chosen = ", ".join(f'"{name}"' for name in columns)
        schema = pa.schema([table.schema.field(name) for name in columns])
        try:
            found = QueryBuilder().register("rows", opened).execute(f"select {chosen} from rows where {condition}")
            for batch in pa.RecordBatchReader.from_stream(found):
                yield from pa.table(batch).cast(schema).to_batches()
        except Exception as error:  # the engine raises nothing narrower
            raise LakeError(f"cannot read: {error}", where=self.uri(table)) from error

    def write_stream(
        self, table: Table, batches: Iterator[pa.RecordBatch], *, turn: Turn, run_id: str, **partition: Any
    ) -> int:
        """Replace one partition's rows by those of a stream in one commit; returns the table's newest version after it.

        The stream's batches may lack ``flywheel``, ``turn``, ``run_id`` and the partition's columns. Nobody checks the
        table's key: who makes the stream does.

        Raises:
            LakeError: the commit kept conflicting; nothing was written.
        """
        fixed = {"flywheel": turn.flywheel, "turn": turn.key, "run_id": run_id, **partition}
        if missing := set(table.partition) - set(fixed):
            raise ValueError(f"{table.name} is replaced by {table.partition}: {missing} not given")
        opened = self._create(table)
        file = write_file(self.uri(table), table, (_completed(b, table.schema, fixed) for b in batches), fixed)
        chosen: Any = [(name, "=", str(fixed[name])) for name in table.partition]

        def commit() -> int:
            # Only what others committed meanwhile is read: of a table of many files, all takes longer than a commit.
            opened.update_incremental()
            opened.create_write_transaction(
                [file] if file else [],
                "overwrite",
                table.schema,
                list(table.partition),
                chosen,
                # The library's own retry takes a compaction in between for no conflict, and keeps what it made.
                commit_properties=CommitProperties(max_commit_retries=0),
            )
            opened.update_incremental()
            return int(opened.version())

        # Where this fails for good the file stays, unnamed, until maintenance: that it was not committed is never sure.
        return self._commit(table, commit)

    def delete(self, table: Table, *, turn: Turn, **where: Any) -> None:
        """Remove this turn's rows whose columns have one of the given values."""
        predicate = _predicate({"flywheel": turn.flywheel, "turn": turn.key, **where})

        def delete() -> None:
            opened = self._open(table)
            if opened is not None:
                opened.delete(predicate)

        self._commit(table, delete)

    def append(self, table: Table, rows: Iterable[Mapping[str, Any]]) -> None:
        """Add rows to a table of no turn, in one commit."""
        data = pa.Table.from_pylist(list(rows), schema=table.schema)

        def append() -> None:
            self._create(table)
            write_deltalake(self.uri(table), data, mode="append")

        self._commit(table, append)

    def count(self, table: Table, *, except_turns: Collection[str] = (), **where: Any) -> int:
        """Rows of all turns, but for the given ones, whose columns have one of the given values."""
        opened = self._open(table)
        if opened is None:
            return 0
        query = f"select count(*) as n from rows where {_predicate(where, except_turns)}"
        try:
            found = pa.table(QueryBuilder().register("rows", opened).execute(query).read_all())
        except Exception as error:  # the engine raises nothing narrower
            raise LakeError(f"cannot read: {error}", where=self.uri(table)) from error
        return int(found.column("n")[0].as_py())

    def remove(self, table: Table, *, except_turns: Collection[str] = (), **where: Any) -> int:
        """Remove the rows that :meth:`count` counts, in one commit; returns how many there were."""
        found = self.count(table, except_turns=except_turns, **where)
        if found:
            self.change(table, lambda opened: opened.delete(_predicate(where, except_turns)))
        return found

    def update(self, table: Table, values: Mapping[str, str], **where: Any) -> None:
        """Set columns to SQL expressions where columns have one of the given values, in one commit."""
        self.change(table, lambda opened: opened.update(dict(values), predicate=_predicate(where)))

    def change(self, table: Table, act: Callable[[DeltaTable], _Done]) -> _Done | None:
        """What ``act`` does with the newest version, again where its commit conflicts; None where no table is."""

        def once() -> _Done | None:
            opened = self._open(table)
            return None if opened is None else act(opened)

        return self._commit(table, once)

    def artifacts(self, turn: Turn, run_id: str) -> Path:
        """The folder of a run's big files, made where it is missing."""
        if "://" in self.root:
            raise LakeError("artifacts need a local folder", where=self.root, mend="set TAO_LAKE to a folder")
        folder = Path(self.root) / "artifacts" / turn.flywheel / path_safe(turn.key) / path_safe(run_id)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _open(self, table: Table, version: int | None = None) -> DeltaTable | None:
        try:
            opened = DeltaTable(self.uri(table), version=version)
        except TableNotFoundError:
            return None
        except DeltaError as error:
            raise LakeError(f"cannot read: {error}", where=self.uri(table)) from error
        if opened.metadata().description != DESCRIPTION:
            found = schema_version(opened, self.uri(table))
            raise LakeError(
                f"the table has schema_version={found}, older than {DESCRIPTION}",
                where=self.uri(table),
                mend="run: tao lake migrate",
            )
        return opened

    def _create(self, table: Table) -> DeltaTable:
        """The table's newest version; made where it is missing."""
        opened = self._open(table)
        if opened is not None:
            return opened
        return DeltaTable.create(
            self.uri(table),
            table.schema,
            mode="ignore",
            partition_by=list(table.partition),
            description=DESCRIPTION,
            configuration=properties(table),
        )

    def _commit(self, table: Table, change: Callable[[], _Done]) -> _Done:
        """Make one commit; one that conflicts with another's is tried again, a bounded number of times."""
        for attempt in range(COMMIT_ATTEMPTS):
            try:
                return change()
            except CommitFailedError:
                time.sleep(random.uniform(0, 0.05 * 2**attempt))
            except DeltaError as error:
                raise LakeError(f"cannot write: {error}", where=self.uri(table)) from error
        raise LakeError(
            f"the commit conflicted {COMMIT_ATTEMPTS} times", where=self.uri(table), mend="run the stage again"
        )


def properties(table: Table) -> dict[str, str]:
    """The settings that a table is made with: :data:`PROPERTIES`, and the times that the log may tell of its files."""
    times = [name for name in TIMES if name in table.schema.names]
    return {**PROPERTIES, **({"delta.dataSkippingStatsColumns": ",".join(times)} if times else {})}


def open_lake(root: str) -> Lake:
    """A lake at ``root``; a local folder is made where it is missing."""
    if "://" not in root:
        Path(root).mkdir(parents=True, exist_ok=True)
    return Lake(root)


def schema_version(opened: DeltaTable, uri: str) -> int:
    """The schema version that a table was written with.

    Raises:
        LakeError: it is newer than this release, or the table is no flywheel's.
    """
    description = opened.metadata().description or ""
    number = description.removeprefix("schema_version=")
    if number == description or not number.isdigit():
        raise LakeError("the table has no schema version: no flywheel made it", where=uri, mend="use another TAO_LAKE")
    if int(number) > SCHEMA_VERSION:
        raise LakeError(
            f"the table has {description}, newer than this release's {DESCRIPTION}",
            where=uri,
            mend="use the release that made it, or another TAO_LAKE",
        )
    return int(number)


def _completed(batch: pa.RecordBatch, schema: pa.Schema, fixed: Mapping[str, Any]) -> pa.RecordBatch:
    columns = [
        pa.repeat(pa.scalar(fixed[field.name], field.type), len(batch))
        if field.name in fixed
        else batch.column(field.name)
        for field in schema
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _literal(value: Any) -> str:
    return str(value) if isinstance(value, int) else "'" + str(value).replace("'", "''") + "'"


def _predicate(where: Mapping[str, Any], except_turns: Collection[str] = ()) -> str:
    parts = [f'"turn" NOT IN ({", ".join(map(_literal, sorted(except_turns)))})'] if except_turns else []
    for column, value in where.items():
        if value is None:
            parts.append(f'"{column}" IS NULL')
            continue
        any_of = list(value) if isinstance(value, (list, tuple, set, frozenset)) else [value]
        among = ", ".join(_literal(one) for one in any_of)
        parts.append(f'"{column}" IN ({among})' if among else "false")
    return " AND ".join(parts)


def _refuse_repeats(table: Table, data: pa.Table) -> None:
    distinct = data.group_by(list(table.key)).aggregate([]).num_rows
    if distinct != data.num_rows:
        raise LakeError(f"{data.num_rows - distinct} rows repeat another's {', '.join(table.key)}", where=table.name)
