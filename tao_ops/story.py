"""How a stage tells what it does: lines for a terminal, or for a log that folds what is noisy.

Who reads a stage's output says so in its environment. A log that is ``marked`` gets the stage's own lines with a mark,
so that its reader can fold away what libraries say besides, and groups; a terminal gets neither.
"""

import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from tao_ops.records import Progress

READER = "TAO_LOG"
"""The variable that names the reader."""
MARKED = "marked"
OWN = "\x1e"
"""Begins a line of the stage's own; no library prints it."""
GROUP, ENDGROUP = "::group::", "::endgroup::"
"""Begin and end what is folded, as logs of build servers know it."""
EVERY_S = 10.0
"""Seconds between two lines of progress."""


def is_marked() -> bool:
    """Whether this process's output goes to a log that folds."""
    return os.environ.get(READER) == MARKED


def teller(say: Progress) -> Progress:
    """``say`` for a stage's own words."""
    if not is_marked():
        return say

    def tell(text: str) -> None:
        for line in text.splitlines():
            say(OWN + line)

    return tell


@contextmanager
def folded(say: Progress, title: str) -> Iterator[None]:
    """Fold what is said within under its title; on a terminal it is said as it is."""
    if is_marked():
        say(GROUP + title)
    try:
        yield
    finally:
        if is_marked():
            say(ENDGROUP)


def details(say: Progress, title: str, lines: Iterable[str]) -> None:
    """Say, folded, what is looked up now and then; a terminal is spared it."""
    if is_marked():
        with folded(say, title):
            for line in lines:
                say(line)


def levelled(finding: str, of: str = "") -> str:
    """What a monitor found, as a line of the log: what it warns of begins with ``warning:``.

    >>> levelled("warn: longer ones are paid more", "tickets"), levelled("fail: all are alike", "tickets")
    ('warning: tickets: longer ones are paid more', 'tickets: fail: all are alike')
    """
    place = f"{of}: " if of else ""
    warned = finding.removeprefix("warn: ")
    return f"warning: {place}{warned}" if warned != finding else f"{place}{finding}"


class Pace:
    """How far a long piece of work is: at most every ten seconds a line with its rate and the time that is left.

    Args:
        what: is counted, in the plural.
        total: where it is known.

    >>> now = iter([0.0, 4.0, 30.0])
    >>> pace = Pace(print, "items", 300, clock=lambda: next(now))
    >>> pace.at(20)
    >>> pace.at(120)
    120 of 300 items, 4.0 a second, about 45 s left
    """

    def __init__(
        self, say: Progress, what: str, total: int | None = None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._say, self._what, self._total, self._clock = say, what, total, clock
        self._started = self._last = clock()

    def at(self, done: int) -> None:
        """So many are done by now."""
        now = self._clock()
        if now - self._last < EVERY_S or not done:
            return
        self._last = now
        rate = done / (now - self._started)
        told = f"{done:,} {self._what}" if self._total is None else f"{done:,} of {self._total:,} {self._what}"
        left = "" if self._total is None else f", about {seconds((self._total - done) / rate)} left"
        self._say(f"{told}, {rate:,.{1 if rate < 10 else 0}f} a second{left}")


def seconds(count: float) -> str:
    """A time that is waited for, in the unit that people would say it in.

    >>> seconds(44.2), seconds(600), seconds(9000)
    ('44 s', '10 min', '2.5 h')
    """
    if count < 120:
        return f"{count:.0f} s"
    return f"{count / 60:.0f} min" if count < 7200 else f"{count / 3600:.1f} h"


def settings(value: object, name: str = "") -> Iterator[str]:
    """Lines of a configuration, one per key that has a value.

    >>> list(settings({"update": {"method": "raft", "then": None}, "tasks": [{"name": "a"}, {"name": "b"}]}))
    ['update.method: raft', 'tasks.0.name: a', 'tasks.1.name: b']
    """
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if parts is None:
        if value is not None:
            yield f"{name}: {value}"
        return
    for key, part in parts:
        yield from settings(part, f"{name}.{key}" if name else str(key))
