"""A turn's stage graph, played with failures and stragglers; and the formulas that should say the same.

``ingest → validate → explore[shard](generate → score) → update → evaluate → gate → register``. A stage's GPUs fail
independently, at a constant rate; a stage that fails is begun anew after Airflow's delay, on whatever engine is free.
Its work takes its mean times a lognormal factor of mean one: some shards, and some machines, are slower than others.
"""

import heapq
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean, quantiles

from benchmarks.scale.costs import (
    AIRFLOW,
    LIFE,
    Cluster,
    Model,
    Workload,
    engines,
    stage_seconds,
    trained_on,
)


@dataclass(frozen=True)
class Work:
    """One stage, or one shard of it: mean seconds, and the GPUs that it holds."""

    name: str
    seconds: float
    gpus: int = 0


@dataclass(frozen=True)
class Plan:
    """A turn: stages before the shards, the shards, stages after them; ``engines`` shards run side by side."""

    before: Sequence[Work]
    shards: int
    generate: Work
    score: Work
    after: Sequence[Work]
    engines: int


@dataclass(frozen=True)
class World:
    """How things go wrong.

    Attributes:
        rate: failures of a GPU a second.
        sigma: of the lognormal factor's logarithm; 0 for none.
        delay: seconds until a failed stage is begun anew.
        retries: of a stage; past them the turn fails.
        task: seconds of Airflow's for each of the eight stages.
    """

    rate: float = 1 / (LIFE.value * 3600)
    sigma: float = 0.2
    delay: float = 60.0
    retries: int = 2
    task: float = AIRFLOW.value / 8


@dataclass
class Played:
    """One turn, played."""

    wall: float = 0.0
    gpu_seconds: float = 0.0
    failures: int = 0
    failed: bool = False


def plan(load: Workload, model: Model, cluster: Cluster) -> Plan:
    """The turn of the formulas, as a graph."""
    seconds, shards = stage_seconds(load, model, cluster), engines(model, cluster)
    return Plan(
        [Work(name, seconds[name]) for name in ("ingest", "validate")],
        shards,
        Work("generate", seconds["generate"], model.replica),
        Work("score", seconds["score"]),
        [
            Work("update", seconds["update"], trained_on(model, cluster)),
            Work("evaluate", seconds["evaluate"], model.replica),
            Work("gate", 3.0),
            Work("register", seconds["register"]),
        ],
        shards,
    )


def play(turn: Plan, world: World, rng: random.Random) -> Played:
    """Play a turn once; where a stage fails too often, the turn ends there."""
    played = Played()
    for work in turn.before:
        _alone(work, world, rng, played)
    if not played.failed:
        played.wall += _shards(turn, world, rng, played)
    for work in turn.after:
        if not played.failed:
            _alone(work, world, rng, played)
    return played


def summary(turn: Plan, world: World, *, turns: int, seed: int) -> dict[str, float]:
    """Wall seconds (mean, p50, p95), GPU seconds, and the share of turns that fail, of so many turns."""
    rng = random.Random(seed)
    every = [play(turn, world, rng) for _ in range(turns)]
    whole = [one.wall for one in every if not one.failed]
    middle = quantiles(whole, n=20, method="inclusive")
    return {
        "mean": fmean(whole),
        "p50": middle[9],
        "p95": middle[18],
        "gpu_seconds": fmean(one.gpu_seconds for one in every),
        "failures": fmean(one.failures for one in every),
        "failed": fmean(one.failed for one in every),
    }


def with_failures(seconds: float, rate: float, delay: float) -> float:
    """Expected seconds of work that starts over when it fails: ``(exp(rate · seconds) - 1) · (1 / rate + delay)``.

    >>> with_failures(100.0, 0.0, 60.0)
    100.0
    """
    return seconds if rate == 0 else math.expm1(rate * seconds) * (1 / rate + delay)


def busy(seconds: float, rate: float) -> float:
    """The same without the delays: what its GPUs are held for."""
    return seconds if rate == 0 else math.expm1(rate * seconds) / rate


def slowest(shards: int, sigma: float) -> float:
    """The slowest of so many lognormal factors of mean one: ``exp(sigma · z - sigma² / 2)``.

    ``z`` is the normal quantile at ``(n - 0.375) / (n + 0.25)``: Blom's approximation of the largest of n.

    >>> slowest(1, 0.0)
    1.0
    """
    z = NormalDist().inv_cdf((shards - 0.375) / (shards + 0.25))
    return math.exp(sigma * z - sigma**2 / 2) if shards > 1 else 1.0


def expected(turn: Plan, world: World) -> dict[str, float]:
    """The formulas' word on a turn with one wave of shards: mean wall seconds, and GPU seconds.

    Of the shards the slowest counts; that one fails at the rate of one shard, the others' failures are taken to be
    caught up by then.
    """
    alone = [*turn.before, *turn.after]
    wall = sum(with_failures(one.seconds, world.rate * one.gpus, world.delay) + world.task for one in alone)
    factor = slowest(turn.shards, world.sigma)
    generate = with_failures(turn.generate.seconds * factor, world.rate * turn.generate.gpus, world.delay)
    wall += generate + turn.score.seconds + 2 * world.task
    work = [*alone, *[turn.generate] * turn.shards]
    return {"mean": wall, "gpu_seconds": sum(one.gpus * busy(one.seconds, world.rate * one.gpus) for one in work)}


def _alone(work: Work, world: World, rng: random.Random, played: Played) -> None:
    for attempt in range(world.retries + 1):
        took, done = _attempt(work, world, rng, played)
        played.wall += took
        if done:
            played.wall += world.task
            return
        played.wall += world.delay if attempt < world.retries else 0.0
    played.failed = True


def _attempt(work: Work, world: World, rng: random.Random, played: Played) -> tuple[float, bool]:
    """Seconds until it is done or has failed, and which of the two."""
    needs = work.seconds * rng.lognormvariate(-(world.sigma**2) / 2, world.sigma)
    lives = rng.expovariate(world.rate * work.gpus) if world.rate * work.gpus else math.inf
    took = min(needs, lives)
    played.gpu_seconds += took * work.gpus
    played.failures += lives < needs
    return took, lives >= needs


def _shards(turn: Plan, world: World, rng: random.Random, played: Played) -> float:
    """Seconds until the last shard is scored: each waits for an engine, first come, first served."""
    waiting = [(0.0, shard, 0) for shard in range(turn.shards)]
    free, last = [0.0] * turn.engines, 0.0
    while waiting:
        ready, shard, attempt = heapq.heappop(waiting)
        began = max(ready, heapq.heappop(free))
        took, done = _attempt(turn.generate, world, rng, played)
        heapq.heappush(free, began + took)
        if done:
            scored, _ = _attempt(turn.score, world, rng, played)
            last = max(last, began + took + scored + 2 * world.task)
        elif attempt == world.retries:
            played.failed, last = True, max(last, began + took)
        else:
            heapq.heappush(waiting, (began + took + world.delay, shard, attempt + 1))
    return last
