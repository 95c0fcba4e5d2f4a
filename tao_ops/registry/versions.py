"""One flywheel's versions and champion, of all that one server holds."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tao_ops.benchmarks.decide import Decision
from tao_ops.config.serve import CanaryConfig
from tao_ops.database import advisory_lock, connect
from tao_ops.errors import RegistryError
from tao_ops.mlflow_versions import MlflowVersions
from tao_ops.models import ModelFacts
from tao_ops.records import ModelRef, Progress
from tao_ops.registry import canaries, record
from tao_ops.registry.record import BASE, TIME_LIMIT, Answer, ChampionEvent, EventKind
from tao_ops.serve.canary import record as canary_record
from tao_ops.serve.canary.record import Canary, State
from tao_ops.submissions import Registered, Submission

if TYPE_CHECKING:
    import psycopg

    Connection = psycopg.Connection[dict[str, Any]]

_LOCK_SECONDS = 300.0
_US = "tao"
"""Who did what no person and no turn asked for."""


class ChampionMoved(RegistryError):
    """The champion is no longer the one that the promotion was decided against; nothing was moved."""


class CanaryOver(RegistryError):
    """The canary that was to grow has ended since it was looked at; nothing was moved."""


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
            return record.current(connection, flywheel)

    def champion(self, flywheel: str) -> ModelRef | None:
        """The champion, or None where it is the base model.

        Raises:
            RegistryError: no database, or MLflow does not know the champion's version.
        """
        version = self.champion_version(flywheel)
        if version == BASE:
            return None
        self.repair_aliases(flywheel)
        return self.ref(flywheel, version)

    def ref(self, flywheel: str, version: int) -> ModelRef:
        """Where a version's files are, and the digest that they were registered with."""
        return self._versions.ref(flywheel, version)

    def facts(self, flywheel: str, version: int) -> ModelFacts:
        """Architecture, size and dtype that the version was registered with."""
        return self._versions.facts(flywheel, version)

    def version_of(self, flywheel: str, *, run_id: str, model_version: str) -> int | None:
        """The version that this run registered for this content, if it did."""
        return self._versions.find(flywheel, run_id=run_id, model_version=model_version)

    def versions(self, flywheel: str) -> list[Registered]:
        """All versions, oldest first."""
        return self._versions.every(flywheel)

    def document(self, flywheel: str, version: int, name: str) -> dict[str, Any]:
        """``report.json`` or ``verdict.json`` as the version was registered with."""
        return self._versions.document(flywheel, version, name)

    def logged(self, flywheel: str, version: int) -> dict[str, dict[str, Any]]:
        """``parameters`` and ``metrics`` of the version's run in MLflow."""
        return self._versions.logged(flywheel, version)

    def register(self, submission: Submission, *, pending: bool = False) -> int:
        """Give a candidate its version, whatever the verdict. A retry of the same run gets the same one.

        Args:
            pending: whether a person is asked; not again where one has answered. A question that was put before is
                taken back where the verdict is no promote any more.
        """
        flywheel, version = submission.flywheel, self._versions.register(submission)
        who, why = f"run {submission.run_id}", f"turn {submission.turn}: {submission.verdict['decision']}"
        with self._move(flywheel) as (connection, champion):
            history = record.events(connection, flywheel)
            about: dict[str, Any] = {"champions": (champion, champion), "version": version}
            if not any(e.kind is EventKind.REGISTERED and e.version == version for e in history):
                record.add(connection, flywheel, EventKind.REGISTERED, who=who, why=why, **about)
            answered = record.answer(history, version)
            under_way = answered in (Answer.PENDING, Answer.CANARY) or record.on_canary(history) == version
            if pending and not under_way and record.settled(history, version) is None:
                asks = f"the gate says promote; {why}"
                record.add(connection, flywheel, EventKind.PENDING, who=who, why=asks, **about)
            elif answered is Answer.PENDING and submission.verdict["decision"] != Decision.PROMOTE:
                who, why = record.taken_back(submission.run_id, why)
                record.add(connection, flywheel, EventKind.REJECT, who=who, why=why, **about)
            self._mirror(connection, flywheel, champion, version)
        return version

    def promote(self, flywheel: str, version: int, *, expected_champion: int, who: str, why: str) -> None:
        """Make ``version`` the champion if ``expected_champion`` still is; record it and move MLflow's aliases.

        Raises:
            ChampionMoved: another version is the champion by now.
            RegistryError: MLflow does not know ``version``.
        """
        self._set(flywheel, version, EventKind.PROMOTE, expected_champion, who, why)

    def canary(self, flywheel: str) -> Canary | None:
        """The canary that runs."""
        with self._connect() as connection:
            return canary_record.current(connection, flywheel)

    def canary_states(self, flywheel: str) -> dict[int, State]:
        """Of each version that ever was a canary, where its last one stands."""
        with self._connect() as connection:
            return canary_record.states(connection, flywheel)

    def see_canary(self, flywheel: str, version: int | None = None) -> canaries.Seen | None:
        """The newest canary, of ``version`` where one is named, its counts, and what they come to; nothing is done."""
        with self._connect() as connection:
            canary = canary_record.last(connection, flywheel, version)
            return None if canary is None else canaries.see(connection, canary)

    def start_canary(
        self, flywheel: str, version: int, *, expected_champion: int, config: CanaryConfig, who: str, why: str
    ) -> Canary:
        """Let ``version`` answer a share of the users, in the place of any canary that runs; the champion stays.

        One of the same version goes on as it began.

        Raises:
            ChampionMoved: another version is the champion by now.
            RegistryError: MLflow does not know ``version``.
        """
        one = next((each for each in self.versions(flywheel) if each.version == version), None)
        if one is None:
            raise RegistryError(f"MLflow has no version {version} of {flywheel}")
        with self._move(flywheel) as (connection, champion):
            _see_champion(flywheel, champion, expected_champion)
            about: dict[str, Any] = {"champion": champion, "config": config, "turn": one.turn, "run_id": one.run_id}
            begun = canaries.begin(connection, flywheel, version, who=who, why=why, **about)
            self._mirror(connection, flywheel, champion, version)
            return begun

    def end_canary(self, canary: Canary, state: State, *, who: str, why: str) -> bool:
        """End a canary whose candidate does not become the champion; false where somebody was quicker."""
        with self._move(canary.flywheel) as (connection, champion):
            done = canaries.end(connection, canary, state, who=who, why=why)
            # Also where a server was quicker, which knows no MLflow.
            self._mirror(connection, canary.flywheel, champion, canary.version)
            return done

    def grow(self, canary: Canary, *, why: str) -> None:
        """Make a canary's candidate the champion, as :meth:`promote` does.

        Raises:
            CanaryOver: it runs no more.
            ChampionMoved, RegistryError: as :meth:`promote`.
        """
        self._set(canary.flywheel, canary.version, EventKind.PROMOTE, canary.champion, canaries.CANARY, why, canary)

    def repair_approval(self, flywheel: str, version: int) -> None:
        """Tell MLflow how a version's approval stands: a server that ended its canary could not."""
        with self._move(flywheel) as (connection, champion):
            self._mirror(connection, flywheel, champion, version)

    def rollback(self, flywheel: str, version: int, *, expected_champion: int, who: str, why: str) -> None:
        """Make ``version``, 0 for the base model, the champion again, as :meth:`promote` does."""
        self._set(flywheel, version, EventKind.ROLLBACK, expected_champion, who, why)

    def reject(self, flywheel: str, version: int, *, who: str, why: str) -> None:
        """Write down that ``version`` does not become the champion."""
        self._tell(flywheel, version, EventKind.REJECT, who, why)

    def reject_overdue(self, flywheel: str, limit: timedelta, now: datetime, *, say: Progress) -> None:
        """Reject what has waited for an answer for longer than ``limit``; the caller holds the lock."""
        for version in record.overdue(self.events(flywheel), limit, now):
            why = f"nobody answered within {limit}"
            self.reject(flywheel, version, who=TIME_LIMIT, why=why)
            say(f"version {version} of {flywheel} is rejected: {why}")

    def expire(self, flywheel: str, version: int, *, why: str) -> None:
        """Write down, once, that the weights of ``version`` are deleted."""
        if not any(e.kind is EventKind.EXPIRED and e.version == version for e in self.events(flywheel)):
            self._tell(flywheel, version, EventKind.EXPIRED, _US, why)
        self._versions.tag(flywheel, version, {"expired": "true"})

    def previous(self, flywheel: str) -> int | None:
        """The champion that the one of now took the place of; 0 is the base model, None where there is none."""
        with self._connect() as connection:
            return record.previous(record.events(connection, flywheel), record.current(connection, flywheel))

    def test_number(self, flywheel: str, *, champion: int, candidate: str, at: datetime, timezone: str) -> int:
        """Which of the tests of ``champion`` in the month of ``at``, in ``timezone``, this is: 1 is the first.

        The same candidate, asked for again in that month, keeps its number; two that ask at once get two.

        Args:
            candidate: its model_version.
            at: an instant with its zone.
        """
        if at.tzinfo is None:
            raise ValueError("an instant without a zone is in no month")
        with self._connect() as connection, connection.transaction():
            return record.test_number(
                connection, flywheel, champion=champion, candidate=candidate, at=at, timezone=timezone
            )

    def repair_aliases(self, flywheel: str) -> bool:
        """Put MLflow's aliases back to where the record has them; true where one was elsewhere."""
        with self._move(flywheel) as (connection, champion):
            wrong = self._wrong_aliases(connection, flywheel, champion)
            if not wrong:
                return False
            told = [
                f"MLflow's alias {a} was on {_named(was)}, it belongs on {_named(to)}" for a, (was, to) in wrong.items()
            ]
            about: dict[str, Any] = {"champions": (champion, champion)}
            record.add(connection, flywheel, EventKind.ALIAS_REPAIRED, who=_US, why="; ".join(told), **about)
            self._set_aliases(flywheel, wrong)
            return True

    def events(self, flywheel: str) -> list[ChampionEvent]:
        """The flywheel's history, oldest first."""
        with self._connect() as connection:
            return record.events(connection, flywheel)

    @contextmanager
    def lock(self, flywheel: str) -> Iterator[None]:
        """One decision about a flywheel's champion at a time; a dead holder's lock is free at once."""
        name = f"champion {flywheel}"
        with self._connect() as connection, advisory_lock(connection, name, seconds=_LOCK_SECONDS):
            yield

    def _set(
        self,
        flywheel: str,
        version: int,
        kind: EventKind,
        expected: int,
        who: str,
        why: str,
        canary: Canary | None = None,
    ) -> None:
        if version != BASE:
            self.ref(flywheel, version)
        with self._move(flywheel) as (connection, champion):
            _see_champion(flywheel, champion, expected)
            running = canary_record.current(connection, flywheel)
            if canary is not None and (running is None or running.id != canary.id):
                raise CanaryOver(f"the canary of version {version} of {flywheel} has ended", mend="look at it again")
            if version == champion:
                return
            record.set_current(connection, flywheel, version)
            about: dict[str, Any] = {"champions": (champion, version), "version": version}
            canaries.champion_moved(connection, flywheel, version, who=who, why=why)
            record.add(connection, flywheel, kind, who=who, why=why, **about)
            # Under the row's lock, so that the aliases cannot go back behind a later promotion; where the process
            # dies before the commit, they are ahead of the record and the next look repairs them.
            self._mirror(connection, flywheel, version, version)

    def _tell(self, flywheel: str, version: int, kind: EventKind, who: str, why: str) -> None:
        with self._move(flywheel) as (connection, champion):
            about: dict[str, Any] = {"champions": (champion, champion), "version": version}
            record.add(connection, flywheel, kind, who=who, why=why, **about)
            self._mirror(connection, flywheel, champion, version)

    def _mirror(self, connection: "Connection", flywheel: str, champion: int, version: int) -> None:
        """Tell MLflow what the transaction has written down: the aliases, and the approval of ``version``."""
        self._set_aliases(flywheel, self._wrong_aliases(connection, flywheel, champion))
        answered = record.answer(record.events(connection, flywheel), version)
        if answered is not None:
            self._versions.tag(flywheel, version, {"approval": answered.value})

    def _wrong_aliases(self, connection: "Connection", flywheel: str, champion: int) -> dict[str, tuple[int, int]]:
        """By alias where it is and where it belongs, 0 for nowhere; one whose version is deleted belongs nowhere."""
        found = self._versions.aliases(flywheel)
        wanted = record.aliases(record.events(connection, flywheel), champion)
        for alias in ("previous", "candidate"):
            if alias in wanted and found.get(alias) != wanted[alias]:
                there = self._versions.has(flywheel, wanted[alias])
                wanted = wanted if there else {name: v for name, v in wanted.items() if name != alias}
        names = ("champion", "previous", "candidate")
        both = {alias: (found.get(alias, BASE), wanted.get(alias, BASE)) for alias in names}
        return {alias: (was, to) for alias, (was, to) in both.items() if was != to}

    def _set_aliases(self, flywheel: str, wrong: Mapping[str, tuple[int, int]]) -> None:
        for alias, (_, to) in wrong.items():
            self._versions.set_alias(flywheel, alias, to)

    @contextmanager
    def _move(self, flywheel: str) -> Iterator[tuple["Connection", int]]:
        """A transaction in which nobody else moves the champion, and who that is."""
        with self._connect() as connection, connection.transaction():
            yield connection, record.current(connection, flywheel, for_update=True)

    @contextmanager
    def _connect(self) -> Iterator["Connection"]:
        import psycopg

        with connect(self._url) as connection:
            try:
                if not self._has_schema:
                    record.ensure_tables(connection)
                    canary_record.ensure_tables(connection)
                    self._has_schema = True
                yield connection
            except psycopg.Error as error:
                raise RegistryError(f"the registry's database failed: {str(error).splitlines()[0]}") from error


def _see_champion(flywheel: str, champion: int, expected: int) -> None:
    if champion != expected:
        raise ChampionMoved(
            f"the champion of {flywheel} is version {champion}, not {expected}",
            mend="run the gate again, against the champion of now",
        )


def _named(version: int) -> str:
    return "no version" if version == BASE else f"version {version}"
