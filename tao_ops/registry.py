"""The registry: numbered versions in MLflow, and the champion record, which is ours.

The champion is one row per flywheel in PostgreSQL, moved by compare-and-set together with an event that says who,
when and why. MLflow's alias ``champion`` mirrors it and is put right where somebody has moved it by hand. Version
0 is the base model: it is in no registry, and :meth:`Registry.champion` is None.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tao_ops.database import advisory_lock, connect, ensure_schema
from tao_ops.errors import RegistryError
from tao_ops.mlflow_versions import MlflowVersions
from tao_ops.models import ModelFacts
from tao_ops.records import ModelRef
from tao_ops.settings import Settings
from tao_ops.submissions import Submission

if TYPE_CHECKING:
    import psycopg

    Connection = psycopg.Connection[dict[str, Any]]

BASE = 0
"""The base model's version."""
_LOCK_SECONDS = 300.0
_SCHEMA = """
create table if not exists champions (
    flywheel text primary key, version integer not null, moved_at timestamptz not null default now()
);
create table if not exists champion_events (
    id bigint generated always as identity primary key,
    flywheel text not null, kind text not null, at timestamptz not null default now(),
    who text not null, why text not null, from_version integer not null, to_version integer not null
);
create index if not exists champion_events_by_flywheel on champion_events (flywheel, id);
"""


class ChampionMoved(RegistryError):
    """The champion is no longer the one that the promotion was decided against; nothing was moved."""


class EventKind(StrEnum):
    """What happened to the champion."""

    PROMOTE = "promote"
    """A version became the champion."""
    ALIAS_REPAIRED = "alias_repaired"
    """MLflow's alias had been moved by hand; the champion stayed."""


@dataclass(frozen=True)
class ChampionEvent:
    """One line of a flywheel's history; version 0 is the base model."""

    kind: EventKind
    at: datetime
    who: str
    why: str
    from_version: int
    to_version: int


class Registry:
    """Versions and champions of all flywheels of one server."""

    def __init__(self, url: str, artifacts: Path | None) -> None:
        """``url`` is of the database ``tao``; MLflow's is beside it, and ``artifacts`` is for its documents.

        Without ``artifacts`` no flywheel can register its first version.
        """
        self._url, self._versions, self._has_schema = url, MlflowVersions(url, artifacts), False

    def champion_version(self, flywheel: str) -> int:
        """The champion's version, 0 for the base model; does without MLflow."""
        with self._connect() as connection:
            return _current(connection, flywheel)

    def champion(self, flywheel: str) -> ModelRef | None:
        """The champion, or None where it is the base model.

        Raises:
            RegistryError: no database, or MLflow does not know the champion's version.
        """
        version = self.champion_version(flywheel)
        if version == BASE:
            return None
        self.repair_alias(flywheel)
        return self._versions.ref(flywheel, version)

    def facts(self, flywheel: str, version: int) -> ModelFacts:
        """Architecture, size and dtype that the version was registered with."""
        return self._versions.facts(flywheel, version)

    def version_of(self, flywheel: str, *, run_id: str, model_version: str) -> int | None:
        """The version that this run registered for this content, if it did."""
        return self._versions.find(flywheel, run_id=run_id, model_version=model_version)

    def register(self, submission: Submission) -> int:
        """Give a candidate its version, whatever the verdict. A retry of the same run gets the same one."""
        return self._versions.register(submission)

    def promote(self, flywheel: str, version: int, *, expected_champion: int, who: str, why: str) -> None:
        """Make ``version`` the champion if ``expected_champion`` still is; record it and move MLflow's alias.

        Raises:
            ChampionMoved: another version is the champion by now.
            RegistryError: MLflow does not know ``version``.
        """
        if version != BASE:
            self._versions.ref(flywheel, version)
        with self._connect() as connection, connection.transaction():
            current = _current(connection, flywheel, for_update=True)
            if current != expected_champion:
                raise ChampionMoved(
                    f"the champion of {flywheel} is version {current}, not {expected_champion}",
                    mend="run the gate again, against the champion of now",
                )
            if version == current:
                return
            connection.execute(
                "update champions set version = %s, moved_at = now() where flywheel = %s", [version, flywheel]
            )
            _record(connection, flywheel, EventKind.PROMOTE, who, why, current, version)
            # Under the row's lock, so that the alias cannot go back behind a later promotion; where the process
            # dies before the commit, the alias is ahead of the record and the next look repairs it.
            self._versions.set_alias(flywheel, version)

    def repair_alias(self, flywheel: str) -> bool:
        """Put MLflow's alias back onto the champion; true where it was elsewhere."""
        with self._connect() as connection, connection.transaction():
            current = _current(connection, flywheel, for_update=True)
            found = self._versions.alias(flywheel)
            if found == current:
                return False
            why = f"MLflow's alias was on version {found}, the champion is {current}"
            _record(connection, flywheel, EventKind.ALIAS_REPAIRED, "tao", why, current, current)
            self._versions.set_alias(flywheel, current)
            return True

    def events(self, flywheel: str) -> list[ChampionEvent]:
        """The flywheel's history, oldest first."""
        with self._connect() as connection:
            rows = connection.execute(
                "select kind, at, who, why, from_version, to_version from champion_events"
                " where flywheel = %s order by id",
                [flywheel],
            ).fetchall()
        return [ChampionEvent(**{**row, "kind": EventKind(row["kind"])}) for row in rows]

    @contextmanager
    def lock(self, flywheel: str) -> Iterator[None]:
        """One decision about a flywheel's champion at a time; a dead holder's lock is free at once."""
        name = f"champion {flywheel}"
        with self._connect() as connection, advisory_lock(connection, name, seconds=_LOCK_SECONDS):
            yield

    @contextmanager
    def _connect(self) -> Iterator["Connection"]:
        import psycopg

        with connect(self._url) as connection:
            try:
                if not self._has_schema:
                    ensure_schema(connection, _SCHEMA)
                    self._has_schema = True
                yield connection
            except psycopg.Error as error:
                raise RegistryError(f"the registry's database failed: {str(error).splitlines()[0]}") from error


def open_registry(url: str, settings: Settings) -> Registry:
    """The registry of an installation; ``url`` is of its database ``tao``."""
    return Registry(url, _artifacts(settings))


def open_versions(url: str, settings: Settings) -> MlflowVersions:
    """MLflow alone, for the curves of a training; ``url`` is of the database ``tao``."""
    return MlflowVersions(url, _artifacts(settings))


def champion(url: str, flywheel: str) -> ModelRef | None:
    """The flywheel's champion, or None where it is the base model; for those who only read."""
    return Registry(url, None).champion(flywheel)


def _artifacts(settings: Settings) -> Path:
    return settings.home / "mlflow-artifacts"


def _current(connection: "Connection", flywheel: str, *, for_update: bool = False) -> int:
    if for_update:
        connection.execute(
            "insert into champions (flywheel, version) values (%s, %s) on conflict do nothing",
            [flywheel, BASE],
        )
    row = connection.execute(
        "select version from champions where flywheel = %s" + (" for update" if for_update else ""),
        [flywheel],
    ).fetchone()
    return BASE if row is None else int(row["version"])


def _record(
    connection: "Connection", flywheel: str, kind: EventKind, who: str, why: str, before: int, after: int
) -> None:
    connection.execute(
        "insert into champion_events (flywheel, kind, who, why, from_version, to_version)"
        " values (%s, %s, %s, %s, %s, %s)",
        [flywheel, kind.value, who, why, before, after],
    )


__all__ = [
    "BASE",
    "ChampionEvent",
    "ChampionMoved",
    "EventKind",
    "Registry",
    "Submission",
    "champion",
    "open_registry",
    "open_versions",
]
