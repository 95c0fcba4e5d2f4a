"""``ingest`` and ``validate`` killed by SIGKILL at seeded moments, over logs that overlap, grow and come late.

A cell is a schedule of stages in a home of its own: before each turn files arrive; each stage is killed two or three
times in a row, by a run of its own or the one before again, and then run to its end. After a kill a reader has to find
each table either as it was before that attempt or as the stage leaves it; after the stage the tables have to be those
of a home where the same schedule ran undisturbed. A third of the kills fall at a random moment between the stage's
first line and its end; the others within 20 ms of its first or second commit, where some tables are new and some old.
"""

import random
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from tao_ops.database import start_embedded
from tao_ops.stages import Stage
from tao_ops.tables import QUERIES, TURNS
from trials.ingest_kills.home import Home, State
from trials.ingest_kills.traffic import DAYS
from trials.record import Cells

SEEDS = (1, 2, 3, 4, 5)
KILLS = 20
"""In each cell."""
QUERIES_A_DAY = 4000
SCHEDULE = tuple((stage, day) for day in (0, 1, 0, 2) for stage in (Stage.INGEST, Stage.VALIDATE))
"""Stages and the days of their turns: the first day's turn runs again after the second's."""
_ATTEMPTS = 40
"""At a stage; one that ends before its kill is no kill."""


def run() -> bool:
    """Measure the cells that this commit lacks; true where every kill left the tables as they should be."""
    cells = Cells("ingest_kills")
    if missing := [seed for seed in SEEDS if not cells.known(seed)]:
        # A short path: a Unix socket's may not be longer than 107 characters.
        with tempfile.TemporaryDirectory(prefix="tao-") as scratch:
            folder = Path(scratch)
            server = start_embedded(folder / "server")
            try:
                home = Home(folder / "undisturbed", server.url("undisturbed"), QUERIES_A_DAY)
                undisturbed = Undisturbed.run(home, SCHEDULE)
                if (taken := len(undisturbed.states[-1].rows[QUERIES.name])) != len(DAYS) * QUERIES_A_DAY:
                    raise RuntimeError(f"{taken} queries taken of {len(DAYS)} days of {QUERIES_A_DAY}")
                for seed in missing:
                    home = Home(folder / f"seed-{seed}", server.url(f"seed_{seed}"), QUERIES_A_DAY)
                    cells.keep(seed, disturbed(home, undisturbed, seed, KILLS), _outcome)
                    print(f"seed {seed}: {_outcome({str(seed): cells.cells[str(seed)]})}", flush=True)
            finally:
                server.stop()
    print(f"ingest_kills: {_outcome(cells.cells)}")
    return all(cell["held"] for cell in cells.cells.values())


def _outcome(cells: dict[str, dict[str, Any]]) -> str:
    kills = [one for cell in cells.values() for one in cell["kills"]]
    between = sum(bool(one["committed"]) and TURNS.name not in one["committed"] for one in kills)
    unnamed = sum(cell["unnamed_files"] for cell in cells.values())
    held = sum(cell["held"] for cell in cells.values())
    return (
        f"{len(kills)} kills, {between} between two commits of a stage; in {held} of {len(cells)} schedules each retry"
        f" left the tables of the undisturbed one, and no kill a mixture; {unnamed} unfinished files, which none reads"
    )


@dataclass(frozen=True)
class Undisturbed:
    """A schedule without a kill: its stages with their days, the states before and after them, their seconds."""

    schedule: tuple[tuple[Stage, int], ...]
    states: list[State]
    seconds: list[float]

    @classmethod
    def run(cls, home: Home, schedule: tuple[tuple[Stage, int], ...]) -> Self:
        """Run it.

        Raises:
            RuntimeError: a stage failed; the message is its log.
        """
        states, seconds = [home.state()], []
        for number, (stage, day) in enumerate(schedule):
            if stage is Stage.INGEST:
                home.let_files_arrive()
            seconds.append(home.finish(stage, day, f"run-{number}"))
            states.append(home.state())
            print(f"undisturbed: {stage} of day {day} in {seconds[-1]:.1f} s", flush=True)
        return cls(schedule, states, seconds)


def disturbed(home: Home, undisturbed: Undisturbed, seed: int, kills: int) -> dict[str, Any]:
    """Run the schedule again with ``kills`` kills; each of them, and what a reader found that it should not.

    Raises:
        RuntimeError: a stage failed by itself, or ended before it could be killed, again and again.
    """
    rng = random.Random(seed)
    steps = len(undisturbed.schedule)
    one_more = rng.sample(range(steps), kills % steps)
    died: list[dict[str, Any]] = []
    faults: list[str] = []
    for number, (stage, day) in enumerate(undisturbed.schedule):
        before, after = undisturbed.states[number : number + 2]
        if stage is Stage.INGEST:
            home.let_files_arrive()
        run, wanted = 0, len(died) + kills // steps + (number in one_more)
        for _ in range(_ATTEMPTS):
            if len(died) == wanted:
                break
            killed = home.kill(stage, day, f"run-{number}-{run}", undisturbed.seconds[number], rng)
            died += [] if killed is None else [killed]
            found = home.state()
            faults += [f"{stage} of day {day}, killed: {one}" for one in found.faults + found.apart(before, after)]
            before = found  # what was done is never undone
            run += rng.randrange(2)  # the next attempt is the same run's, or another's
        else:
            raise RuntimeError(f"{stage} of day {day} ended before its kill, again and again")
        home.finish(stage, day, f"run-{number}-{run}")
        found = home.state()
        faults += [f"{stage} of day {day}, done: {one}" for one in found.faults + found.apart(after)]
    rows = {name: len(table) for name, table in home.state().rows.items()}
    return {"kills": died, "rows": rows, "unnamed_files": home.unnamed_files(), "faults": faults, "held": not faults}
