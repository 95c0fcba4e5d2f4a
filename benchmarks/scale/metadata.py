"""PostgreSQL with many turns behind it: leases, the champion's record, erasures."""

from collections.abc import Callable
from functools import partial

from benchmarks.scale.history import FLYWHEEL, STAGES, turn
from benchmarks.scale.looks import LOOKS, seconds
from tao_ops import erasure_events, lease
from tao_ops.database import connect
from tao_ops.erasure_plan import Subject
from tao_ops.registry import EventKind, record

EVENTS, ERASED = "the champion's whole history", "all erasures"
GROWS = {EVENTS, ERASED}
"""Lists that are read whole: they grow with the turns."""
_ERASED_EVERY = 5


def build(url: str, turns: int) -> None:
    """So many turns: each stage's lease taken and given back, and a version; each fifth is promoted, and one erased."""
    for day in range(turns):
        for stage in STAGES:
            with lease.hold(url, turn(day), f"r{day}", stage, keep_between=stage != STAGES[-1]):
                pass
        _register(url, day + 1)
        if day % _ERASED_EVERY == 0:
            number = erasure_events.begin(url, FLYWHEEL, Subject(f"u{day}", None), who="bench", why="asked to")
            erasure_events.end(url, number, 3)


def of(url: str, turns: int) -> dict[str, Callable[[], float]]:
    """By figure, a look that says how many seconds it took; each opens its connection, as stages do."""

    def hold() -> None:
        with lease.hold(url, turn(turns), "again", "gate", keep_between=False):
            pass

    def champion() -> None:
        with connect(url) as connection:
            record.current(connection, FLYWHEEL)

    def history() -> None:
        with connect(url) as connection:
            record.events(connection, FLYWHEEL)

    acts: dict[str, Callable[[], object]] = {
        "lease: taken and given back": hold,
        "a version's event, written": lambda: _register(url, turns + 1),
        "who is the champion": champion,
        EVENTS: history,
        ERASED: lambda: erasure_events.events(url, FLYWHEEL),
    }
    return {figure: partial(_quickest, act) for figure, act in acts.items()}


def _quickest(act: Callable[[], object]) -> float:
    return min(seconds(act) for _ in range(LOOKS))


def _register(url: str, version: int) -> None:
    about = {"who": f"run r{version}", "why": f"turn {version}: promote"}
    with connect(url) as connection:
        record.ensure_tables(connection)
        with connection.transaction():
            champion = record.current(connection, FLYWHEEL, for_update=True)
            record.add(
                connection, FLYWHEEL, EventKind.REGISTERED, champions=(champion, champion), version=version, **about
            )
            if version % _ERASED_EVERY == 0:
                record.set_current(connection, FLYWHEEL, version)
                record.add(
                    connection, FLYWHEEL, EventKind.PROMOTE, champions=(champion, version), version=version, **about
                )
