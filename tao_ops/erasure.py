"""Erasure: a person's rows, or a query's, go from every table, from their files and logs, and do not come back."""

import shutil
from collections import defaultdict
from collections.abc import Collection
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from tao_ops import trained_rows, upkeep
from tao_ops.database import advisory_lock, connect, front_door
from tao_ops.erasure_plan import TABLES, Plan, Subject, make_plan, remove
from tao_ops.lake import Lake
from tao_ops.records import Progress
from tao_ops.registry import open_registry
from tao_ops.settings import Settings
from tao_ops.tables import ERASURES
from tao_ops.trained_rows import Candidate

REPEATED = timedelta(days=15)
"""How long ``tao lake maintain`` repeats an erasure: a run that had read the rows before may write what it made. Two
weekly ones, so that one comes well after the erasure even where one is missed."""

WAIT_SECONDS = 45 * 60.0
"""How long an erasure waits for the flywheel's ingest or validate."""


@dataclass(frozen=True)
class Release:
    """A candidate that was trained on erased rows, or from a model that was.

    Attributes:
        version: its version in the registry, None where it was never registered.
        rows: erased rows that it was trained on itself, in this run of the erasure.
    """

    model_version: str
    version: int | None
    champion: bool
    rows: int

    @property
    def advice(self) -> str:
        """What to do about it."""
        if self.champion:
            return "it is the champion: train on turns of after the erasure and promote that, or roll back past it"
        return "do not promote it, nor train from it"


@dataclass
class Erasure:
    """What was erased, or in a dry run would be.

    Attributes:
        rows: by table.
        files: by table, files that held rows and are gone.
        training_rows: rows taken from beside candidates.
        releases: models that the rows had touched; weights keep what they learned.
    """

    flywheel: str
    dry_run: bool
    rows: dict[str, int] = field(default_factory=dict)
    files: dict[str, int] = field(default_factory=dict)
    training_rows: int = 0
    releases: list[Release] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        releases = [{**asdict(release), "advice": release.advice} for release in self.releases]
        return {**asdict(self), "releases": releases}


def erase(
    flywheel: str, subject: Subject, *, lake: Lake, settings: Settings, url: str, dry_run: bool, say: Progress
) -> Erasure:
    """Erase ``subject`` from the flywheel; no ingest or validate of it runs meanwhile.

    The erasure is recorded first, so that ingest never takes the rows again; killed at any moment, a second run
    finishes it, and names the same releases. The raw logs are not touched, and what a model's weights learned stays.

    Raises:
        RegistryError: no database, or an ingest or validate did not end within :data:`WAIT_SECONDS`.
        LakeError: a table cannot be read or written; run it again.
    """
    now, done = datetime.now(UTC), Erasure(flywheel, dry_run)

    def waiting() -> None:
        say(f"a turn of {flywheel} is at its ingest or validate: waiting for it")

    with (
        connect(url) as connection,
        advisory_lock(connection, front_door(flywheel), seconds=WAIT_SECONDS, waiting=waiting),
    ):
        if not dry_run:  # what a killed ingest left there
            shutil.rmtree(settings.home / "spool" / flywheel, ignore_errors=True)
        plan = make_plan(lake, flywheel, subject)
        every = trained_rows.candidates(lake, flywheel)
        trained = _trained(every, plan)
        models = _models(trained) | _recorded(lake, flywheel, subject)
        if not dry_run:
            _record(lake, plan, models, now)
        done.rows = remove(lake, plan, dry_run=dry_run)
        if not dry_run:
            for candidate in trained:
                trained_rows.erase(candidate, plan.gone, now)
            done.files = {table.name: upkeep.purge(lake, table) for table in TABLES}
        done.training_rows = sum(trained.values())
    if models:
        touched = trained_rows.descendants(every, models)
        done.releases = _releases(flywheel, [c for c in every if c.model_version in touched], trained, settings, url)
    _tell(done, say)
    return done


def erased(lake: Lake, flywheel: str) -> tuple[set[str], set[str]]:
    """Hashes of the users and ids of the queries that ``ingest`` must not take again."""
    rows = lake.read(ERASURES, columns=["user_hash", "query_id"], flywheel=flywheel).to_pylist()
    users = {row["user_hash"] for row in rows if row["query_id"] is None}
    return users, {row["query_id"] for row in rows if row["user_hash"] is None}


def repeat(lake: Lake, flywheel: str, now: datetime, say: Progress) -> int:
    """Erase again what was written by a run that was at work during an erasure; returns how many rows it had.

    It is done for :data:`REPEATED`. After that the record no longer says which queries were a user's.
    """
    subjects, old = _recent(lake, flywheel, now)
    found = 0
    for subject in subjects:
        plan = make_plan(lake, flywheel, subject)
        trained = _trained(trained_rows.candidates(lake, flywheel), plan)
        if trained:
            _record(lake, plan, _models(trained), now)
            say(f"erased rows had reached {len(trained)} candidate(s) more: {', '.join(sorted(_models(trained)))}")
        found += sum(remove(lake, plan).values()) + sum(trained.values())
        for candidate in trained:
            trained_rows.erase(candidate, plan.gone, now)
    if found:
        say(f"{flywheel}: {found} rows of erased queries were written by a run that was at work; they are removed")
    if subjects:  # also for the unfinished file of a stage that was killed shortly before the erasure
        for table in TABLES:
            upkeep.purge(lake, table)
    for user_hash, query_ids in old.items():
        lake.remove(ERASURES, flywheel=flywheel, user_hash=user_hash, query_id=query_ids)
    return found


def _trained(every: Collection[Candidate], plan: Plan) -> dict[Candidate, int]:
    """The candidates that were trained on what goes, and on how many rows of it."""
    return {c: count for c in every if (count := trained_rows.touched(c, plan.gone))}


def _models(trained: Collection[Candidate]) -> set[str]:
    return {candidate.model_version for candidate in trained if candidate.model_version}


def _recorded(lake: Lake, flywheel: str, subject: Subject) -> set[str]:
    """The models that an earlier run of the same erasure found."""
    rows = lake.read(ERASURES, flywheel=flywheel, **subject.where).to_pylist()
    return {model for row in rows for model in row["models"]}


def _record(lake: Lake, plan: Plan, models: Collection[str], now: datetime) -> None:
    """Write down the erasure, and for a user the queries too, since they are not found once ``queries`` is clean."""
    subject = plan.subject
    have = {row["query_id"] for row in lake.read(ERASURES, flywheel=plan.flywheel, **subject.where).to_pylist()}
    own = [] if subject.user_hash is None else sorted(plan.query_ids - have)
    row: dict[str, Any] = {"flywheel": plan.flywheel, "user_hash": subject.user_hash, "erased_at": now, "models": []}
    first = {**row, "query_id": subject.query_id, "models": sorted(models)}
    lake.append(ERASURES, [first, *({**row, "query_id": query_id} for query_id in own)])


def _recent(lake: Lake, flywheel: str, now: datetime) -> tuple[set[Subject], dict[str, set[str]]]:
    """The subjects whose erasure is to be repeated; of the others, the queries by user that may be forgotten."""
    recent: set[Subject] = set()
    queries: defaultdict[str, set[str]] = defaultdict(set)
    for row in lake.read(ERASURES, flywheel=flywheel).to_pylist():
        if row["user_hash"] is not None and row["query_id"] is not None:
            queries[row["user_hash"]].add(row["query_id"])
        elif row["erased_at"] > now - REPEATED:
            recent.add(Subject(row["user_hash"], row["query_id"]))
    return recent, {user: ids for user, ids in queries.items() if Subject(user_hash=user) not in recent}


def _releases(
    flywheel: str, touched: Collection[Candidate], trained: dict[Candidate, int], settings: Settings, url: str
) -> list[Release]:
    registry = open_registry(url, settings)
    champion = registry.champion_version(flywheel)
    found = []
    for candidate in touched:
        version = registry.version_of(flywheel, run_id=candidate.run_id, model_version=candidate.model_version)
        is_champion = version is not None and version == champion
        found.append(Release(candidate.model_version, version, is_champion, trained.get(candidate, 0)))
    return sorted(found, key=lambda release: (release.version is None, release.version or 0, release.model_version))


def _tell(done: Erasure, say: Progress) -> None:
    would = "would be " if done.dry_run else ""
    for table, count in done.rows.items():
        files = f", {done.files[table]} files deleted" if done.files.get(table) else ""
        say(f"{table}: {count} rows {would}removed{files}")
    say(f"rows beside candidates: {done.training_rows} {would}removed")
    for release in done.releases:
        name = f"{done.flywheel} version {release.version}" if release.version else f"unregistered {done.flywheel}"
        say(f"touched: {name} ({release.model_version}): {release.advice}")
    say("raw logs and captured segments stay as they are: delete those of that time where they hold such rows")
