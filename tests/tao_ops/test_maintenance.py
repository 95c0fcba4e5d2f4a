"""Old turns go, small files become one, dead files are deleted; what a later turn asks for stays."""

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from deltalake import DeltaTable
from typer.testing import CliRunner

from tao_ops import lake as lake_module
from tao_ops import upkeep
from tao_ops.cli import app
from tao_ops.config import Flywheel
from tao_ops.errors import ConfigError
from tao_ops.lake import Lake, open_lake
from tao_ops.maintenance import Upkeep, maintain
from tao_ops.tables import ERASURES, PROMPTS, QUARANTINE
from tao_ops.turn import Turn

NOW = datetime(2026, 11, 23, 3, tzinfo=UTC)
WEEKS = {"queries": "14d", "prompts": "14d", "responses": "7d", "rewards": "7d"}


def _flywheel(name: str = "tickets", **keys: Any) -> Flywheel:
    task = {
        "prompt": "p.txt",
        "expectations": "e.json",
        "strategies": [{"name": "plain", "samples": 1}],
        "scorers": [{"name": "json_schema", "keys": ["city"]}],
        "benchmarks": [{"name": "exam", "path": "b", "primary": True}],
    }
    rest = {"sources": [{"path": "x"}], "evaluate": {"control": None}}
    return Flywheel.model_validate({"name": name, "tasks": {"t": task}, **rest, **keys})


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return open_lake(str(tmp_path / "lake"))


def _write(lake: Lake, day: int, *names: str, flywheel: str = "tickets") -> None:
    start = datetime(2026, 11, day, tzinfo=UTC)
    rows = [{"query_id": n, "task": "t", "messages": [], "count": 1, "cluster": n, "split": "train"} for n in names]
    lake.write(PROMPTS, rows, turn=Turn(flywheel, start, start + timedelta(days=1)), run_id="r")


def _days(lake: Lake, **where: Any) -> list[str]:
    return sorted(turn[8:10] for turn in lake.read(PROMPTS, **where).column("turn").to_pylist())


def _maintain(lake: Lake, *flywheels: Flywheel, **how: Any) -> dict[str, Upkeep]:
    return {done.table: done for done in maintain(flywheels, lake, now=NOW, say=print, **how)}


def test_turns_that_ended_before_the_retention_go_from_their_own_table_and_flywheel(lake: Lake) -> None:
    for day in (7, 8, 9, 22):
        _write(lake, day, "a", "b")
    _write(lake, 1, "a", flywheel="others")
    _write(lake, 1, "a", flywheel="gone")
    # Fourteen days before 03:00 on the 23rd is 03:00 on the 9th: the turn of the 8th has ended, that of the 9th not.
    done = _maintain(lake, _flywheel(retention=WEEKS), _flywheel("others"))
    assert _days(lake, flywheel="tickets") == ["09", "09", "22", "22"]
    assert (_days(lake, flywheel="others"), _days(lake, flywheel="gone")) == (["01"], ["01"])
    assert done["prompts"].expired == 4


def test_without_a_retention_rows_stay_for_ever(lake: Lake) -> None:
    _write(lake, 1, "a")
    assert _maintain(lake, _flywheel(), _flywheel("others"))["prompts"].expired == 0
    assert _days(lake) == ["01"]


def test_small_files_become_one_with_the_same_rows(lake: Lake) -> None:
    rows = [{"flywheel": "tickets", "user_hash": f"h{n}", "erased_at": NOW, "models": []} for n in range(6)]
    for row in rows:
        lake.append(ERASURES, [row])
    done = _maintain(lake, _flywheel())["erasures"]
    assert (done.files_before, done.files_after) == (6, 1) and 0 < done.bytes_after < done.bytes_before
    assert sorted(lake.read(ERASURES).column("user_hash").to_pylist()) == [f"h{n}" for n in range(6)]


def _age(lake: Lake, days: float) -> None:
    """Make every file look older, and with it what the log says of when a file died."""
    then = datetime.now(UTC).timestamp() - days * 86400
    for path in Path(lake.root).rglob("*.*"):
        if path.suffix == ".json":
            lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
            for line in lines:
                if "remove" in line:
                    line["remove"]["deletionTimestamp"] = int(then * 1000)
            path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
        os.utime(path, (then, then))


def _parquets(lake: Lake) -> set[str]:
    return {path.name for path in Path(lake.uri(PROMPTS)).glob("flywheel=*/*/*.parquet")}


@pytest.mark.parametrize(("days", "deleted"), [(6, 0), (8, 2)])
def test_dead_files_and_those_of_killed_writers_go_after_a_week(lake: Lake, days: float, deleted: int) -> None:
    _write(lake, 21, "a")
    _write(lake, 21, "b")
    folder = next(Path(lake.uri(PROMPTS)).glob("flywheel=*/*"))
    (folder / "part-of-a-killed-writer.parquet").write_bytes(b"half")
    _age(lake, days)
    (folder / "part-of-a-writer-at-work.parquet").write_bytes(b"half")
    counted = _maintain(lake, _flywheel(), dry_run=True)
    before = _parquets(lake)
    done = _maintain(lake, _flywheel())
    assert done["prompts"].deleted == counted["prompts"].deleted == deleted
    assert len(before) == 4 and len(_parquets(lake)) == 4 - deleted
    assert "part-of-a-writer-at-work.parquet" in _parquets(lake)
    assert lake.read(PROMPTS).column("query_id").to_pylist() == ["b"]


def test_a_table_of_before_gets_the_settings_of_now_once(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as before:
        before.setattr(lake_module, "PROPERTIES", {"delta.dataSkippingNumIndexedCols": "0"})
        _write(lake, 1, "a")
    version = lake.version(PROMPTS)
    _maintain(lake, _flywheel(), dry_run=True)
    assert lake.version(PROMPTS) == version
    for _ in range(2):
        _maintain(lake, _flywheel())
        assert lake_module.PROPERTIES.items() <= DeltaTable(lake.uri(PROMPTS)).metadata().configuration.items()
        assert lake.version(PROMPTS) == (version or 0) + 1
    assert _days(lake) == ["01"]


def test_a_dry_run_changes_nothing(lake: Lake) -> None:
    _write(lake, 1, "a")
    _write(lake, 22, "a")
    before = lake.version(PROMPTS)
    done = _maintain(lake, _flywheel(retention=WEEKS), dry_run=True)["prompts"]
    assert (done.expired, done.files_before, done.files_after) == (1, 2, 2)
    assert lake.version(PROMPTS) == before and _days(lake) == ["01", "22"]


def test_files_of_stages_at_work_cannot_be_asked_away(lake: Lake) -> None:
    with pytest.raises(ConfigError, match="a day at least .*--keep-files"):
        _maintain(lake, _flywheel(), keep_files=timedelta(hours=23))


@pytest.mark.parametrize(
    ("keys", "error"),
    [
        ({"retention": {**WEEKS, "queries": "2d"}}, "queries .* less than ingest.lateness and a turn: 3d .*retention"),
        (
            {"retention": {"responses": "3d"}, "update": {"window": 4}},
            "responses .* less than the turns of update.window: 4d",
        ),
        ({"retention": {**WEEKS, "rewards": "15d"}}, "rewards would be kept for longer than queries: .*14d at most"),
        ({"retention": {"queries": "14d"}}, "prompts would be kept for longer than queries"),
        (
            {"retention": {"rewards": "60h"}, "schedule": "0 0 * * 1-5"},
            "rewards .* less than the turns of update.window: 3d",
        ),
    ],
)
def test_a_retention_that_forgets_what_is_needed_is_refused_before_anything_goes(
    lake: Lake, keys: dict[str, Any], error: str
) -> None:
    _write(lake, 1, "a")
    with pytest.raises(ConfigError, match=error):
        _maintain(lake, _flywheel(**keys))
    assert _days(lake) == ["01"]


def test_purged_history_is_gone_and_later_writes_keep_theirs(lake: Lake) -> None:
    _write(lake, 21, "a")
    _write(lake, 21, "b")
    assert upkeep.purge(lake, PROMPTS) == 1 and upkeep.purge(lake, PROMPTS) == 0
    assert len(_parquets(lake)) == 1 and lake.read(PROMPTS).column("query_id").to_pylist() == ["b"]
    properties = DeltaTable(lake.uri(PROMPTS)).metadata().configuration
    assert properties["delta.logRetentionDuration"] == "interval 30 days"
    version = lake.version(PROMPTS)
    _write(lake, 21, "c")
    assert lake.read(PROMPTS, version=version).column("query_id").to_pylist() == ["b"]
    assert upkeep.purge(lake, QUARANTINE) == 0  # never written


def test_tao_lake_maintain(shop: Any) -> None:
    shop.change("retention", {"queries": "14d", "prompts": "14d", "responses": "14d", "rewards": "14d"})
    lake = open_lake(shop.settings.lake)
    for start in (datetime(2020, 1, 1, tzinfo=UTC), datetime.now(UTC) - timedelta(days=1)):
        row = {"query_id": "q", "task": "t", "messages": [], "count": 1, "cluster": "q", "split": "train"}
        lake.write(PROMPTS, [row], turn=Turn("shop", start, start + timedelta(days=1)), run_id="r")

    def tao(*arguments: str) -> Any:
        env = {"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"}
        return CliRunner().invoke(app, ["lake", "maintain", *arguments], env=env)

    counted = json.loads(tao("shop", "--dry-run", "--json").stdout)
    assert [(one["table"], one["expired"]) for one in counted] == [("prompts", 1)]
    done = tao("--keep-files", "36h")
    assert done.exit_code == 0 and "prompts" in done.stdout and "dead files deleted" in done.stdout
    assert lake.count(PROMPTS, flywheel="shop") == 1
    wrong = tao("--keep-files", "soon")
    assert wrong.exit_code == 1 and wrong.stderr.startswith("error: 'soon' is not a duration [--keep-files]")
