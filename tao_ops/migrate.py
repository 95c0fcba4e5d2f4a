"""Bring a lake of an earlier release up to date.

Columns that are new are empty in old rows; prompts of before the index of clusters was there are entered into it.
"""

from collections.abc import Callable

import pyarrow as pa
from deltalake import DeltaTable, Schema
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError

from tao_ops import upkeep
from tao_ops.errors import LakeError
from tao_ops.lake import DESCRIPTION, PROPERTIES, Lake, schema_version
from tao_ops.records import Progress, Split
from tao_ops.tables import CLUSTERS, ERASURES, PROMPTS, SCHEMA_VERSION, TABLES, Table
from tao_ops.turn import Turn, parse_instant


def migrate(lake: Lake, key: Callable[[], bytes], say: Progress) -> list[str]:
    """Migrate every table that there is; returns the names of those that were changed.

    ``key`` gives the key of the hashes, where it is needed. No turn may be at work. The schema version is raised last:
    killed at any moment, a second run finishes it, and a run of a lake that is up to date changes nothing.

    Raises:
        LakeError: a table is of a newer release, of no flywheel, or somebody wrote it at the same moment.
    """
    opened = {table.name: (table, _open(lake, table)) for table in (*TABLES.values(), ERASURES)}
    # All are looked at before the first is changed: a newer table must leave the lake as it was.
    older = [
        (table, found, version)
        for table, found in opened.values()
        if found is not None and (version := schema_version(found, lake.uri(table))) < SCHEMA_VERSION
    ]
    for table, found, version in older:
        new = _raise_version(lake, table, found)
        columns = f", new: {', '.join(new)}" if new else ""
        say(f"{table.name}: schema version {version} → {SCHEMA_VERSION}{columns}")
    entered = _enter_prompts(lake, key)
    if entered:
        say(f"clusters: {entered} prompts of earlier turns entered, each with the split that it has")
    return [*(table.name for table, _, _ in older), *([CLUSTERS.name] if entered else [])]


def _open(lake: Lake, table: Table) -> DeltaTable | None:
    try:
        return DeltaTable(lake.uri(table))
    except TableNotFoundError:
        return None
    except DeltaError as error:
        raise LakeError(f"cannot read: {error}", where=lake.uri(table)) from error


def _raise_version(lake: Lake, table: Table, opened: DeltaTable) -> list[str]:
    """Add the columns that are missing; returns their names."""
    have = {column.name for column in opened.schema().fields}
    missing = [column for column in table.schema if column.name not in have]
    try:
        if missing:
            opened.alter.add_columns(Schema.from_arrow(pa.schema(missing)).fields)
        opened.alter.set_table_properties(PROPERTIES)
        opened.alter.set_table_description(DESCRIPTION)
    except CommitFailedError as error:
        raise LakeError(
            f"somebody wrote the table at the same moment: {error}",
            where=lake.uri(table),
            mend="let turns end and run it again",
        ) from error
    except DeltaError as error:
        raise LakeError(f"cannot be migrated: {error}", where=lake.uri(table)) from error
    return [column.name for column in missing]


def _enter_prompts(lake: Lake, key: Callable[[], bytes]) -> int:
    """Enter the prompts of turns that the index of clusters does not know; returns how many texts were new to it.

    Oldest turn first, since the first assignment wins. A turn that is known, or brings nothing new, stays as it is.
    """
    missing = upkeep.partitions(lake, PROMPTS) - upkeep.partitions(lake, CLUSTERS)
    return sum(_enter_turn(lake, flywheel, turn, key()) for flywheel, turn in sorted(missing))


def _enter_turn(lake: Lake, flywheel: str, turn_key: str, key: bytes) -> int:
    from tao_ops.clusters import Index
    from tao_ops.splits import Wall

    start = parse_instant(turn_key)
    index = Index.load(lake, Turn(flywheel, start, start))  # its end is no part of a row
    rows = lake.read(PROMPTS, columns=["query_id", "task", "messages", "split"], flywheel=flywheel, turn=turn_key)
    prompts = sorted(rows.to_pylist(), key=lambda row: str(row["query_id"]))
    no_exam = Wall([], list, threshold=1)
    for task in sorted({row["task"] for row in prompts}):
        # A share of none or all gives each new text the split that its prompt has had.
        for split, share in ((Split.TRAIN, 0.0), (Split.HOLDOUT, 1.0)):
            mine = [
                (row["query_id"], row["messages"]) for row in prompts if (row["task"], row["split"]) == (task, split)
            ]
            if mine:
                index.assign(task, mine, wall=no_exam, holdout=share, threshold=1, key=key)
    index.write("migrate")
    return lake.count(CLUSTERS, flywheel=flywheel, turn=turn_key)
