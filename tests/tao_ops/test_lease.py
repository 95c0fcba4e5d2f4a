"""One run at a time holds a turn; a dead holder frees it, a living one is named."""

import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

import pytest

from tao_ops import lease
from tao_ops.database import connect
from tao_ops.errors import LeaseHeld, RegistryError
from tao_ops.settings import PROJECT
from tao_ops.turn import Turn

_HOLDER = """
import sys, time
from datetime import UTC, datetime, timedelta
from tao_ops import lease
from tao_ops.errors import TaoError
from tao_ops.turn import Turn
start = datetime(2026, 11, 21, tzinfo=UTC)
url, run_id, stage, keep = sys.argv[1:5]
try:
    with lease.hold(url, Turn("tickets", start, start + timedelta(days=1)), run_id, stage, keep_between=keep == "keep"):
        print("held", flush=True)
        sys.stdin.readline()
except TaoError as error:
    print(error, flush=True)
    sys.exit(4)
"""


def _turn(day: int = 21) -> Turn:
    start = datetime(2026, 11, day, tzinfo=UTC)
    return Turn("tickets", start, start + timedelta(days=1))


def _process(url: str, run_id: str, stage: str = "update", keep: str = "no") -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", _HOLDER, url, run_id, stage, keep],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
    )


def _says(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def _takes_within(url: str, run_id: str, seconds: float) -> bool:
    """The server notices a death at once, but not before the kernel has closed the socket."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            with lease.hold(url, _turn(), run_id, "ingest", keep_between=False):
                return True
        except LeaseHeld:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)


def test_a_second_run_is_refused_and_told_by_whom(database_url: str) -> None:
    holder = _process(database_url, "manual__first", "generate")
    assert _says(holder) == "held"
    started = time.monotonic()
    other = _process(database_url, "manual__second")
    said, _ = other.communicate(timeout=30)
    assert other.returncode == 4
    assert time.monotonic() - started < 10
    for part in ("2026-11-21T00:00Z", "run manual__first", f"pid {holder.pid}", "stage generate", "since 20"):
        assert part in said
    holder.communicate("\n", timeout=30)
    assert holder.returncode == 0
    assert _takes_within(database_url, "manual__second", 0)


@pytest.mark.parametrize("keep", ["keep", "no"])
def test_a_killed_holder_frees_the_turn_at_once(database_url: str, keep: str) -> None:
    holder = _process(database_url, "manual__first", keep=keep)
    assert _says(holder) == "held"
    holder.send_signal(signal.SIGKILL)
    holder.communicate()
    assert _takes_within(database_url, "manual__second", 10)


def test_of_many_that_come_at_once_one_holds(database_url: str) -> None:
    processes = [_process(database_url, f"manual__{i}") for i in range(5)]
    said = [_says(process) for process in processes]
    assert said.count("held") == 1
    assert sum("is held by run manual__" in line for line in said) == 4
    for process in processes:
        process.communicate("\n", timeout=30)


def test_stages_of_the_run_may_hold_under_the_whole_turn(database_url: str) -> None:
    with (
        lease.hold(database_url, _turn(), "r1", "turn", keep_between=False),
        lease.hold(database_url, _turn(), "r1", "generate", 0, keep_between=False),
    ):
        with (
            lease.hold(database_url, _turn(), "r1", "generate", 1, keep_between=False),
            pytest.raises(LeaseHeld, match="stage generate, shard 1"),
            lease.hold(database_url, _turn(), "r1", "generate", 1, keep_between=False),
        ):
            pass
        with (
            pytest.raises(LeaseHeld, match="held by run r1"),
            lease.hold(database_url, _turn(), "r2", "ingest", keep_between=False),
        ):
            pass
    assert _takes_within(database_url, "r2", 0)


def test_between_two_stages_the_turn_stays_with_its_run(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with lease.hold(database_url, _turn(), "r1", "ingest", keep_between=True):
        pass
    with (
        pytest.raises(LeaseHeld, match="held by run r1: its stage ingest ended at .* has until"),
        lease.hold(database_url, _turn(), "r2", "ingest", keep_between=False),
    ):
        pass
    with lease.hold(database_url, _turn(), "r1", "validate", keep_between=True):
        pass
    lease.release(database_url, _turn(), "r2")
    assert not _takes_within(database_url, "r2", 0)
    lease.release(database_url, _turn(), "r1")
    assert _takes_within(database_url, "r2", 0)

    monkeypatch.setattr(lease, "BETWEEN_STAGES", timedelta(0))
    with lease.hold(database_url, _turn(), "r1", "ingest", keep_between=True):
        pass
    assert _takes_within(database_url, "r2", 5)


def test_a_stage_that_failed_reserves_nothing(database_url: str) -> None:
    with (
        pytest.raises(ZeroDivisionError),
        lease.hold(database_url, _turn(), "r1", "update", keep_between=True),
    ):
        raise ZeroDivisionError
    assert _takes_within(database_url, "r2", 0)


def test_two_turns_of_a_flywheel_run_side_by_side(database_url: str) -> None:
    with (
        lease.hold(database_url, _turn(21), "r1", "update", keep_between=False),
        lease.hold(database_url, _turn(22), "r2", "update", keep_between=False),
        connect(database_url) as connection,
    ):
        assert connection.execute("select count(*) as n from lease_holders").fetchone() == {"n": 2}


def test_a_lost_connection_ends_in_one_line(database_url: str) -> None:
    with (
        pytest.raises(RegistryError, match="the lease of turn 2026-11-21T00:00Z of tickets was lost"),
        lease.hold(database_url, _turn(), "r1", "update", keep_between=True),
    ):
        _cut_off(database_url)
    with (
        pytest.raises(ZeroDivisionError),
        lease.hold(database_url, _turn(), "r1", "update", keep_between=True),
    ):
        _cut_off(database_url)
        raise ZeroDivisionError
    assert _takes_within(database_url, "r2", 5)


def _cut_off(url: str) -> None:
    with connect(url) as connection:
        connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where datname = current_database() and pid <> pg_backend_pid()"
        )
