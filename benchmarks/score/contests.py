"""One scorer beside the plain call, on the same responses, in turns."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.report import Row, median, spread

UNIT = "responses/s"
LEAST_S = 0.2
Side = Callable[[int], Sequence[object]]
"""Takes the number of the repeat; gives one verdict per response."""


@dataclass(frozen=True)
class Contest:
    """What is measured, on both sides.

    Attributes:
        figure: the scorer, and what it is given.
        ours: the scorer.
        peer: what is written by hand in its place; None where nothing does the same.
        peer_name: of that.
        note: what a reader has to know of the ratio.
    """

    figure: str
    ours: Side
    peer: Side | None = None
    peer_name: str = ""
    note: str = ""


def race(contest: Contest, repeats: int) -> Row:
    """Both sides once untimed, then ``repeats`` times, the first alternating; ``ratio`` is ours over the peer's."""
    sides = [contest.ours] if contest.peer is None else [contest.ours, contest.peer]
    for side in sides:
        side(0)
    rates: dict[Side, list[float]] = {side: [] for side in sides}
    for number in range(1, repeats + 1):
        for side in sides if number % 2 else sides[::-1]:
            rates[side].append(_rate(side, number))
    ours = rates[contest.ours]
    if contest.peer is None:
        return Row(contest.figure, UNIT, median(ours), None, contest.peer_name, None)
    peer = rates[contest.peer]
    ratios = [one / other for one, other in zip(ours, peer, strict=True)]
    return Row(
        contest.figure, UNIT, median(ours), median(peer), contest.peer_name, median(ratios), spread=spread(ratios)
    )


def _rate(side: Side, number: int) -> float:
    """Responses a second; what is done sooner than :data:`LEAST_S` is done again."""
    done, started = 0, time.perf_counter()
    while True:
        done += len(side(number))
        took = time.perf_counter() - started
        if took >= LEAST_S:
            return done / took
