"""What is read out of a flywheel's history."""

from datetime import UTC, datetime, timedelta

from tao_ops.registry import record
from tao_ops.registry.record import Answer, ChampionEvent, EventKind

AT = datetime(2026, 11, 21, tzinfo=UTC)


def _event(kind: EventKind, old: int, new: int, version: int | None = None) -> ChampionEvent:
    return ChampionEvent(kind, AT, "who", "why", old, new, version)


def _registered(*versions: int) -> list[ChampionEvent]:
    return [_event(EventKind.REGISTERED, 0, 0, version) for version in versions]


def test_a_rollback_done_twice_goes_two_steps_back_and_not_forth() -> None:
    history = [_event(EventKind.PROMOTE, old, old + 1, old + 1) for old in range(3)]
    assert record.previous(history, 3) == 2
    history.append(_event(EventKind.ROLLBACK, 3, 2, 2))
    assert record.previous(history, 2) == 1
    # A later promotion counts from where it began.
    history.append(_event(EventKind.PROMOTE, 2, 4, 4))
    assert record.previous(history, 4) == 2


def test_a_history_of_an_earlier_release_tells_versions_by_where_the_champion_went() -> None:
    history = [_event(EventKind.PROMOTE, 0, 1)]
    assert record.aliases(history, 1) == {"champion": 1}
    assert record.settled(history, 1) == history[0] and record.settled(history, 2) is None


def test_the_candidate_is_the_newest_version_unless_it_was_promoted() -> None:
    history = _registered(1, 2)
    assert record.aliases(history, 0) == {"candidate": 2}
    history.append(_event(EventKind.PROMOTE, 0, 2, 2))
    assert record.aliases(history, 2) == {"champion": 2}
    history.append(_event(EventKind.ROLLBACK, 2, 0, 0))
    assert record.aliases(history, 0) == {}
    assert record.aliases([*history, *_registered(3)], 0) == {"candidate": 3}


def test_an_approval_stands_where_the_last_answer_left_it() -> None:
    history = _registered(1)
    assert record.answer(history, 1) is None
    for kind, expected in (
        (EventKind.PENDING, Answer.PENDING),
        (EventKind.REJECT, Answer.REJECTED),
        (EventKind.PROMOTE, Answer.APPROVED),
    ):
        history.append(_event(kind, 0, 1 if kind is EventKind.PROMOTE else 0, 1))
        assert record.answer(history, 1) is expected
    # Nobody was asked about a version that the gate alone promoted.
    assert record.answer([_event(EventKind.PROMOTE, 0, 2, 2)], 2) is None


def test_what_a_run_said_no_to_on_another_look_is_no_answer() -> None:
    asked = _event(EventKind.PENDING, 0, 0, 1)
    by_run = ChampionEvent(EventKind.REJECT, AT, "run manual__1", "turn t: reject, on another look", 0, 0, 1)
    assert record.answer([asked, by_run], 1) is Answer.REJECTED
    assert record.settled([asked, by_run], 1) is None
    by_person = ChampionEvent(EventKind.REJECT, AT, "run down", "too terse", 0, 0, 1)
    assert record.settled([asked, by_person], 1) == by_person


def test_overdue_is_what_was_asked_last_before_the_limit_and_not_answered() -> None:
    limit = timedelta(hours=20)
    history = [
        _event(EventKind.PENDING, 0, 0, 1),
        _event(EventKind.PENDING, 0, 0, 2),
        _event(EventKind.REJECT, 0, 0, 2),
    ]
    assert record.overdue(history, limit, AT + limit) == []
    assert record.overdue(history, limit, AT + limit + timedelta(seconds=1)) == [1]


def test_an_event_touches_the_versions_that_it_moved_the_champion_between() -> None:
    move, repair = _event(EventKind.PROMOTE, 1, 2, 2), _event(EventKind.ALIAS_REPAIRED, 2, 2)
    assert [move.touches(version) for version in (0, 1, 2)] == [False, True, True]
    assert not repair.touches(2)
