"""A day of hourly turns, one after the other: does anything grow that should not?

24 turns of an hourly flywheel whose hours lie in the past, in simulated time: each begins as soon as the one before it
has ended. Airflow (local executor), PostgreSQL and the lake are real and are started once; the models are pretended, so
that a turn takes a minute. After each turn, once its workers have left, every service's memory (proportional share, so
that forks are not counted twice), file handles, processes and threads are measured, and the rows, files and bytes of
what is kept on the disk.

A line is fitted to each measure over the turns after the first :data:`WARM`; the 95 % interval of its slope is that of
ordinary least squares, which takes the turns' noise for independent. A measure has grown where the whole interval is
above zero and the fitted line rises by more than its tolerance, and by more than a twentieth of its first value. What
grows because each turn is kept (the lake's rows and versions, Airflow's and MLflow's records, logs) is told beside, and
has no verdict; leases, which end with their stages, have one.

``SOAK_TURNS`` (default 24) shortens it. One go: a restart would reset what is watched.
"""

import json
import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from tao_ops.local.client import AirflowClient
from tao_ops.local.follow import UNFINISHED
from tao_ops.turn import turn_key
from trials.record import Cells
from trials.soak.fit import Trend, trend
from trials.soak.watch import BY_DESIGN, TOLERANCES, Measures, Watch

SEED, TURNS, WARM = 1, 24, 3
DAG = "flywheel_tickets"
SETTLE_S = 8.0
"""Until the workers of a run that has ended have left."""
LIMIT_S = 900.0
PER_HOUR = 40
HOUR = timedelta(hours=1)
SHARE = 0.05
"""A rise that is less than this share of the first value is noise too."""


def run() -> bool:
    """Run the turns unless this code's are known; true where nothing grew that should not."""
    turns = int(os.environ.get("SOAK_TURNS") or TURNS)
    cells, key = Cells("soak"), str(turns)
    if not cells.known(SEED, key):
        cells.keep(SEED, _cell(_turns(turns)), _outcome, key)
    print(f"soak: {_outcome({key: cells.cells[key]})}")
    return bool(cells.cells[key]["held"])


def _turns(turns: int) -> list[Measures]:
    """The measures before the first turn, and after each."""
    from tests.e2e.operated import tickets
    from tests.e2e.operated.started import operated
    from tests.e2e.operated.watching import eventually, first_run

    with tempfile.TemporaryDirectory(prefix="tao-soak-") as scratch, operated(Path(scratch)) as airflow:
        logs = Hours(airflow.services.home / "logs" / "tickets", turns)
        tickets.write_flywheel(airflow.include, Path(scratch), approval="auto")
        make_hourly(airflow.include / "flywheels" / "tickets.yaml")
        logs.write()
        watch, found = Watch(airflow.services), []
        with airflow.services.client() as client:
            eventually(lambda: client.dag(DAG))
            # The start of the DAG brings the newest hour's run: part of the warming up.
            _end(client, first_run(client, DAG))
            for number in range(turns):
                logs.write()
                began = time.monotonic()
                conf = {"turn": turn_key(logs.first + number * HOUR)}
                _end(client, client.trigger(DAG, conf=conf, note="soak"))
                seconds = time.monotonic() - began
                time.sleep(SETTLE_S)
                found.append({**watch.measure(), "turn.seconds": round(seconds, 1)})
                print(f"turn {number + 1} of {turns}: {json.dumps(found[-1])}", flush=True)
        return found


class Hours:
    """Logs of an hour each, from a day ago to now; all messages of an hour lie in its first minute."""

    def __init__(self, folder: Path, turns: int) -> None:
        self._folder = folder
        now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
        self.first = now - (turns + 2) * HOUR

    def write(self) -> None:
        """Write the hours that have none yet, up to that of now: Airflow begins its turn by itself when it is over."""
        self._folder.mkdir(parents=True, exist_ok=True)
        at, now = self.first, datetime.now(UTC)
        while at + timedelta(minutes=1) < now:
            path = self._folder / f"{at:%Y-%m-%dT%H}.jsonl"
            if not path.exists():
                path.write_text("\n".join(_lines(at)), encoding="utf-8")
            at += HOUR


def make_hourly(flywheel: Path) -> None:
    """Make a flywheel turn every hour."""
    told = yaml.safe_load(flywheel.read_text(encoding="utf-8")) | {"schedule": "0 * * * *"}
    flywheel.write_text(yaml.safe_dump(told, sort_keys=False), encoding="utf-8")


def _lines(hour: datetime) -> list[str]:
    from tests.e2e.operated.tickets import messages
    from tests.tao_ops.conftest import right_answer

    lines = []
    for number, text in enumerate(messages(PER_HOUR, seed=int(hour.timestamp()))):
        body = {"user": f"u{number % 9}", "messages": [{"role": "user", "content": text}]}
        logged = right_answer(text) if number % 3 else "Sure, the customer is"
        answer = {"model": "shop@0", "choices": [{"message": {"content": logged}}]}
        at = (hour + timedelta(seconds=number)).isoformat()
        record = {"request_id": f"{hour:%Y%m%d%H}-{number}", "received_at": at, "request": body, "response": answer}
        lines.append(json.dumps(record))
    return lines


def _end(client: AirflowClient, run_id: str) -> None:
    from tests.e2e.operated.watching import eventually

    eventually(lambda: client.run(DAG, run_id)["state"] not in UNFINISHED, LIMIT_S)
    if (state := client.run(DAG, run_id)["state"]) != "success":
        failed = [task["task_id"] for task in client.tasks(DAG, run_id) if task["state"] == "failed"]
        raise SystemExit(f"error: run {run_id} ended as {state}: {', '.join(failed)}")


def _cell(found: Sequence[Measures]) -> dict[str, Any]:
    """What was measured, and what it comes to."""
    warm = WARM if len(found) > 2 * WARM else 0
    trends = {name: trend([one.get(name, 0.0) for one in found[warm:]]) for name in found[-1]}
    grew = [name for name, one in trends.items() if _grew(name, one)]
    return {
        "turns": len(found),
        "warm": warm,
        "measures": list(found),
        "trends": {name: one.as_dict() for name, one in trends.items()},
        "by_design": sorted(name for name in trends if name.startswith(BY_DESIGN)),
        "grew": grew,
        "held": not grew,
    }


def _grew(name: str, one: Trend) -> bool:
    if name.startswith(BY_DESIGN):
        return False
    return one.low > 0 and one.rise > max(TOLERANCES[name.rpartition(".")[2]], SHARE * one.first)


def _outcome(cells: Mapping[str, Mapping[str, Any]]) -> str:
    told = []
    for cell in cells.values():
        judged = len(cell["trends"]) - len(cell["by_design"])
        grew = ", ".join(cell["grew"]) or "none"
        told.append(f"{cell['turns']} hourly turns, {judged} measures of what should stay flat; grew: {grew}")
    return "; ".join(told)
