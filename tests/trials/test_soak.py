"""The soak tells growth from noise, and what is kept by design from what leaks."""

import json
import os
import random
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from trials import soak
from trials.soak import watch
from trials.soak.fit import trend


def _noisy(slope: float, turns: int = 21) -> list[float]:
    rng = random.Random(4)
    return [500.0 + slope * turn + rng.gauss(0, 3) for turn in range(turns)]


def test_the_interval_of_a_slope_holds_it() -> None:
    for slope in (0.0, 2.5, -1.0):
        found = trend(_noisy(slope))
        assert found.low < slope < found.high and found.low < found.slope < found.high
        assert found.rise == pytest.approx(20 * found.slope)
    assert trend([4.0] * 9).as_dict() == {"first": 4, "last": 4, "slope": 0, "low": 0, "high": 0, "rise": 0}


def test_two_turns_tell_no_growth() -> None:
    assert trend([1.0, 1000.0]).low <= 0


@pytest.mark.parametrize(
    ("name", "slope", "grew"),
    [
        ("scheduler.mib", 2.5, True),
        ("scheduler.mib", 0.0, False),
        ("scheduler.mib", 0.8, False),  # sure, but 16 MiB of 500 in 20 turns: below what counts
        ("api-server.handles", 2.0, True),
        ("kept.lake.mib", 50.0, False),
        ("lake.queries.rows", 20.0, False),
        ("database.airflow.mib", 3.0, False),
    ],
)
def test_what_grows_that_should_not_fails_the_trial(name: str, slope: float, grew: bool) -> None:
    cell = soak._cell([{name: value, "lease_holders.rows": 0.0} for value in _noisy(slope, 24)])
    assert cell["held"] is not grew and cell["grew"] == ([name] if grew else [])
    assert cell["turns"] == 24 and len(cell["measures"]) == 24
    assert ("grew: none" in soak._outcome({"24": cell})) is not grew


def test_every_unit_that_is_measured_has_a_tolerance() -> None:
    (own,) = watch.family(os.getpid())[:1]
    told = watch.totals([own])
    assert set(told) <= set(watch.TOLERANCES) and told["mib"] > 5 and told["processes"] == 1


def test_a_family_is_a_process_and_its_offspring_and_an_ended_one_is_none() -> None:
    script = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'print(1, flush=True); input()'])"
    parent = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None and parent.stdout.readline() == "1\n"
    found = watch.family(parent.pid)
    told = watch.totals(found)
    parent.communicate("\n")
    assert told["processes"] == 2 and told["handles"] >= 6
    assert watch.totals(found)["processes"] == 0 and watch.family(parent.pid) == []


def test_the_size_of_a_folder_is_that_of_its_files(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "file").write_bytes(b"x" * (3 << 20))
    assert watch.size(tmp_path) == 3.0 and watch.size(tmp_path / "nowhere") == 0


def test_each_hour_has_its_queries_and_the_coming_ones_none(tmp_path: Path) -> None:
    hours = soak.Hours(tmp_path / "logs", 5)
    hours.write()
    files = sorted((tmp_path / "logs").iterdir())
    assert 7 <= len(files) <= 8  # the hour that we are in has one after its first minute
    now = datetime.now(UTC)
    for number, path in enumerate(files):
        times = [datetime.fromisoformat(json.loads(line)["received_at"]) for line in path.open(encoding="utf-8")]
        begin = hours.first + number * timedelta(hours=1)
        assert len(times) == soak.PER_HOUR and begin <= min(times) <= max(times) < begin + timedelta(minutes=1)
        assert max(times) < now
    before = {path: path.stat().st_mtime_ns for path in files}
    hours.write()
    assert {path: path.stat().st_mtime_ns for path in files} == before


def test_the_flywheel_turns_hourly(tmp_path: Path) -> None:
    path = tmp_path / "tickets.yaml"
    path.write_text("name: tickets\nschedule: 0 0 * * *\ngate: {approval: auto}\n", encoding="utf-8")
    soak.make_hourly(path)
    told = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert told == {"name": "tickets", "schedule": "0 * * * *", "gate": {"approval": "auto"}}
