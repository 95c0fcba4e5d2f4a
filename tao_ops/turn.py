"""A turn: one half-open data interval of a flywheel, and the identity of the runs that attempt it."""

import hashlib
import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from croniter import croniter

from tao_ops.errors import ConfigError

_SHORT = re.compile(r"^\d{4}-\d{2}-\d{2}$")


@dataclass(frozen=True)
class Turn:
    """One interval ``[start, end)`` of a flywheel, in UTC."""

    flywheel: str
    start: datetime
    end: datetime

    @property
    def key(self) -> str:
        """The interval's start as a UTC instant, ``2026-11-21T00:00Z``."""
        return turn_key(self.start)

    def seed(self, base: int, *parts: str) -> int:
        """A 31-bit seed that depends on the flywheel, the turn, ``base`` and ``parts`` alone."""
        text = "\x1f".join([self.flywheel, self.key, str(base), *parts])
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") & 0x7FFFFFFF


def turn_key(start: datetime) -> str:
    """``2026-11-21T00:00Z`` for any aware datetime."""
    return start.astimezone(UTC).strftime("%Y-%m-%dT%H:%MZ")


def parse_instant(text: str, timezone: str = "UTC") -> datetime:
    """Read ``2026-11-21`` (midnight in ``timezone``) or an ISO instant.

    Raises:
        ConfigError: the text is neither.
    """
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(
            f"{text!r} is not a date or an instant", where="--turn", mend="write 2026-11-21 or 2026-11-21T00:00Z"
        ) from None
    if parsed.tzinfo is None:
        parsed = parsed.replace(tzinfo=ZoneInfo(timezone if _SHORT.match(text) else "UTC"))
    return parsed.astimezone(UTC)


def turn_at(flywheel: str, start: datetime, *, schedule: str, timezone: str) -> Turn:
    """The turn of ``flywheel`` that starts at ``start``.

    Raises:
        ConfigError: no interval of the schedule starts there.
    """
    start, zone = start.astimezone(UTC), ZoneInfo(timezone)
    before = _previous(start, schedule, zone)
    # A tick that was moved out of the hour that the clocks leave out is found before itself.
    if start not in (before, _next(before, schedule, zone)):
        raise ConfigError(
            f"no turn of {flywheel} starts at {start:%Y-%m-%dT%H:%M:%SZ}",
            where=f"schedule {schedule!r}, {timezone}",
            mend=f"the one before it is {turn_key(before)}",
        )
    return Turn(flywheel, start, _next(start, schedule, zone))


def named_turn(flywheel: str, when: str | None, *, schedule: str, timezone: str) -> "Turn":
    """The turn that a person names by its start, ``2026-11-21`` or an instant; the last complete one for None."""
    if when is None:
        return last_complete_turn(flywheel, schedule=schedule, timezone=timezone)
    return turn_at(flywheel, parse_instant(when, timezone), schedule=schedule, timezone=timezone)


def last_complete_turn(flywheel: str, *, schedule: str, timezone: str, now: datetime | None = None) -> Turn:
    """The newest turn whose interval is over at ``now`` (default: the present)."""
    now, zone = (now or datetime.now(UTC)).astimezone(UTC), ZoneInfo(timezone)
    end = _previous(now, schedule, zone)
    while (later := _next(end, schedule, zone)) <= now:
        end = later
    return Turn(flywheel, _previous(end, schedule, zone), end)


def turns_within(flywheel: str, start: datetime, end: datetime, *, schedule: str, timezone: str) -> list[Turn]:
    """The turns that hold an instant of ``[start, end)``, oldest first."""
    zone, begin = ZoneInfo(timezone), start.astimezone(UTC)
    at = _previous(begin, schedule, zone)
    while (later := _next(at, schedule, zone)) <= begin:
        at = later
    turns = []
    while at < end:
        turns.append(Turn(flywheel, at, _next(at, schedule, zone)))
        at = turns[-1].end
    return turns


def _next(at: datetime, schedule: str, zone: ZoneInfo) -> datetime:
    """The first tick after ``at``, counted as Airflow's cron timetables count, so that both mean the same turns.

    Ticks are found on the wall clock. A schedule of every hour steps in elapsed time; another that falls into the
    hour that a change of clocks repeats takes the second of the two, one in the hour that it leaves out moves on.
    """
    return _tick(at, schedule, zone, forward=True)


def _previous(at: datetime, schedule: str, zone: ZoneInfo) -> datetime:
    """The last tick before ``at``."""
    return _tick(at, schedule, zone, forward=False)


def _tick(at: datetime, schedule: str, zone: ZoneInfo, *, forward: bool) -> datetime:
    wall = at.astimezone(zone).replace(tzinfo=None)
    cron = croniter(schedule, wall)
    found: datetime = cron.get_next(datetime) if forward else cron.get_prev(datetime)
    if cron.expanded[1] == ["*"]:
        return at + (found - wall)
    return max(found.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))


def new_run_id() -> str:
    """A run's identity: unique, sortable by time, safe in a path."""
    return f"manual__{datetime.now(UTC):%Y%m%dT%H%M%SZ}_{secrets.token_hex(3)}"


def path_safe(text: str) -> str:
    """``text`` as one folder's name: all but letters, digits, ``.``, ``_`` and ``-`` becomes ``-``, as do mere dots.

    >>> path_safe("scheduled__2026-11-21T00:00:00+00:00"), path_safe("..")
    ('scheduled__2026-11-21T00-00-00-00-00', '--')
    """
    safe = re.sub(r"[^A-Za-z0-9._-]+", "-", text)
    return safe if safe.strip(".") else "-" * max(1, len(safe))
