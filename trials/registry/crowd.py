"""A crowd of turns that end at once, and what is wrong with the registry afterwards."""

import multiprocessing
import random
import re
import signal
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tao_ops.database import connect
from tao_ops.registry import ChampionEvent, EventKind, Registry, open_registry
from tao_ops.registry.record import MOVES, previous
from trials.registry.lake import Evaluated, evaluated
from trials.registry.turn_end import Kill, end

KILLED = 0.6
"""Share of the turns that are killed; every third of them twice."""
TIMED = 0.25
"""Share of the kills that fall at a moment, and not at a statement."""
_TRIES = 6
"""At a turn that nobody kills: it may wait for the lock too long."""
_LIMIT_S = 900
_LOADED_ONCE = [
    "mlflow.tracking",
    "mlflow.store.tracking.sqlalchemy_store",
    "mlflow.store.model_registry.sqlalchemy_store",
    "scipy.stats",
    "trials.registry.turn_end",
]
"""By the process that all others are forked from."""


@dataclass
class Ended:
    """What became of one turn.

    Attributes:
        exits: of each process, in their order; -9 is a kill.
        log: what they said.
    """

    turn: Evaluated
    exits: list[int] = field(default_factory=list)
    log: str = ""


@dataclass(frozen=True)
class State:
    """What the registry holds.

    Attributes:
        versions: by version its run and its model_version.
        tests: champion, candidate and number of each test that the gate counted.
        runs: MLflow's runs by status.
    """

    champion: int
    aliases: Mapping[str, int]
    history: Sequence[ChampionEvent]
    versions: Mapping[int, tuple[str, str]]
    tests: Sequence[tuple[int, str, int]]
    runs: Mapping[str, int]


def crowd(home: Path, url: str, flywheel: str, *, turns: int, seed: int) -> dict[str, Any]:
    """Let so many turns end at once; what was found, and what it should not have been."""
    # The first makes MLflow's tables; the second is what a turn's end takes that nobody disturbs.
    first, second = (Ended(one) for one in evaluated(home / "alone", url, f"{flywheel}_alone", turns=2, seed=seed))
    _play(first, [], home)
    began = time.monotonic()
    _play(second, [], home)
    statements, seconds = _statements(second), time.monotonic() - began
    waiting = [Ended(one) for one in evaluated(home, url, flywheel, turns=turns, seed=seed)]
    rng = random.Random(seed)
    plans = [_kills(rng, statements, seconds) for _ in waiting]
    threads = [threading.Thread(target=_play, args=[one, plan, home]) for one, plan in zip(waiting, plans, strict=True)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    state = read(open_registry(url, first.turn.run.settings), url, flywheel)
    wrong = faults(state, waiting)
    return {
        "turns": turns,
        "killed": sum(one.exits.count(-signal.SIGKILL) for one in waiting),
        "failed": sum(code not in (0, -signal.SIGKILL) for one in waiting for code in one.exits),
        "errors": sorted(set(re.findall(r"^error: .*", "\n".join(one.log for one in waiting), re.MULTILINE))),
        "statements": statements,
        "promotions": sum(event.kind in MOVES for event in state.history),
        "again": sum("deciding again" in one.log for one in waiting),
        "champion": state.champion,
        "right": {str(one.turn.candidate): one.turn.right for one in waiting},
        "chain": [[event.from_version, event.to_version] for event in state.history if event.kind in MOVES],
        "repairs": sum(event.kind is EventKind.ALIAS_REPAIRED for event in state.history),
        "seconds": round(time.monotonic() - began, 1),
        "faults": wrong,
        "held": not wrong,
    }


def read(registry: Registry, url: str, flywheel: str) -> State:
    """The registry as it is now; nothing is repaired."""
    with registry._versions._server.client() as client:
        experiment = client.get_experiment_by_name(flywheel)
        runs = client.search_runs([experiment.experiment_id], max_results=1000)
    with connect(url) as connection:
        rows = connection.execute(
            "select champion, candidate, number from gate_tests where flywheel = %s", [flywheel]
        ).fetchall()
    return State(
        champion=registry.champion_version(flywheel),
        aliases=registry._versions.aliases(flywheel),
        history=registry.events(flywheel),
        versions={one.version: (str(one.run_id), str(one.model_version)) for one in registry.versions(flywheel)},
        tests=[(row["champion"], row["candidate"], row["number"]) for row in rows],
        runs=Counter(run.info.status for run in runs),
    )


def faults(state: State, ended: Sequence[Ended]) -> list[str]:
    """What is not as it has to be, a sentence each."""
    found = [f"{one.turn.run.run_id} never ended: {one.log[-300:]}" for one in ended if one.exits[-1:] != [0]]
    return [*found, *_chain(state), *_aliases(state), *_versions(state, ended), *_tests(state)]


def _chain(state: State) -> list[str]:
    moves = [event for event in state.history if event.kind in MOVES]
    found, champion = [], 0
    for event in moves:
        if event.from_version != champion:
            found.append(f"version {event.to_version} took the place of {event.from_version}, which was {champion}")
        champion = event.to_version
    if champion != state.champion:
        found.append(f"the champion is version {state.champion}, the last event made {champion} it")
    twice = [v for v, times in Counter(event.to_version for event in moves).items() if times > 1]
    return [*found, *(f"version {version} was promoted twice" for version in twice)]


def _aliases(state: State) -> list[str]:
    wanted = {"champion": state.champion, "previous": previous(list(state.history), state.champion) or 0}
    return [
        f"the alias {alias} is on {state.aliases.get(alias, 0)}, the record has {version}"
        for alias, version in wanted.items()
        if state.aliases.get(alias, 0) != version
    ]


def _versions(state: State, ended: Sequence[Ended]) -> list[str]:
    have = Counter(state.versions.values())
    found = [f"{run} has {times} versions" for (run, _), times in have.items() if times > 1]
    for one in ended:
        if (one.turn.run.run_id, one.turn.candidate) not in have:
            found.append(f"{one.turn.run.run_id} has no version")
    if len(state.versions) != len(ended):
        found.append(f"{len(state.versions)} versions of {len(ended)} turns")
    told = Counter(event.version for event in state.history if event.kind is EventKind.REGISTERED)
    found += [f"version {v} was told {told[v]} times" for v in state.versions if told[v] != 1]
    if dict(state.runs) != {"FINISHED": len(ended)}:
        found.append(f"MLflow's runs: {dict(state.runs)}")
    return found


def _tests(state: State) -> list[str]:
    by_champion: dict[int, list[int]] = {}
    for champion, _, number in state.tests:
        by_champion.setdefault(champion, []).append(number)
    return [
        f"the tests of champion {champion} are counted {sorted(numbers)}"
        for champion, numbers in by_champion.items()
        if sorted(numbers) != list(range(1, len(numbers) + 1))
    ]


def _kills(rng: random.Random, statements: int, seconds: float) -> list[Kill]:
    if rng.random() >= KILLED:
        return []
    kills = []
    for _ in range(2 if rng.random() < 1 / 3 else 1):
        timed = rng.random() < TIMED
        at_statement = Kill(statement=rng.randint(1, statements), after=rng.random() < 0.5)
        kills.append(Kill(seconds=rng.uniform(0, seconds)) if timed else at_statement)
    return kills


def _play(one: Ended, kills: Sequence[Kill], home: Path) -> None:
    """Start the turn's end, a process each time, until one ends by itself and well."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_LOADED_ONCE)
    told = home / f"{one.turn.run.flywheel.name}-{one.turn.run.run_id}.log"
    told.parent.mkdir(parents=True, exist_ok=True)
    for kill in (*kills, *[None] * _TRIES):
        process = context.Process(target=end, args=(one.turn.run, kill, told))
        process.start()
        process.join(_LIMIT_S if kill is None or kill.seconds is None else kill.seconds)
        if process.is_alive():
            process.kill()
            process.join()
        one.exits.append(process.exitcode or 0)
        if process.exitcode == 0:
            break
    one.log = told.read_text(encoding="utf-8") if told.is_file() else ""


def _statements(one: Ended) -> int:
    found = re.search(r"statements: (\d+)", one.log)
    if found is None:
        raise RuntimeError(f"a turn that nobody disturbed did not end: {one.exits} {one.log}")
    return int(found[1])
