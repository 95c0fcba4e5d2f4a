"""The lake: Delta tables, read by turn and replaced by turn, each write one atomic commit."""

import random
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
from deltalake import DeltaTable, QueryBuilder, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError

from tao_ops.errors import LakeError
from tao_ops.tables import SCHEMA_VERSION, Table
from tao_ops.turn import Turn, path_safe

COMMIT_ATTEMPTS = 8
_DESCRIPTION = f"schema_version={SCHEMA_VERSION}"


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
        if missing := set(table.partition) - set(fixed):
            raise ValueError(f"{table.name} is replaced by {table.partition}: {missing} not given")
        data = pa.Table.from_pylist([{**row, **fixed} for row in rows], schema=table.schema)
        _refuse_repeats(table, data)
        self._commit(table, lambda: self._replace(table, data, {name: fixed[name] for name in table.partition}))
        version = self.version(table)
        assert version is not None
        return version

    def delete(self, table: Table, *, turn: Turn, **where: Any) -> None:
        """Remove this turn's rows whose columns have one of the given values."""
        predicate = _predicate({"flywheel": turn.flywheel, "turn": turn.key, **where})

        def delete() -> None:
            opened = self._open(table)
            if opened is not None:
                opened.delete(predicate)

        self._commit(table, delete)

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
        if opened.metadata().description != _DESCRIPTION:
            raise LakeError(
                f"the table has {opened.metadata().description or 'no schema version'}, not {_DESCRIPTION}",
                where=self.uri(table),
                mend="use the release that made it, or another TAO_LAKE",
            )
        return opened

    def _replace(self, table: Table, data: pa.Table, partition: Mapping[str, Any]) -> None:
        if self._open(table) is None:
            DeltaTable.create(
                self.uri(table),
                data.schema,
                mode="ignore",
                partition_by=list(table.partition),
                description=_DESCRIPTION,
            )
        write_deltalake(self.uri(table), data, mode="overwrite", predicate=_predicate(partition))

    def _commit(self, table: Table, change: Callable[[], None]) -> None:
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


def open_lake(root: str) -> Lake:
    """A lake at ``root``; a local folder is made where it is missing."""
    if "://" not in root:
        Path(root).mkdir(parents=True, exist_ok=True)
    return Lake(root)


def _literal(value: Any) -> str:
    return str(value) if isinstance(value, int) else "'" + str(value).replace("'", "''") + "'"


def _predicate(where: Mapping[str, Any]) -> str:
    parts = []
    for column, value in where.items():
        any_of = list(value) if isinstance(value, (list, tuple, set, frozenset)) else [value]
        among = ", ".join(_literal(one) for one in any_of)
        parts.append(f'"{column}" IN ({among})' if among else "false")
    return " AND ".join(parts)


def _refuse_repeats(table: Table, data: pa.Table) -> None:
    distinct = data.group_by(list(table.key)).aggregate([]).num_rows
    if distinct != data.num_rows:
        raise LakeError(f"{data.num_rows - distinct} rows repeat another's {', '.join(table.key)}", where=table.name)
