"""The history is made by the lake's own writes; the formulas say what the simulator sees; the docs show both."""

import random
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.scale import figures, history, looks, paper
from benchmarks.scale.costs import (
    MODELS,
    ROOM,
    Cluster,
    Limit,
    Workload,
    fitted,
    front_door,
    generate_gpu_s,
    ingest_s,
    limits,
    models,
    rates,
    update_gpu_s,
)
from benchmarks.scale.simulator import Plan, Work, World, expected, plan, play, slowest, summary, with_failures
from tao_ops.settings import PROJECT
from tao_ops.tables import QUERIES, TURNS

SMALL, LARGE = MODELS
QUIET = World(rate=0.0, sigma=0.0, task=0.0)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> history.Made:
    """A lake of five turns and a copy of it as it was after the third."""
    return history.build(tmp_path_factory.mktemp("scale"), [3, 5], 40)


def test_each_size_holds_its_turns_and_no_later_ones(made: history.Made) -> None:
    for turns, lake in made.lakes.items():
        rows = lake.read(QUERIES, columns=["turn", "request_id"])
        assert len(rows) == 40 * turns and len(set(rows.column("turn").to_pylist())) == turns
        told = lake.read(TURNS, turn=history.turn(turns - 1).key).column("stage").to_pylist()
        assert sorted(told) == sorted(history.STAGES)
        assert lake.version(TURNS) == len(history.STAGES) * turns


def test_a_look_changes_no_row_and_leaves_the_other_size_alone(made: history.Made) -> None:
    before = {turns: lake.version(QUERIES) for turns, lake in made.lakes.items()}
    seconds = {name: look() for name, look in looks.of(made.lakes[3], 3).items()}
    assert set(looks.GROWS) < set(seconds) and all(value > 0 for value in seconds.values())
    assert made.lakes[5].version(QUERIES) == before[5]
    assert made.lakes[3].version(QUERIES) == (before[3] or 0) + looks.COMMITS
    assert made.lakes[3].count(QUERIES, flywheel=history.FLYWHEEL) == 120


def test_what_ingest_looks_back_on_is_there_to_be_read(made: history.Made) -> None:
    since = history.turn(4 - history.LATENESS_DAYS).start.isoformat()
    found = [
        row for batch in made.lakes[5].scan(QUERIES, ["turn"], f"received_at >= '{since}'") for row in batch["turn"]
    ]
    assert len(found) == 40 * (1 + history.LATENESS_DAYS)


def test_a_ratio_is_that_of_the_same_repeat_and_what_grows_has_no_goal() -> None:
    found = {"commit": {10: [0.1, 0.2, 0.1], 99: [0.1, 0.4, 0.1]}, looks.BY_ROWS: {10: [1.0] * 3, 99: [9.0] * 3}}
    commit, by_rows = figures(found, [10, 99])
    assert (commit.ratio, commit.spread, commit.met) == (1.0, "1.00 to 2.00", True)
    assert (by_rows.ratio, by_rows.goal, by_rows.met) == (9.0, None, None)
    assert by_rows.figure.endswith("(all turns)") and (by_rows.ours, by_rows.peer) == (9000.0, 1000.0)


def test_the_rates_give_back_the_throughputs_that_they_were_taken_from() -> None:
    reading, writing = rates(28_312, 3_450, 15_220)
    assert 1000 / (1000 / reading + 1000 / writing) == pytest.approx(15_220)
    assert 128 / (2048 / reading + 128 / writing) < 3_450  # the safe side


def test_costs_grow_with_what_they_are_made_of() -> None:
    few, many = Workload(1e4), Workload(1e6)
    assert generate_gpu_s(many, SMALL) == pytest.approx(100 * generate_gpu_s(few, SMALL))
    assert update_gpu_s(few, LARGE) / update_gpu_s(few, SMALL) == pytest.approx(LARGE.parameters / SMALL.parameters)
    budget = replace(many, budget=1e4)
    assert update_gpu_s(budget, SMALL) == update_gpu_s(few, SMALL)
    assert ingest_s(budget) == ingest_s(many)  # the budget comes after the front door


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("queries", [1e4, 1e6, 1e8])
def test_what_is_said_to_fit_breaks_no_limit_and_a_little_more_would(model: object, queries: float) -> None:
    cluster, load = Cluster(64), Workload(queries)
    fit = fitted(load, model, cluster)  # type: ignore[arg-type]
    assert limits(fit, model, cluster)[0].share <= ROOM + 1e-9  # type: ignore[arg-type]

    def over(found: list[Limit]) -> bool:
        return found[0].share > ROOM

    if fit.queries < queries:
        assert over(front_door(replace(fit, queries=1.01 * fit.queries), cluster))
    if fit.sampled < fit.queries:
        assert over(models(replace(fit, budget=1.01 * fit.sampled), model, cluster))  # type: ignore[arg-type]


def _alone(*works: Work) -> Plan:
    return Plan(works, 1, Work("generate", 0.0), Work("score", 0.0), [], 1)


def _shards(number: int, engines: int) -> Plan:
    return Plan([], number, Work("generate", 100.0, 1), Work("score", 0.0), [], engines)


def _mean(turn: Plan, world: World, times: int = 4000) -> tuple[float, float]:
    """Mean wall seconds of so many turns, and the standard error of that mean."""
    rng = random.Random(7)
    walls = [play(turn, world, rng).wall for _ in range(times)]
    mean = sum(walls) / times
    return mean, (sum((wall - mean) ** 2 for wall in walls) / times) ** 0.5 / times**0.5


def test_nothing_goes_wrong_and_the_turn_is_the_sum_of_its_stages() -> None:
    turn = Plan([Work("ingest", 10.0)], 4, Work("generate", 100.0, 2), Work("score", 5.0), [Work("update", 50.0, 8)], 2)
    played = play(turn, QUIET, random.Random(1))
    assert (played.wall, played.gpu_seconds, played.failed) == (10 + 2 * 100 + 5 + 50, 4 * 200 + 400, False)


@pytest.mark.parametrize("rate", [0.001, 0.01])
def test_work_that_starts_over_takes_what_the_formula_says(rate: float) -> None:
    # The formula is exact, retries without an end: within three standard errors of the simulated mean.
    world = replace(QUIET, rate=rate, delay=60.0, retries=1000)
    mean, error = _mean(_alone(Work("update", 100.0, 1)), world)
    assert mean == pytest.approx(with_failures(100.0, rate, 60.0), abs=3 * error)


@pytest.mark.parametrize("shards", [1, 8, 64])
def test_the_slowest_shard_is_as_slow_as_the_formula_says(shards: int) -> None:
    # Blom's is an approximation of a median-like place of the largest: for sigma 0.2 within 2 % of its mean.
    mean, error = _mean(_shards(shards, shards), replace(QUIET, sigma=0.2), times=1500)
    assert mean == pytest.approx(100.0 * slowest(shards, 0.2), rel=0.02, abs=3 * error)


def test_more_shards_than_engines_stay_within_grahams_bounds() -> None:
    # List scheduling: no less than all work spread evenly, no more than that and the slowest shard (Graham 1969).
    mean, _ = _mean(_shards(24, 8), replace(QUIET, sigma=0.2), times=1500)
    assert 300.0 < mean < 300.0 + 100.0 * slowest(24, 0.2)


@pytest.mark.parametrize("model", MODELS)
def test_a_whole_turn_takes_what_the_formulas_say(model: object) -> None:
    # Failures and stragglers at once: the formulas leave out that a failure among many shards may hide behind the
    # slowest, and that a slow attempt is likelier to fail. With a failure in every tenth turn, within 5 %.
    turn = plan(Workload(5e4), model, Cluster(16))  # type: ignore[arg-type]
    world = World(rate=0.1 / expected(turn, QUIET)["gpu_seconds"])
    said, seen = expected(turn, world), summary(turn, world, turns=1500, seed=3)
    assert 0.07 < seen["failures"] < 0.14
    assert seen["mean"] == pytest.approx(said["mean"], rel=0.05)
    assert seen["gpu_seconds"] == pytest.approx(said["gpu_seconds"], rel=0.05)
    assert seen["p50"] < seen["p95"]


def test_a_stage_that_fails_too_often_ends_the_turn() -> None:
    played = play(_alone(Work("update", 1e6, 8)), replace(QUIET, rate=1.0, retries=2), random.Random(1))
    assert played.failed and played.failures == 3
    shard = play(replace(_shards(2, 2), generate=Work("generate", 1e6, 8)), replace(QUIET, rate=1.0), random.Random(1))
    assert shard.failed


def test_the_same_seed_plays_the_same_turns() -> None:
    turn = plan(Workload(1e4), SMALL, Cluster(8))
    first, again, other = (summary(turn, World(), turns=50, seed=seed) for seed in (1, 1, 2))
    assert first == again != other


def test_the_docs_show_the_tables_that_the_command_prints() -> None:
    text = Path(PROJECT / "docs" / "scale.md").read_text(encoding="utf-8")
    stale = [heading for heading, table in paper.tables().items() if table not in text]
    assert not stale, f"docs/scale.md: run `python -m benchmarks.scale.paper --docs`: {stale}"


def test_a_stale_table_is_replaced_and_the_text_around_it_stays() -> None:
    text = Path(PROJECT / "docs" / "scale.md").read_text(encoding="utf-8")
    first = paper.tables()["What engines do"].splitlines()
    stale = text.replace(first[2], "| 8B | 7 | 7 | 7 | 7 |\n| 9B | 1 | 1 | 1 | 1 |")
    assert stale != text and paper.replaced(stale) == text
