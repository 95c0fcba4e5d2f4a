"""The files of a table: how many there are, small ones made one, dead ones deleted."""

import math
from datetime import timedelta

from deltalake import DeltaTable

from tao_ops.lake import Lake
from tao_ops.tables import Table

ORPHAN = timedelta(hours=24)
"""A file that no commit names and that is older than this was left by a killed writer: no stage may run for longer."""

_HISTORY = {"delta.logRetentionDuration": "interval 30 days", "delta.deletedFileRetentionDuration": "interval 7 days"}
_NO_HISTORY = dict.fromkeys(_HISTORY, "interval 0 seconds")


def files(lake: Lake, table: Table, flywheel: str) -> tuple[int, int]:
    """Number and bytes of the files that hold a flywheel's rows."""

    def measure(opened: DeltaTable) -> tuple[int, int]:
        told = opened.get_add_actions(flatten=True)
        names = told.column("partition.flywheel").to_pylist()
        sizes = [
            size for name, size in zip(names, told.column("size_bytes").to_pylist(), strict=True) if name == flywheel
        ]
        return len(sizes), sum(sizes)

    return lake.change(table, measure) or (0, 0)


def turns(lake: Lake, table: Table, flywheel: str) -> list[str]:
    """Keys of a flywheel's turns that hold rows, oldest first."""
    return sorted(turn for name, turn in partitions(lake, table) if name == flywheel)


def partitions(lake: Lake, table: Table) -> set[tuple[str, str]]:
    """Flywheel and turn of all rows, read from the log alone."""

    def named(opened: DeltaTable) -> set[tuple[str, str]]:
        told = opened.get_add_actions(flatten=True)
        names = (told.column(f"partition.{column}").to_pylist() for column in ("flywheel", "turn"))
        return set(zip(*names, strict=True))

    return lake.change(table, named) or set()


def compact(lake: Lake, table: Table, flywheel: str) -> None:
    """Make one file of the small ones of each partition, in one commit; readers see the same rows."""
    lake.change(table, lambda opened: opened.optimize.compact(partition_filters=[("flywheel", "=", flywheel)]))


def vacuum(lake: Lake, table: Table, keep: timedelta, *, dry_run: bool = False) -> int:
    """Delete the files that no version younger than ``keep`` names, and log entries past their retention.

    Files of killed writers are among them; returns how many there were.
    """
    hours = math.ceil(keep / timedelta(hours=1))
    dead = lake.change(
        table,
        lambda opened: opened.vacuum(hours, dry_run=dry_run, enforce_retention_duration=False, full=True),
    )
    if not dry_run:
        _tidy_log(lake, table)
    return len(dead or ())


def purge(lake: Lake, table: Table) -> int:
    """Delete every file but those of the newest version, and the log of the versions before it.

    A file that is in no version yet may be another writer's at work: it goes only once it is older than
    :data:`ORPHAN`. A reader of an older version, or a writer that began from one, fails and is to be run again.
    Returns how many files there were. The log goes too since its entries hold the conditions that rows were removed
    by, and in tables of release 0.1.0 the smallest and largest values of each file's columns.
    """

    def committed(opened: DeltaTable) -> list[str]:
        return list(opened.vacuum(0, dry_run=False, enforce_retention_duration=False))

    dead = lake.change(table, committed) or []
    orphans = vacuum(lake, table, ORPHAN)
    lake.change(table, lambda opened: opened.alter.set_table_properties(_NO_HISTORY))
    _tidy_log(lake, table)
    lake.change(table, lambda opened: opened.alter.set_table_properties(_HISTORY))
    return len(dead) + orphans


def _tidy_log(lake: Lake, table: Table) -> None:
    def tidy(opened: DeltaTable) -> None:
        opened.create_checkpoint()
        opened.cleanup_metadata()

    lake.change(table, tidy)
