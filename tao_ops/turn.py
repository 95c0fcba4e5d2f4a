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
    zone = ZoneInfo(timezone)
    local = start.astimezone(zone)
    # croniter takes any second of a matching minute for a match.
    if local.second or local.microsecond or not croniter.match(schedule, local):
        before = croniter(schedule, local).get_prev(datetime)
        raise ConfigError(
            f"no turn of {flywheel} starts at {start.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
            where=f"schedule {schedule!r}, {timezone}",
            mend=f"the one before it is {turn_key(before)}",
        )
    end = croniter(schedule, local).get_next(datetime)
    return Turn(flywheel, start.astimezone(UTC), end.astimezone(UTC))


def last_complete_turn(flywheel: str, *, schedule: str, timezone: str, now: datetime | None = None) -> Turn:
    """The newest turn whose interval is over at ``now`` (default: the present)."""
    zone = ZoneInfo(timezone)
    ticks = croniter(schedule, (now or datetime.now(UTC)).astimezone(zone))
    end = ticks.get_current(datetime)
    if not croniter.match(schedule, end) or end.second or end.microsecond:
        end = ticks.get_prev(datetime)
    start = croniter(schedule, end).get_prev(datetime)
    return Turn(flywheel, start.astimezone(UTC), end.astimezone(UTC))


def new_run_id(prefix: str = "manual") -> str:
    """A run's identity: unique, sortable by time, safe in a path."""
    return f"{prefix}__{datetime.now(UTC):%Y%m%dT%H%M%SZ}_{secrets.token_hex(3)}"


def path_safe(text: str) -> str:
    """``text`` with everything but letters, digits, ``.``, ``_`` and ``-`` replaced by ``-``."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text)
