"""How the page writes what it shows: numbers, times, shares, and a verdict in one sentence."""

import re
from collections.abc import Callable
from datetime import datetime
from urllib.parse import quote

from tao_ops.figures import percent, points
from tao_ops.views.records import Champion, Estimate, Release, TurnLine, TurnStatus, TurnView

NOTHING = "–"
_MIDNIGHT = "T00:00Z"
_APPROVALS: dict[str | None, str] = {
    "pending": "; a person decides whether it becomes the champion.",
    "canary": "; it answers a share of the users.",
    "approved": ", and a person approved it.",
    "rejected": ", and a person rejected it.",
}
_PROGRESS = {
    TurnStatus.PARTIAL: "Under way, or ended early",
    TurnStatus.NOTHING_IN: "Nothing fit came in",
    TurnStatus.DONE: "Done, without a verdict",
}
_TURN = re.compile(r"(\d{4}-\d{2}-\d{2}T\d{2})[:-](\d{2}Z)")


def number(value: float | None) -> str:
    """A count, its thousands apart: ``12,345``; or a dash."""
    return NOTHING if value is None else f"{value:,.0f}"


def decimal(value: float | None, digits: int = 3) -> str:
    """A figure with some digits; or a dash."""
    return NOTHING if value is None else f"{value:.{digits}f}"


def share(value: float | Estimate | None) -> str:
    """A share in per cent, with its interval where there is one: ``45.3 % [41.0, 49.5]``."""
    if not isinstance(value, Estimate):
        return percent(value)
    return percent(value.value) + _interval(value, lambda bound: f"{100 * bound:.1f}")


def difference(value: Estimate | None) -> str:
    """A difference of shares in points, with its interval where there is one."""
    return points(value.value, value.low, value.high) if value else points(None)


def error(value: Estimate | None) -> str:
    """A calibration error or a Brier score, with its interval where there is one."""
    if value is None:
        return NOTHING
    return f"{value.value:.3f}" + _interval(value, lambda bound: f"{bound:.3f}")


def probability(value: float | None) -> str:
    """A p-value."""
    if value is None:
        return NOTHING
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def moment(value: datetime | None) -> str:
    """A time, UTC, to the minute."""
    return NOTHING if value is None else f"{value:%Y-%m-%d %H:%M}"


def duration(seconds: float | None) -> str:
    """A time that something took: ``43 s``, ``12 min``, ``1 h 5 min``."""
    if seconds is None:
        return NOTHING
    if seconds < 59.5:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def days(value: float | None) -> str:
    """An age: ``7 hours``, ``1 day``, ``12 days``."""
    if value is None:
        return NOTHING
    if value < 1:
        hours = int(value * 24)
        return "less than an hour" if hours < 1 else f"{hours} hour{'s' * (hours != 1)}"
    whole = int(value)
    return f"{whole} day{'s' * (whole != 1)}"


def turn_name(key: str) -> str:
    """A turn as people call it: its day, and the time (UTC) where it is not midnight."""
    return key.removesuffix(_MIDNIGHT) if key.endswith(_MIDNIGHT) else key.replace("T", " ").removesuffix("Z")


def turn_key(text: str) -> str:
    """A turn's key of what stands in an address; folders write ``-`` for its colon."""
    found = _TURN.fullmatch(text)
    return f"{found[1]}:{found[2]}" if found else text


def version_name(version: int | None) -> str:
    """A version as people call it."""
    if version is None:
        return NOTHING
    return "the base model" if version == 0 else f"version {version}"


def champion_sentence(champion: Champion | None) -> str:
    """Who answers the users, and since when."""
    if champion is None:
        return "The registry could not be asked who the champion is."
    who = f"Champion is {version_name(champion.version)}"
    if champion.since is None:
        return f"{who}: no candidate has been promoted yet."
    return f"{who}, for {days(champion.age_days)}."


def verdict_sentence(turn: TurnView) -> str:
    """What became of a turn, in one sentence."""
    if turn.verdict is None:
        return _unfinished(turn)
    candidate = version_name(turn.version) if turn.version else "the candidate"
    if turn.verdict.decision == "promote":
        asked = turn.approval or ("pending" if turn.verdict.approval == "pending" else None)
        return f"{candidate.capitalize()} passed the gate{_APPROVALS.get(asked, '.')}"
    if turn.verdict.decision == "undecided":
        return f"The data cannot tell whether {candidate} is better; the champion stays."
    return f"{candidate.capitalize()} did not pass the gate; the champion stays."


def outcome(line: TurnLine) -> str:
    """What became of a turn in a list: the verdict's first reason, or how far it has come."""
    return line.reason or _PROGRESS[line.status]


def fate(release: Release) -> str:
    """What became of a version."""
    told = []
    if release.is_champion:
        told.append("is the champion")
    elif release.was_champion:
        told.append("was the champion")
    if release.approval == "pending":
        told.append("waits for a person's answer")
    elif release.approval == "canary":
        told.append("answers a share of the users")
    elif release.approval in ("approved", "rejected"):
        told.append(f"was {release.approval}")
    if release.expired:
        told.append("its weights were deleted")
    return ", ".join(told) or NOTHING


def address(text: object) -> str:
    """A text as one part of a path."""
    return quote(str(text), safe="")


def excerpt(text: str | None, most: int = 160) -> str:
    """The beginning of a text, in one line."""
    line = " ".join((text or "").split())
    return line if len(line) <= most else line[: most - 1].rstrip() + "…"


def _unfinished(turn: TurnView) -> str:
    if turn.status is TurnStatus.NOTHING_IN:
        return "Nothing fit came in: every row is in quarantine."
    done = sum(line.status == "done" for line in turn.stages)
    return f"No verdict yet: {done} of {len(turn.stages)} stages are recorded."


def _interval(value: Estimate, write: Callable[[float], str]) -> str:
    return "" if value.low is None or value.high is None else f" [{write(value.low)}, {write(value.high)}]"


FILTERS: dict[str, Callable[..., str]] = {
    each.__name__: each
    for each in (
        number,
        decimal,
        share,
        difference,
        error,
        probability,
        moment,
        duration,
        days,
        turn_name,
        version_name,
        champion_sentence,
        verdict_sentence,
        outcome,
        fate,
        address,
        excerpt,
    )
}
"""What the templates know by name."""
