"""The registry's versions as the record of champions tells them: without MLflow, whose start takes seconds."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property

from tao_ops.registry import BASE, ChampionEvent, EventKind, record
from tao_ops.registry.versions import Registry
from tao_ops.views.records import Champion, Event, Release

_RUN, _TURN = re.compile(r"run (.+)"), re.compile(r"turn (\S+): (\S+)")
"""Who and why, of the event that :meth:`~tao_ops.registry.Registry.register` writes."""


@dataclass(frozen=True)
class Standing:
    """A flywheel's history in the registry, oldest first, and what follows from it."""

    history: Sequence[ChampionEvent]

    @cached_property
    def champion(self) -> int:
        """The champion's version."""
        moved = self._moved()
        return BASE if moved is None else moved.to_version

    @cached_property
    def champions(self) -> set[int]:
        """The versions that are or were the champion, but for the base model."""
        moves = [event for event in self.history if event.kind in record.MOVES]
        return {version for event in moves for version in (event.from_version, event.to_version)} - {BASE}

    @cached_property
    def _by_version(self) -> Mapping[int, list[ChampionEvent]]:
        """The events about each version; the first release's tell it by where the champion went."""
        found: dict[int, list[ChampionEvent]] = {}
        for event in self.history:
            found.setdefault(event.to_version if event.version is None else event.version, []).append(event)
        return found

    def releases(self) -> tuple[Release, ...]:
        """All versions, newest first; the base model is the last."""
        named = {event.to_version for event in self.history} | {event.from_version for event in self.history}
        versions = {BASE, *named, *self._by_version}
        return tuple(self.release(version) for version in sorted(versions, reverse=True))

    def release(self, version: int) -> Release:
        """What is known of one version."""
        mine = self._by_version.get(version, [])
        made = next((e for e in mine if e.kind is EventKind.REGISTERED), None)
        turn, decision = (None, None) if made is None else _made_in(made)
        return Release(
            version=version,
            turn=turn,
            run_id=None if made is None else _made_by(made),
            decision=decision,
            at=None if made is None else made.at.astimezone(UTC),
            approval=record.answer(mine, version),
            is_champion=version == self.champion,
            was_champion=version == BASE or version in self.champions,
            expired=any(e.kind is EventKind.EXPIRED for e in mine),
        )

    def shown(self, model_version: str | None, now: datetime) -> Champion:
        """The champion."""
        moved = self._moved()
        since = None if moved is None else moved.at.astimezone(UTC)
        return Champion(
            version=self.champion,
            model_version=model_version,
            turn=self.release(self.champion).turn,
            since=since,
            by=None if moved is None else moved.who,
            why=None if moved is None else moved.why,
            age_days=None if since is None else (now - since).total_seconds() / 86400,
        )

    def about(self, version: int) -> tuple[Event, ...]:
        """What happened to a version, oldest first."""
        return tuple(
            Event(e.kind.value, e.at.astimezone(UTC), e.who, e.why, e.from_version, e.to_version, e.version)
            for e in self.history
            if e.touches(version)
        )

    def _moved(self) -> ChampionEvent | None:
        """The last time that the champion moved."""
        return next((event for event in reversed(self.history) if event.kind in record.MOVES), None)


def standing(database_url: str, flywheel: str) -> Standing:
    """How a flywheel stands in the registry.

    Raises:
        RegistryError: it cannot be asked.
    """
    return Standing(Registry(database_url, None).events(flywheel))


def releases(database_url: str, flywheel: str) -> tuple[Release, ...]:
    """All versions of a flywheel, newest first; the last is the base model, version 0.

    A rollback may go to each that was the champion, is it no more, and has not expired.

    Raises:
        RegistryError: the registry cannot be asked.
    """
    return standing(database_url, flywheel).releases()


def _made_by(event: ChampionEvent) -> str | None:
    found = _RUN.fullmatch(event.who)
    return None if found is None else found[1]


def _made_in(event: ChampionEvent) -> tuple[str | None, str | None]:
    found = _TURN.fullmatch(event.why)
    return (None, None) if found is None else (found[1], found[2])
