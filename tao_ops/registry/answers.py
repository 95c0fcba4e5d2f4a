"""What a person decides about versions: promote, reject, roll back. Each holds the flywheel's lock, and is told.

An answer that was given before is found and changes nothing, so that a command may run again after a kill; all but a
rollback that does not say where to, which goes one more step back each time.
"""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from tao_ops.benchmarks.decide import Decision
from tao_ops.config import Flywheel
from tao_ops.errors import ConfigError, DataError, ModelError
from tao_ops.lake import Lake
from tao_ops.models import model_ref
from tao_ops.records import Progress
from tao_ops.registry import record
from tao_ops.registry.again import decide_again
from tao_ops.registry.record import BASE, TIME_LIMIT, Answer, ChampionEvent, EventKind
from tao_ops.registry.versions import Registry
from tao_ops.serve.canary.record import State
from tao_ops.submissions import Registered


@dataclass(frozen=True)
class Decided:
    """What a person's decision came to.

    Attributes:
        champion: the champion's version now; ``before``: then.
        changed: false where it had been decided so before.
        canary: whether it answers a share of the users first.
    """

    champion: int
    before: int
    changed: bool
    canary: bool = False


@dataclass(frozen=True)
class Person:
    """Who decides, and why."""

    who: str
    why: str

    def __post_init__(self) -> None:
        for name, text in (("--by", self.who), ("--reason", self.why)):
            if not text.strip():
                raise ConfigError("is empty: the registry's history tells who and why", where=name)


def promote(
    flywheel: Flywheel,
    version: int,
    person: Person,
    *,
    registry: Registry,
    lake: Lake,
    now: datetime,
    say: Progress,
    force: bool = False,
) -> Decided:
    """Make ``version`` the champion, as the gate's verdict allows; with ``force`` whatever it says.

    Where the champion has moved since the verdict, the gate's rule decides again over stored scores. Where the
    flywheel has a canary, it begins, and the champion stays until it has grown; with ``force`` there is none.

    Raises:
        ConfigError: ``version`` is the base model.
        DataError: there is no such version; its verdict is no promote, or is none any more; it was rejected, by a
            person or by time; or it was promoted, and is the champion no more.
        ModelError: its folder is not the model that was registered, or its weights are deleted.
        RegistryError: the registry cannot be used.
    """
    name = flywheel.name
    if version == BASE:
        raise ConfigError("version 0 is the base model", where=name, mend=f"tao registry rollback {name} --to 0")
    with registry.lock(name):
        before = registry.champion_version(name)
        if version == before:
            say(f"version {version} is the champion of {name} already")
            return Decided(before, before, changed=False)
        one = _version(registry, name, version)
        see_files(registry, name, one)
        why = person.why
        if force:
            why = f"{why} (forced: {_standing(registry.events(name), one)})"
        else:
            if (running := registry.canary(name)) is not None and running.version == version:
                say(f"the canary of version {version} of {name} is under way: tao server canary {name}")
                return Decided(before, before, changed=False, canary=True)
            _see_approvable(registry, flywheel, one, now)
            _see_verdict(registry, flywheel, one, before, lake, say)
            if (config := flywheel.serve.canary) is not None:
                registry.start_canary(name, version, expected_champion=before, config=config, who=person.who, why=why)
                say(f"the canary of version {version} of {name} begins; the champion stays version {before} until then")
                return Decided(before, before, changed=True, canary=True)
        registry.promote(name, version, expected_champion=before, who=person.who, why=why)
        say(f"the champion of {name} is now version {version} (before: {before})")
        return Decided(version, before, changed=True)


def reject(flywheel: Flywheel, version: int, person: Person, *, registry: Registry, say: Progress) -> Decided:
    """Answer a version that is pending with no, or end its canary; that its time is over changes no answer that was
    given.

    Raises:
        DataError: there is no such version, or it neither waits for an answer nor has a canary.
        RegistryError: the registry cannot be used.
    """
    name = flywheel.name
    with registry.lock(name):
        champion = registry.champion_version(name)
        _version(registry, name, version)
        answered, running = record.answer(registry.events(name), version), registry.canary(name)
        if running is not None and running.version == version and person.who != TIME_LIMIT:
            registry.end_canary(running, State.ROLLED_BACK, who=person.who, why=person.why)
            say(f"the canary of version {version} of {name} is rolled back; the champion is still version {champion}")
            return Decided(champion, champion, changed=True)
        if answered is Answer.REJECTED:
            say(f"version {version} of {name} is rejected already")
            return Decided(champion, champion, changed=False)
        if answered in (Answer.APPROVED, Answer.CANARY) and person.who == TIME_LIMIT:
            say(f"version {version} of {name} was answered before its time was over: {answered.value}")
            return Decided(champion, champion, changed=False)
        if answered is not Answer.PENDING:
            is_champion = version == champion
            raise DataError(
                f"version {version} waits for no approval: it {'is' if is_champion else 'is not'} the champion",
                where=name,
                mend=f"tao registry rollback {name} takes it back" if is_champion else "there is nothing to reject",
            )
        registry.reject(name, version, who=person.who, why=person.why)
        say(f"version {version} of {name} is rejected; the champion is still version {champion}")
        return Decided(champion, champion, changed=True)


def rollback(flywheel: Flywheel, to: int | None, person: Person, *, registry: Registry, say: Progress) -> Decided:
    """Make an earlier champion, or the base model, the champion again; by default the one before.

    Raises:
        DataError: there is no champion before; ``to`` is no version, or never was the champion.
        ModelError: its folder is not the model that was registered, or its weights are deleted.
        RegistryError: the registry cannot be used.
    """
    name = flywheel.name
    with registry.lock(name):
        before, history = registry.champion_version(name), registry.events(name)
        target = record.previous(history, before) if to is None else to
        if target is None:
            raise DataError(f"the champion of {name} is version {before}: there is none before it", where=name)
        if target == before:
            say(f"version {target} is the champion of {name} already")
            return Decided(before, before, changed=False)
        if target != BASE:
            one = _version(registry, name, target)
            if not record.was_champion(history, target):
                raise DataError(
                    f"version {target} never was the champion", where=name, mend=f"tao registry promote {name} {target}"
                )
            see_files(registry, name, one)
        registry.rollback(name, target, expected_champion=before, who=person.who, why=person.why)
        say(f"the champion of {name} is again version {target} (before: {before})")
        return Decided(target, before, changed=True)


def _version(registry: Registry, name: str, version: int) -> Registered:
    found = next((one for one in registry.versions(name) if one.version == version), None)
    if found is None:
        raise DataError(
            f"MLflow has no version {version} of {name}",
            where=name,
            mend="it was never made, or was deleted there: choose a version that is left: tao registry list",
        )
    return found


def see_files(registry: Registry, name: str, one: Registered) -> None:
    """Refuse a version whose folder is not what was registered.

    Raises:
        ModelError: it is another model, or its weights are deleted.
    """
    if one.expired:
        raise ModelError(
            f"the weights of version {one.version} are deleted: it is past retention.versions",
            where=one.path,
            mend="choose a version that is left: tao registry list",
        )
    found = model_ref(Path(one.path)).model_version
    if found != one.model_version:
        raise ModelError(
            f"version {one.version} of {name} was registered as {one.model_version}, its folder now holds {found}",
            where=one.path,
            mend="restore the folder from a backup",
        )


def _standing(history: list[ChampionEvent], one: Registered) -> str:
    """What a person overrules."""
    told = f"the gate's verdict was {one.verdict}"
    last = record.settled(history, one.version)
    if last is not None and last.kind is not EventKind.PROMOTE:
        told += f"; rejected by {last.who}"
    return told


def _see_approvable(registry: Registry, flywheel: Flywheel, one: Registered, now: datetime) -> None:
    """Neither promoted before, nor rejected, nor pending for too long; the latter is rejected here."""
    name, history, limit = flywheel.name, registry.events(flywheel.name), flywheel.gate.approval_limit
    last = record.settled(history, one.version)
    mend = "wait for the next turn's candidate, or promote it with --force, as a decision of your own"
    if last is not None and last.kind is EventKind.PROMOTE:
        raise DataError(
            f"version {one.version} was promoted at {last.at:%Y-%m-%d %H:%M}, and {_end(history, one.version)}",
            where=name,
            mend=f"`tao registry rollback {name} --to {one.version}`, or promote it with --force",
        )
    if last is not None and (last.kind in record.CANARY_ENDS or record.answer(history, one.version) is Answer.REJECTED):
        when = f"{last.at:%Y-%m-%d %H:%M}"
        raise DataError(
            f"version {one.version} was rejected by {last.who} at {when}: {last.why}", where=name, mend=mend
        )
    if one.version in record.overdue(history, limit, now):
        why = f"nobody answered within {limit}"
        registry.reject(name, one.version, who=TIME_LIMIT, why=why)
        raise DataError(f"version {one.version} is rejected by now: {why}", where=name, mend=mend)


def _end(history: list[ChampionEvent], version: int) -> str:
    """How it ceased to be the champion."""
    end = record.ended(history, version)
    if end is None:
        return "is the champion no more"
    when = f"{end.at:%Y-%m-%d %H:%M}"
    if end.kind is EventKind.ROLLBACK:
        return f"taken back by {end.who} at {when}: {end.why}"
    return f"replaced by version {end.to_version} at {when}"


def _see_verdict(
    registry: Registry, flywheel: Flywheel, one: Registered, champion: int, lake: Lake, say: Progress
) -> None:
    """The gate's verdict is promote, against the champion of now."""
    name = flywheel.name
    verdict = registry.document(name, one.version, "verdict.json")
    mend = "promote it with --force, as a decision of your own"
    if one.verdict != Decision.PROMOTE:
        raise DataError(f"the gate's verdict on version {one.version} is {one.verdict}", where=name, mend=mend)
    if verdict["champion"]["version"] != champion:
        report = registry.document(name, one.version, "report.json")
        again = decide_again(flywheel, lake, registry, report=report, verdict=verdict, champion=champion, say=say)
        if again["decision"] != Decision.PROMOTE:
            told = f"against the champion of now, version {champion}, the verdict on version {one.version} is"
            raise DataError(f"{told} {again['decision']}", where=name, mend=mend)
