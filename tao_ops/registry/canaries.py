"""Canaries in a flywheel's history: each begins and ends in one transaction with the event that tells of it.

No function here asks MLflow: a server ends a canary with nothing but the database.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tao_ops.config.serve import CanaryConfig
from tao_ops.registry import record
from tao_ops.registry.record import EventKind
from tao_ops.serve.canary import record as canaries
from tao_ops.serve.canary.counts import Counts
from tao_ops.serve.canary.decide import Look, Outcome, decide
from tao_ops.serve.canary.record import Canary, State
from tao_ops.serve.exchange import Arm

if TYPE_CHECKING:
    import psycopg

    Connection = psycopg.Connection[dict[str, Any]]

CANARY = "canary"
"""Who promoted, and who took back, where no person did."""

_KINDS = {
    State.ROLLED_BACK: EventKind.CANARY_ROLLED_BACK,
    State.ENDED: EventKind.CANARY_ENDED,
    State.SUPERSEDED: EventKind.CANARY_ENDED,
}
STATES = {Outcome.BREACH: State.ROLLED_BACK, Outcome.ENDS: State.ENDED}
"""How a canary ends by a look that does not let it grow."""


@dataclass(frozen=True)
class Seen:
    """A canary, what both arms have counted so far, and what that comes to; no look where it has ended.

    Attributes:
        candidate: shadows included.
        servers: how many starts of servers have counted.
    """

    canary: Canary
    champion: Counts
    candidate: Counts
    servers: int
    look: Look | None


def begin(
    connection: "Connection",
    flywheel: str,
    version: int,
    *,
    champion: int,
    config: CanaryConfig,
    who: str,
    why: str,
    turn: str | None = None,
    run_id: str | None = None,
) -> Canary:
    """Begin a canary of ``version``, in the place of one that runs; the champion's row is locked.

    One of the same version goes on as it is.
    """
    running = canaries.current(connection, flywheel)
    if running is not None and running.version == version and running.champion == champion:
        return running
    if running is not None:
        end(connection, running, State.SUPERSEDED, who=who, why=f"version {version} took its place")
    begun = canaries.begin(connection, flywheel, version, champion=champion, config=config, turn=turn, run_id=run_id)
    told = f"{why} ({_asked(config)})"
    about: dict[str, Any] = {"champions": (champion, champion), "version": version}
    record.add(connection, flywheel, EventKind.CANARY_STARTED, who=who, why=told, **about)
    return begun


def end(connection: "Connection", canary: Canary, state: State, *, who: str, why: str) -> bool:
    """End a canary whose candidate does not become the champion; false where somebody was quicker."""
    if not canaries.finish(connection, canary, state, who=who, why=why):
        return False
    champion = record.current(connection, canary.flywheel)
    about: dict[str, Any] = {"champions": (champion, champion), "version": canary.version}
    record.add(connection, canary.flywheel, _KINDS[state], who=who, why=why, **about)
    return True


def champion_moved(connection: "Connection", flywheel: str, version: int, *, who: str, why: str) -> None:
    """End what runs, since ``version`` became the champion: it has grown, or there is nothing to compare with."""
    running = canaries.current(connection, flywheel)
    if running is None:
        return
    if running.version == version:
        canaries.finish(connection, running, State.GROWN, who=who, why=why)
    else:
        end(connection, running, State.SUPERSEDED, who=who, why=f"{who} made version {version} the champion: {why}")


def see(connection: "Connection", canary: Canary) -> Seen:
    """The counts of all servers, and what they come to."""
    counts = canaries.counts_of(connection, canary.id)
    champion, candidate = counts[Arm.CHAMPION], counts[Arm.CANDIDATE] + counts[Arm.SHADOW]
    look = None
    if canary.state is State.RUNNING:
        look = decide(canary.limits, champion=champion, candidate=candidate, elapsed=canary.elapsed)
    return Seen(canary, champion, candidate, canaries.servers_of(connection, canary.id), look)


def take_back(connection: "Connection", seen: Seen) -> bool:
    """Where a look says that a canary is over and its candidate not to be kept, write that down.

    What grows is promoted by :meth:`tao_ops.registry.Registry.grow`, which knows the candidate's files.

    Returns:
        whether this call ended it.
    """
    if seen.look is None or (state := STATES.get(seen.look.outcome)) is None:
        return False
    with connection.transaction():
        record.current(connection, seen.canary.flywheel, for_update=True)
        return end(connection, seen.canary, state, who=CANARY, why=seen.look.why)


def _asked(config: CanaryConfig) -> str:
    shares = [f"{100 * config.share:g} % of the users"] if config.share else []
    shares += [f"{100 * config.shadow:g} % of the requests copied"] if config.shadow else []
    return f"{' and '.join(shares) or 'nobody'}, for {config.time} and {config.requests:,} requests at least"
