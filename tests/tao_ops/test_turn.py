"""A turn is one interval of the schedule, named by its start in UTC."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from tao_ops.errors import ConfigError
from tao_ops.turn import (
    Turn,
    last_complete_turn,
    new_run_id,
    parse_instant,
    path_safe,
    turn_at,
    turn_key,
    turns_within,
)

DAILY = "0 0 * * *"


def _at(text: str, schedule: str = DAILY, timezone: str = "UTC") -> Turn:
    return turn_at("tickets", parse_instant(text, timezone), schedule=schedule, timezone=timezone)


def _last(now: str, schedule: str = DAILY, timezone: str = "UTC") -> Turn:
    return last_complete_turn("tickets", schedule=schedule, timezone=timezone, now=datetime.fromisoformat(now))


@pytest.mark.parametrize("text", ["2026-11-21", "2026-11-21T00:00", "2026-11-21T00:00Z", "2026-11-21T01:00+01:00"])
def test_every_way_of_writing_a_start_gives_the_same_key(text: str) -> None:
    turn = _at(text)
    assert turn.key == "2026-11-21T00:00Z" == turn_key(turn.start)
    assert turn.end - turn.start == timedelta(days=1)


def test_a_date_alone_is_midnight_where_the_flywheel_lives() -> None:
    assert _at("2026-11-21", timezone="Europe/Berlin").key == "2026-11-20T23:00Z"


@pytest.mark.parametrize("text", ["", "yesterday", "2026-13-01", "2026-11-21Z"])
def test_a_text_that_is_no_instant_is_refused_with_the_forms(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_instant(text)
    assert "--turn" in str(caught.value) and "write 2026-11-21" in str(caught.value)


@pytest.mark.parametrize("text", ["2026-11-21T06:00Z", "2026-11-21T00:00:30Z", "2026-11-21T00:00:00.5Z"])
def test_a_start_that_is_not_on_the_schedule_is_refused_and_the_nearest_is_named(text: str) -> None:
    with pytest.raises(ConfigError, match=r"no turn of tickets starts at .* the one before it is 2026-11-21T00:00Z"):
        _at(text)


def test_the_days_on_which_clocks_change_have_25_and_23_hours() -> None:
    autumn, spring = (_at(day, timezone="Europe/Berlin") for day in ("2026-10-25", "2026-03-29"))
    assert (autumn.key, autumn.end - autumn.start) == ("2026-10-24T22:00Z", timedelta(hours=25))
    assert (spring.key, spring.end - spring.start) == ("2026-03-28T23:00Z", timedelta(hours=23))


@pytest.mark.parametrize("day", ["2026-03-28", "2026-10-24"])
def test_turns_around_a_change_of_clocks_touch_and_do_not_overlap(day: str) -> None:
    turn = _at(day, timezone="Europe/Berlin")
    for _ in range(3):
        following = turn_at("tickets", turn.end, schedule=DAILY, timezone="Europe/Berlin")
        assert following.start == turn.end
        turn = following


def test_the_last_complete_turn_ends_at_or_before_now() -> None:
    assert _last("2026-11-22T00:00+00:00").key == "2026-11-21T00:00Z"
    assert _last("2026-11-22T00:00:00.5+00:00").key == "2026-11-21T00:00Z"
    assert _last("2026-11-22T15:30+00:00").key == "2026-11-21T00:00Z"
    assert _last("2026-11-21T23:59:59+00:00").key == "2026-11-20T00:00Z"


def test_the_last_complete_turn_where_clocks_change() -> None:
    turn = _last("2026-10-26T00:00+01:00", timezone="Europe/Berlin")
    assert (turn.key, turn.end - turn.start) == ("2026-10-24T22:00Z", timedelta(hours=25))
    assert turn == _at("2026-10-25", timezone="Europe/Berlin")


def test_without_a_date_now_is_meant() -> None:
    turn = last_complete_turn("tickets", schedule="0 * * * *", timezone="UTC")
    assert timedelta(0) <= datetime.now(UTC) - turn.end < timedelta(hours=1, minutes=1)


def test_seeds_are_the_same_for_ever_and_differ_by_what_they_are_for() -> None:
    turn = _at("2026-11-21")
    assert turn.seed(1, "generate", "0") == 2031092441 == _at("2026-11-21T00:00Z").seed(1, "generate", "0")
    others = {turn.seed(2, "generate", "0"), turn.seed(1, "generate", "1"), _at("2026-11-22").seed(1, "generate", "0")}
    assert len(others | {turn.seed(1, "generate", "0")}) == 4
    assert all(0 <= seed < 2**31 for seed in others)


def test_a_runs_name_is_its_own_and_safe_in_a_path() -> None:
    names = {new_run_id() for _ in range(50)}
    assert len(names) == 50 and all(path_safe(name) == name for name in names)
    assert path_safe("2026-11-21T00:00Z") == "2026-11-21T00-00Z"
    assert path_safe("manual__2026-11-21T00:00:00+00:00/../x") == "manual__2026-11-21T00-00-00-00-00-..-x"


@pytest.mark.parametrize(
    ("schedule", "timezone", "text", "start", "end"),
    [
        # What Airflow's cron timetables give: a time that the clocks' change repeats is its second occurrence …
        ("0 2 * * *", "Europe/Berlin", "2026-10-24T00:00Z", "2026-10-24T00:00Z", "2026-10-25T01:00Z"),
        ("0 2 * * *", "Europe/Berlin", "2026-10-25T01:00Z", "2026-10-25T01:00Z", "2026-10-26T01:00Z"),
        # … and one that it leaves out moves on.
        ("30 2 * * *", "Europe/Berlin", "2026-03-29T01:30Z", "2026-03-29T01:30Z", "2026-03-30T00:30Z"),
        ("0 0 * * *", "America/Havana", "2026-10-31T04:00Z", "2026-10-31T04:00Z", "2026-11-01T05:00Z"),
        ("0 * * * *", "Europe/Berlin", "2026-10-25T00:00Z", "2026-10-25T00:00Z", "2026-10-25T01:00Z"),
    ],
)
def test_turns_follow_each_other_over_a_change_of_clocks(
    schedule: str, timezone: str, text: str, start: str, end: str
) -> None:
    turn = _at(text, schedule, timezone)
    assert (turn_key(turn.start), turn_key(turn.end)) == (start, end)
    assert _last(end.replace("Z", "+00:00"), schedule, timezone) == turn


def _within(start: str, end: str, schedule: str = DAILY, timezone: str = "UTC") -> list[Turn]:
    edges = (datetime.fromisoformat(start), datetime.fromisoformat(end))
    return turns_within("tickets", *edges, schedule=schedule, timezone=timezone)


def _keys(turns: list[Turn]) -> list[str]:
    return [turn.key for turn in turns]


def test_turns_within_an_interval_are_all_that_hold_an_instant_of_it() -> None:
    whole = ["2026-11-20T00:00Z", "2026-11-21T00:00Z"]
    assert _keys(_within("2026-11-20T00:00Z", "2026-11-22T00:00Z")) == whole
    assert _keys(_within("2026-11-20T23:59:59Z", "2026-11-21T00:00:00.5Z")) == whole
    assert _keys(_within("2026-11-20T23:59:59Z", "2026-11-21T00:00:00Z")) == whole[:1]
    assert _keys(_within("2026-11-21T06:00Z", "2026-11-21T06:00:01Z")) == whole[1:]
    assert _keys(_within("2026-11-21T08:30+09:00", "2026-11-21T09:00+09:00")) == whole[:1]


def test_an_interval_without_length_holds_nothing_but_what_began_before_it() -> None:
    assert _within("2026-11-21T00:00Z", "2026-11-21T00:00Z") == []
    assert _within("2026-11-21T00:00Z", "2026-11-20T00:00Z") == []


@pytest.mark.parametrize("start", ["2026-03-27T09:00Z", "2026-10-23T09:00Z", "2026-10-30T09:00Z"])
@pytest.mark.parametrize(
    ("schedule", "timezone"),
    [
        (DAILY, "UTC"),
        (DAILY, "Europe/Berlin"),
        ("0 2 * * *", "Europe/Berlin"),
        ("30 2 * * *", "Europe/Berlin"),
        ("0 */6 * * *", "Europe/Berlin"),
        ("*/30 * * * *", "Europe/Berlin"),
        (DAILY, "America/Havana"),
        ("0 0 * * 1", "Europe/Berlin"),
    ],
)
def test_turns_within_follow_each_other_as_turns_do(start: str, schedule: str, timezone: str) -> None:
    begin = datetime.fromisoformat(start)
    end = begin + timedelta(days=4, hours=3)
    turns = turns_within("tickets", begin, end, schedule=schedule, timezone=timezone)
    assert turns[0].start <= begin < turns[0].end and turns[-1].start < end <= turns[-1].end
    for turn, following in pairwise(turns):
        assert turn.end == following.start
    for turn in turns:
        assert turn == turn_at("tickets", turn.start, schedule=schedule, timezone=timezone)
