"""A flywheel at a glance, and the list of its turns."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from tao_ops.database import connect
from tao_ops.errors import ConfigError, DataError
from tao_ops.registry import EventKind, record
from tao_ops.stages import Stage
from tao_ops.views import overview
from tao_ops.views.records import Estimate, TurnStatus

Days = Callable[..., Any]
NAME, NOWHERE = "tickets", "postgresql://127.0.0.1:1/tao"
UNDECIDED = {"decision": "undecided", "reasons": ["The data cannot tell."], "findings": [], "approval": "auto"}


def test_the_series_tell_what_the_stages_recorded(days: Days) -> None:
    days(20).whole(version=1, gate=UNDECIDED)
    lake = days(21).whole(version=2).lake
    seen = overview.overview(lake, NOWHERE, NAME)
    assert (seen.flywheel, seen.turns, seen.shown) == (NAME, 2, 2)
    assert [(one.turn, one.decision, one.reason, one.version) for one in seen.verdicts] == [
        ("2026-11-21T00:00Z", "promote", "Better on exam.", 2),
        ("2026-11-20T00:00Z", "undecided", "The data cannot tell.", 1),
    ]
    (exam,) = seen.benchmarks
    assert (exam.name, exam.metric, exam.primary) == ("exam", "exact_json", True)
    assert [(p.turn[:10], p.promoted, p.became_champion, p.version) for p in exam.points] == [
        ("2026-11-20", False, False, 1),
        ("2026-11-21", True, False, 2),
    ]
    point = exam.points[-1]
    assert (point.score, point.champion, point.control) == (Estimate(0.75, 0.65, 0.85), Estimate(0.5, 0.4, 0.6), None)
    assert (point.delta, point.p_value, point.n) == (Estimate(0.25, 0.1, 0.4), 0.01, 3)
    volume = seen.volume[-1]
    assert (volume.rows, volume.queries, volume.prompts) == (12, 10, 4)
    assert volume.quarantined == {"not_json": 3, "expectation": 3}
    # Ten stages and shards of a minute and ten tokens each.
    assert [(cost.tokens, cost.minutes) for cost in seen.cost] == [(100, 10.0)] * 2


def test_the_mean_reward_is_over_the_rewarded_responses_of_all_shards(days: Days) -> None:
    day = days().whole()
    (point,) = overview.overview(day.lake, NOWHERE, NAME).rewards
    # Four responses of mean 0.4, and three of mean 0.6, since one of the second shard has no reward.
    assert point.responses == 7
    assert point.mean == pytest.approx((4 * 0.4 + 3 * 0.6) / 7)


def test_calibration_comes_by_task_with_its_interval(days: Days) -> None:
    day = days().whole()
    (series,) = overview.overview(day.lake, NOWHERE, NAME).calibration
    (point,) = series.points
    assert (series.task, point.labels, point.ece_by_chance) == ("tickets", 40, 0.04)
    assert (point.ece, point.brier) == (Estimate(0.06, 0.05, 0.08), Estimate(0.1, 0.08, 0.12))


def test_a_turn_that_is_half_done_is_told_as_far_as_it_has_come(days: Days) -> None:
    day = days()
    day.record(Stage.INGEST, (12, 10), quarantine={})
    day.record(Stage.VALIDATE, (10, 4), quarantine={}, shards=2)
    day.scored(0, mean_reward=0.5, without_reward=0)
    seen = overview.overview(day.lake, NOWHERE, NAME)
    (line,) = seen.verdicts
    assert (line.status, line.stages, line.of_stages) == (TurnStatus.PARTIAL, 2, 8)
    assert (line.decision, line.version) == (None, None)
    assert (seen.benchmarks, seen.rewards) == ((), ())
    assert (seen.volume[0].queries, seen.volume[0].quarantined) == (10, {})


def test_a_decision_that_was_taken_again_counts(days: Days) -> None:
    day = days().whole()
    day.record(Stage.REGISTER, (1, 1), version=1, decision="undecided", alias=None)
    seen = overview.overview(day.lake, NOWHERE, NAME)
    # The reasons are of the verdict before: they would contradict it.
    assert (seen.verdicts[0].decision, seen.verdicts[0].reason) == ("undecided", None)
    assert seen.benchmarks[0].points[0].promoted is False


def test_a_verdict_of_the_run_before_is_not_this_runs(days: Days) -> None:
    day = days().whole()
    assert overview.turns(day.lake, NAME).items[0].decision == "promote"
    days(run_id="run-2").record(Stage.INGEST, (9, 9), quarantine={})
    seen = overview.overview(day.lake, NOWHERE, NAME)
    (line,) = seen.verdicts
    assert (line.run_id, line.status, line.decision) == ("run-2", TurnStatus.PARTIAL, None)
    assert (seen.volume[0].rows, seen.volume[0].prompts, seen.cost[0].minutes) == (9, None, 1.0)


def test_a_day_of_which_all_is_in_quarantine_is_there(days: Days) -> None:
    days(20).whole()
    day = days(21)
    day.refuse("ingest", "not_json", "not_json", "no_time")
    seen = overview.overview(day.lake, NOWHERE, NAME)
    assert (seen.verdicts[0].turn, seen.verdicts[0].status) == ("2026-11-21T00:00Z", TurnStatus.NOTHING_IN)
    volume = seen.volume[-1]
    assert (volume.rows, volume.queries, volume.prompts) == (3, 0, None)
    assert volume.quarantined == {"not_json": 2, "no_time": 1}
    assert [cost.turn[:10] for cost in seen.cost] == ["2026-11-20"]


def test_what_an_earlier_release_did_not_keep_is_absent_and_not_zero(days: Days) -> None:
    day = days()
    for stage in Stage:
        day.record(stage, (4, 4))
    seen = overview.overview(day.lake, NOWHERE, NAME)
    assert (seen.benchmarks, seen.rewards, seen.calibration) == ((), (), ())
    assert seen.volume[0].quarantined is None
    assert (seen.verdicts[0].decision, seen.verdicts[0].reason) == (None, None)


def test_a_benchmark_without_intervals_is_told_without_them(days: Days) -> None:
    day = days()
    line = {"name": "exam", "metric": "exact_json", "n": 6, "champion": 0.0, "candidate": 1.0, "primary": True}
    day.record(Stage.EVALUATE, (6, 6), benchmarks=[line])
    (series,) = overview.overview(day.lake, NOWHERE, NAME).benchmarks
    point = series.points[0]
    assert (point.score, point.champion) == (Estimate(1.0), Estimate(0.0))
    assert (point.delta, point.p_value) == (None, None)


def test_only_the_last_turns_are_shown_and_all_are_counted(days: Days) -> None:
    for number in range(1, 8):
        days(number).record(Stage.INGEST, quarantine={})
    lake = days().lake
    seen = overview.overview(lake, NOWHERE, NAME, last=3)
    assert (seen.turns, seen.shown, len(seen.verdicts)) == (7, 3, 5)
    assert [one.turn[:10] for one in seen.volume] == ["2026-11-05", "2026-11-06", "2026-11-07"]


def test_turns_come_page_by_page_the_newest_first(days: Days) -> None:
    for number in range(1, 6):
        days(number).record(Stage.INGEST, quarantine={})
    lake = days().lake
    pages = [overview.turns(lake, NAME, page=number, size=2) for number in (1, 2, 3, 4)]
    assert [[one.turn[8:10] for one in page.items] for page in pages] == [["05", "04"], ["03", "02"], ["01"], []]
    assert {(page.total, page.pages) for page in pages} == {(5, 3)}
    assert [(page.first, page.last) for page in pages] == [(1, 2), (3, 4), (5, 5), (0, 0)]


def test_what_is_recorded_between_two_looks_is_seen(days: Days) -> None:
    day = days()
    day.record(Stage.INGEST, (3, 3), quarantine={})
    lake = day.lake
    assert overview.turns(lake, NAME).items[0].stages == 1
    day.record(Stage.VALIDATE, (3, 2), quarantine={}, shards=1)
    days(22).record(Stage.INGEST, (5, 5), quarantine={})
    assert [(one.turn[8:10], one.stages) for one in overview.turns(lake, NAME).items] == [("22", 1), ("21", 2)]


def test_flywheels_of_one_lake_are_told_apart(days: Days) -> None:
    days(20).whole()
    day = days(21, name="refunds")
    day.record(Stage.INGEST, (3, 3), quarantine={})
    lake = day.lake
    assert overview.flywheels(lake) == ("refunds", "tickets")
    assert [one.turn[8:10] for one in overview.turns(lake, "refunds").items] == ["21"]
    assert [one.turn[8:10] for one in overview.turns(lake, "tickets").items] == ["20"]


def test_an_unknown_flywheel_is_refused_with_those_that_are_known(days: Days) -> None:
    day = days()
    with pytest.raises(DataError, match="no turn of flywheel 'tickets'.*no turn has run yet"):
        overview.overview(day.lake, NOWHERE, NAME)
    day.record(Stage.INGEST)
    with pytest.raises(DataError, match='no turn of flywheel "it\'s".*it has turns of tickets'):
        overview.turns(day.lake, "it's")
    assert overview.flywheels(day.lake) == ("tickets",)


@pytest.mark.parametrize("last", [0, 1001])
def test_an_impossible_number_of_turns_is_refused(days: Days, last: int) -> None:
    with pytest.raises(ConfigError, match="ask for 1 to 1000"):
        overview.overview(days().lake, NOWHERE, NAME, last=last)


@pytest.mark.parametrize(("page", "size"), [(0, 50), (1, 0), (1, 201)])
def test_an_impossible_page_is_refused(days: Days, page: int, size: int) -> None:
    with pytest.raises(ConfigError):
        overview.turns(days().lake, NAME, page=page, size=size)


def test_without_a_registry_the_rest_is_shown_all_the_same(days: Days) -> None:
    day = days().whole()
    seen = overview.overview(day.lake, NOWHERE, NAME)
    assert seen.champion is None
    assert seen.champion_missing is not None and "no connection to PostgreSQL" in seen.champion_missing
    assert seen.turns == 1


def test_the_champion_is_the_registrys_with_who_made_it_so(days: Days, database_url: str) -> None:
    days(20).whole(version=1)
    lake = days(21).whole(version=2).lake
    nobody = overview.overview(lake, database_url, NAME)
    assert nobody.champion is not None
    assert (nobody.champion.version, nobody.champion.since, nobody.champion.age_days) == (0, None, None)
    with connect(database_url) as connection:
        record.ensure_tables(connection)
        about: dict[str, Any] = {"who": "run run-1", "why": "turn 2026-11-20T00:00Z: promote", "version": 1}
        record.add(connection, NAME, EventKind.REGISTERED, champions=(0, 0), **about)
        record.add(connection, NAME, EventKind.PROMOTE, who="anna", why="better", champions=(0, 1), version=1)
    seen = overview.overview(lake, database_url, NAME)
    champion = seen.champion
    assert champion is not None and seen.champion_missing is None
    assert (champion.version, champion.model_version, champion.turn) == (1, "model-1", "2026-11-20T00:00Z")
    assert (champion.by, champion.why) == ("anna", "better")
    assert champion.since is not None and champion.age_days is not None
    assert 0 <= champion.age_days < 1 and champion.since <= datetime.now(UTC)
    assert [point.became_champion for point in seen.benchmarks[0].points] == [True, False]
    # A later run of its turn has made another model: the champion's is not known from the lake any more.
    days(20, run_id="run-2").whole(version=3)
    again = overview.overview(lake, database_url, NAME).champion
    assert again is not None and (again.version, again.model_version) == (1, None)
