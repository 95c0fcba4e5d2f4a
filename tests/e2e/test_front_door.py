"""Backfill beside the nightly turn in a real Airflow: real ingest and validate, a stand-in for all after them."""

import json
import secrets
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest

from tao_ops import turns
from tao_ops.config import Flywheel, load_flywheel
from tao_ops.lake import Lake, open_lake
from tao_ops.local.follow import UNFINISHED
from tao_ops.local.services import Services
from tao_ops.settings import Settings
from tao_ops.stages import Run, ingest, validate
from tao_ops.tables import CLUSTERS, PROMPTS, QUARANTINE, QUERIES, TURNS, Table
from tao_ops.turn import parse_instant, turn_at

DAG = "flywheel_small"
STAND_IN = """#!{python} -u
import json, os, sys
arguments = sys.argv[3:]
if arguments[0] in ("ingest", "validate", "lake", "turn", "server"):
    os.execv({python!r}, [{python!r}, *sys.argv[1:]])
with open(arguments[arguments.index("--report") + 1], "w") as report:
    json.dump({{"stage": arguments[0], "rows_in": 1, "rows_out": 1, "metrics": {{}}}}, report)
"""


@pytest.mark.timeout(600)
def test_a_backfill_beside_the_nightly_turn_leaves_what_one_after_the_other_would(
    start_airflow: Callable[[], Services],
    small: Flywheel,
    include: Path,
    home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stand_in = tmp_path / "python"
    stand_in.write_text(STAND_IN.format(python=sys.executable))
    stand_in.chmod(0o755)
    monkeypatch.setenv("TAO_PYTHON", str(stand_in))
    monkeypatch.setenv("TAO_HASH_KEY", secrets.token_hex(16))
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    days = [today - timedelta(days=n) for n in (4, 3, 2, 1)]
    _write_days(home / "logs" / "tickets", days)
    services = start_airflow()
    with services.client() as client:
        _eventually(lambda: client.dag(DAG))
        client.unpause(DAG)  # starts the last complete day: the nightly turn
        backfill = {
            "dag_id": DAG,
            "from_date": days[0].isoformat(),
            "to_date": days[2].isoformat(),
            "reprocess_behavior": "none",
            "max_active_runs": 3,
            "run_backwards": False,
            "dag_run_conf": {},
        }
        _eventually(lambda: client.runs(DAG))
        client.ask("POST", "backfills", json=backfill)
        _eventually(lambda: len(client.runs(DAG)) == 4)
        _eventually(lambda: all(run["state"] not in UNFINISHED for run in client.runs(DAG)), 300)
        runs = client.runs(DAG)
        assert [run["state"] for run in runs] == ["success"] * 4
        lake = open_lake(Settings.from_env().lake)
        order = _order(lake)
        assert len(order) == 8 and len({turn for _, turn in order}) == 4
        _assert_overlapped(client, runs)
        _assert_data_docs(services, client, runs[0]["dag_run_id"])
        _assert_maintained(client)
        assert _rows(lake) == _one_after_the_other(small, order, tmp_path / "again")


def _write_days(folder: Path, days: list[datetime]) -> None:
    """The same eight requests a day, two of them near duplicates; and an export that overlaps them all."""
    (present,) = folder.glob("*.jsonl*")
    present.unlink()
    everything = []
    for day in days:
        lines = []
        for number in range(120):
            at = day + timedelta(minutes=7 * number)
            text = f"{'Anna' if number % 3 else 'Bela'} here, my kettle number {number} of {day:%A} is lost"
            body = {"user": f"u{number % 5}", "messages": [{"role": "user", "content": text + "!" * (number % 2)}]}
            record = {"request_id": f"{day:%d}-{number}", "received_at": at.isoformat(), "request": body}
            lines.append(json.dumps(record))
        (folder / f"{day:%Y-%m-%d}.jsonl").write_text("\n".join([*lines, "{broken"]), encoding="utf-8")
        everything += lines
    (folder / "export.jsonl").write_text("\n".join(everything), encoding="utf-8")


def _order(lake: Lake) -> list[tuple[str, str]]:
    """The stages and turns in the order in which they ended."""
    rows = [row for row in lake.read(TURNS).to_pylist() if row["stage"] in ("ingest", "validate")]
    return [(row["stage"], row["turn"]) for row in sorted(rows, key=lambda row: row["finished_at"])]


def _rows(lake: Lake) -> dict[str, list[str]]:
    def told(table: Table) -> list[str]:
        rows = lake.read(table).to_pylist()
        return sorted(json.dumps({**row, "run_id": ""}, default=str) for row in rows)

    return {table.name: told(table) for table in (QUERIES, QUARANTINE, PROMPTS, CLUSTERS)}


def _one_after_the_other(flywheel: Flywheel, order: list[tuple[str, str]], folder: Path) -> dict[str, list[str]]:
    settings = Settings.from_env()
    lake = open_lake(str(folder / "lake"))
    flywheel = load_flywheel(flywheel.name)
    for stage, key in order:
        start = parse_instant(key, flywheel.timezone)
        turn = turn_at(flywheel.name, start, schedule=flywheel.schedule, timezone=flywheel.timezone)
        run = Run(flywheel, turn, "again", lake, replace(settings, home=folder), "", say=lambda line: None)
        turns.record(run, (ingest if stage == "ingest" else validate).run(run))
    return _rows(lake)


def _assert_overlapped(client: Any, runs: list[dict[str, Any]]) -> None:
    """Runs were at work at the same time, or the test would show nothing."""
    spans = sorted((run["start_date"], run["end_date"]) for run in runs)
    assert any(later[0] < earlier[1] for earlier, later in pairwise(spans)), spans


def _assert_data_docs(services: Services, client: Any, run_id: str) -> None:
    """The link on the task leads to the pages, for who is signed in, and for nobody else."""
    links = client.ask("GET", f"dags/{DAG}/dagRuns/{run_id}/taskInstances/validate/links").json()
    address = links["extra_links"]["Data Docs"]
    server = services.url.rstrip("/")
    assert httpx.get(f"{server}{address}").status_code == 401
    signed_in = {"Authorization": client._http.headers["Authorization"]}
    for page in ("", "task-tickets.html"):
        answer = httpx.get(f"{server}{address}{page}", headers=signed_in)
        assert answer.status_code == 200 and "tickets" in answer.text and "kettle" not in answer.text


def _assert_maintained(client: Any) -> None:
    client.unpause("maintenance")
    client.trigger("maintenance", conf={}, note="by hand")
    _eventually(lambda: all(run["state"] not in UNFINISHED for run in client.runs("maintenance")), 120)
    assert {run["state"] for run in client.runs("maintenance")} == {"success"}


def _eventually(look: Callable[[], Any], limit_s: float = 120) -> Any:
    deadline = time.monotonic() + limit_s
    while not (found := look()):
        assert time.monotonic() < deadline, "did not come true in time"
        time.sleep(0.3)
    return found
