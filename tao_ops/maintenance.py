"""Maintenance: rows past their retention go, small files become one, dead files are deleted."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from deltalake import DeltaTable

from tao_ops import erasure, upkeep
from tao_ops.config import Flywheel
from tao_ops.errors import ConfigError
from tao_ops.lake import Lake, properties
from tao_ops.records import Progress
from tao_ops.registry import Registry
from tao_ops.registry.expiry import expire
from tao_ops.tables import ERASURES, PROMPTS, QUARANTINE, QUERIES, RESPONSES, REWARDS, TABLES, Table
from tao_ops.turn import last_complete_turn, turn_key

KEEP_FILES = timedelta(days=7)
"""How long the files of older versions stay: so long a version can still be read."""

_EXPIRE = (QUERIES, QUARANTINE, PROMPTS, RESPONSES, REWARDS)
_MADE_OF_QUERIES = (PROMPTS, RESPONSES, REWARDS)
_LOOK_BACK = 8
"""Turns that are looked at for the longest: a schedule of weekdays has long ones and short ones."""


@dataclass
class Upkeep:
    """What was done to a table, or in a dry run would be; files and bytes are those of the maintained flywheels.

    In a dry run ``files_after`` and ``bytes_after`` are those of now. ``deleted`` counts dead files, which are in no
    version that is kept.
    """

    table: str
    expired: int = 0
    files_before: int = 0
    files_after: int = 0
    bytes_before: int = 0
    bytes_after: int = 0
    deleted: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def maintain(
    flywheels: Sequence[Flywheel],
    lake: Lake,
    *,
    now: datetime,
    say: Progress,
    keep_files: timedelta = KEEP_FILES,
    dry_run: bool = False,
) -> list[Upkeep]:
    """Expire, compact and vacuum the tables; runs beside turns, and any number of times.

    What lies beside candidates is lineage and stays. Erasures of the last days are repeated first.

    Raises:
        ConfigError: a retention is shorter than what the flywheel still needs, or ``keep_files`` than a stage may run.
    """
    if keep_files < upkeep.ORPHAN:
        raise ConfigError(
            "files must be kept for a day at least", where="--keep-files", mend="a stage may be reading or writing them"
        )
    for flywheel in flywheels:
        check_retention(flywheel, now)
    if not dry_run:
        for flywheel in flywheels:
            erasure.repeat(lake, flywheel.name, now, say)
    return [
        _maintain(table, flywheels, lake, now, say, keep_files, dry_run)
        for table in (*TABLES.values(), ERASURES)
        if lake.version(table) is not None
    ]


def expire_versions(
    flywheels: Sequence[Flywheel], registry: Registry, *, say: Progress, dry_run: bool = False
) -> list[Upkeep]:
    """Delete the weights of versions past ``retention.versions``, as a line ``versions``; none where nobody has one.

    Its files and bytes are those of the weights that go.

    Raises:
        RegistryError: the registry cannot be used.
    """
    done = Upkeep("versions")
    limited = [(one, one.retention.versions) for one in flywheels if one.retention.versions is not None]
    for one, newest in limited:
        gone = expire(one.name, newest, registry, say=say, dry_run=dry_run, approval_limit=one.gate.approval_limit)
        done.expired, done.files_before = done.expired + len(gone.versions), done.files_before + gone.files
        done.bytes_before, done.deleted = done.bytes_before + gone.bytes, done.deleted + gone.files
        if dry_run:
            done.files_after, done.bytes_after = done.files_after + gone.files, done.bytes_after + gone.bytes
    return [done] if limited else []


def check_retention(flywheel: Flywheel, now: datetime) -> None:
    """See that no table forgets what a later turn still asks of it, nor outlives the queries it was made of.

    ``ingest`` asks ``queries`` whether a late row was taken before; ``update`` reads the turns of its window; and
    ``tao erase`` finds what was made of a user's queries by those queries.

    Raises:
        ConfigError: one does.
    """
    kept, turn = flywheel.retention, _longest_turn(flywheel, now)
    needs = {QUERIES: flywheel.ingest.lateness + turn, **dict.fromkeys(_MADE_OF_QUERIES, flywheel.update.window * turn)}
    for table, least in needs.items():
        keep = getattr(kept, table.name)
        if keep is not None and keep < least:
            asks = "ingest.lateness and a turn" if table is QUERIES else "the turns of update.window"
            raise ConfigError(
                f"{table.name} would be kept for less than {asks}: {_days(least)}",
                where=f"{flywheel.name}: retention.{table.name}",
                mend=f"keep them for {_days(least)} at least",
            )
    if (longest := kept.queries) is None:
        return
    for table in _MADE_OF_QUERIES:
        keep = getattr(kept, table.name)
        if keep is None or keep > longest:
            raise ConfigError(
                f"{table.name} would be kept for longer than queries: erasure could not tell whose they are",
                where=f"{flywheel.name}: retention.{table.name}",
                mend=f"keep them for {_days(longest)} at most",
            )


def _maintain(
    table: Table,
    flywheels: Sequence[Flywheel],
    lake: Lake,
    now: datetime,
    say: Progress,
    keep_files: timedelta,
    dry_run: bool,
) -> Upkeep:
    done = Upkeep(table.name)
    if not dry_run:
        _set_properties(lake, table)
    for flywheel in flywheels:
        files, size = upkeep.files(lake, table, flywheel.name)
        done.files_before, done.bytes_before = done.files_before + files, done.bytes_before + size
        done.expired += _expire(table, flywheel, lake, now, say, dry_run) if table in _EXPIRE else 0
        if not dry_run:
            upkeep.compact(lake, table, flywheel.name)
        files, size = upkeep.files(lake, table, flywheel.name)
        done.files_after, done.bytes_after = done.files_after + files, done.bytes_after + size
    done.deleted = upkeep.vacuum(lake, table, keep_files, dry_run=dry_run)
    return done


def _set_properties(lake: Lake, table: Table) -> None:
    """Give a table that an earlier release made the settings of one that is made now."""

    def change(opened: DeltaTable) -> None:
        found, wanted = opened.metadata().configuration, properties(table)
        if any(found.get(name) != value for name, value in wanted.items()):
            opened.alter.set_table_properties(wanted)

    lake.change(table, change)


def _expire(table: Table, flywheel: Flywheel, lake: Lake, now: datetime, say: Progress, dry_run: bool) -> int:
    """Remove the turns that ended longer ago than the table's rows are kept, by the schedule of now."""
    keep = getattr(flywheel.retention, table.name)
    if keep is None:
        return 0
    schedule = {"schedule": flywheel.schedule, "timezone": flywheel.timezone}
    end = last_complete_turn(flywheel.name, now=now - keep, **schedule).end
    turns = [key for key in upkeep.turns(lake, table, flywheel.name) if key < turn_key(end)]
    act = lake.count if dry_run else lake.remove
    rows = act(table, flywheel=flywheel.name, turn=turns)
    if rows:
        say(f"{table.name}: {rows} rows of {len(turns)} turn(s) of {flywheel.name} are older than {_days(keep)}")
    return rows


def _longest_turn(flywheel: Flywheel, now: datetime) -> timedelta:
    lengths, at = [], now
    for _ in range(_LOOK_BACK):
        turn = last_complete_turn(flywheel.name, schedule=flywheel.schedule, timezone=flywheel.timezone, now=at)
        lengths.append(turn.end - turn.start)
        at = turn.start
    return max(lengths)


def _days(length: timedelta) -> str:
    days, rest = divmod(length, timedelta(days=1))
    hours = rest / timedelta(hours=1)
    return f"{days}d" if not hours else f"{days}d {hours:g}h" if days else f"{hours:g}h"
