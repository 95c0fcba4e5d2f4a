"""One turn of a flywheel on one machine, from nothing: prepare, start, follow, tell, stop."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from tao_ops import registry
from tao_ops.config import Flywheel, load_flywheel
from tao_ops.database import database
from tao_ops.errors import TaoError
from tao_ops.launch.process import Process
from tao_ops.launch.stage import stage_environment, tao_command
from tao_ops.local.environment import airflow_home
from tao_ops.local.follow import Followed, begin, follow
from tao_ops.local.services import down, up
from tao_ops.local.signals import ended_by_signals
from tao_ops.local.state import Services, recorded
from tao_ops.local.summary import closing_remark, decision_of, print_turn
from tao_ops.local.view import View
from tao_ops.settings import Settings
from tao_ops.turn import Turn, last_complete_turn

EXAMPLE = "tickets"
PREPARE_SECONDS = 1800.0
SHOW_SECONDS = 120.0
PROMOTED, NOT_PROMOTED, FAILED = 0, 3, 1


class CommandFailed(TaoError):
    """A ``tao`` command that a turn needs has failed."""


def run_flywheel(name: str, console: Console) -> int:
    """Run the newest complete turn of flywheel ``name`` through Airflow and print what came of it.

    Services that ``tao local up`` started are used and stay; others are started and stopped again.

    Returns:
        0 where the candidate was promoted, 3 where it was not, 1 where a task failed.
    """
    settings = Settings.from_env()
    flywheel = load_flywheel(name, settings)
    with ended_by_signals():
        prepare(flywheel, settings, console)
        theirs = recorded(settings.home)
        theirs = None if theirs is None or theirs.dead() else theirs
        try:
            services, _ = up(settings, lambda line: _say(console, line))
            return _turn(flywheel, settings, services, console)
        finally:
            if theirs is None:
                down(settings.home)
                _say(console, "stopped Airflow and PostgreSQL")


def prepare(flywheel: Flywheel, settings: Settings, console: Console) -> None:
    """The example's query logs and the embedded model, each made once."""
    if flywheel.name == EXAMPLE:
        from tao_ops.example.logs import write_logs

        write_logs(
            settings.home / "logs" / EXAMPLE,
            seed=flywheel.seed,
            today=datetime.now(UTC).date(),
            system_prompt=flywheel.prompt(EXAMPLE),
        )
    if flywheel.model == "embedded":
        _tao(settings, ["model", "prepare"], console, PREPARE_SECONDS)


def _turn(flywheel: Flywheel, settings: Settings, services: Services, console: Console) -> int:
    turn = last_complete_turn(flywheel.name, schedule=flywheel.schedule, timezone=flywheel.timezone)
    with database(settings) as url:
        tuned = registry.champion(url, flywheel.name) is not None
    with services.client() as client:
        run_id = begin(client, flywheel, turn, lambda line: _say(console, line))
        _say(console, f"turn {turn.key} of {flywheel.name}, run {run_id}: {_page(services, flywheel, run_id)}")
        with View(console) as view:
            followed = follow(client, flywheel, run_id, view, check=services.require_alive)
    if followed.state != "success":
        return _tell_failure(followed, settings, console)
    shown = show(flywheel, turn, settings)
    places = {
        "task logs": str(airflow_home(settings.home) / "logs"),
        "lake": settings.lake,
        "UI": f"{_page(services, flywheel, run_id)} (make up starts it; user admin, see {settings.home}/secrets.json)",
    }
    print_turn(shown, console, wall_seconds=followed.seconds, places=places)
    if remark := closing_remark(shown, champion_was_tuned=tuned):
        _say(console, remark)
    return PROMOTED if decision_of(shown) == "promote" else NOT_PROMOTED


def show(flywheel: Flywheel, turn: Turn, settings: Settings) -> dict[str, Any]:
    """``tao turn show --json``, asked of a process of its own: this one has threads and need not load the lake."""
    lines = _tao(settings, ["turn", "show", flywheel.name, "--turn", turn.key, "--json"], None, SHOW_SECONDS)
    shown: dict[str, Any] = json.loads("\n".join(lines))
    return shown


def _tell_failure(followed: Followed, settings: Settings, console: Console) -> int:
    if followed.failed is None:
        _say(console, f"error: the run ended as {followed.state} without a failed task [{followed.run_id}]")
        return FAILED
    task, tail = followed.failed
    _say(console, f"{task} failed; the end of its log:")
    for line in tail:
        _say(console, f"  {line}")
    why = next((line for line in reversed(tail) if line.startswith("error: ")), "error: see above")
    _say(
        console,
        f"error: {task} failed: {why.removeprefix('error: ')} (logs: {airflow_home(settings.home) / 'logs'})",
    )
    return FAILED


def _tao(settings: Settings, arguments: list[str], console: Console | None, limit_s: float) -> list[str]:
    lines: list[str] = []

    def hear(line: str) -> None:
        lines.append(line)
        if console:
            _say(console, line)

    env = {**stage_environment(), "TAO_HOME": str(settings.home)}
    outcome = Process(tao_command(*arguments), env=env).follow(hear, limit_s=limit_s)
    if outcome.code or outcome.timed_out:
        said = outcome.last("error: ") or f"it ended with {outcome.signal_name or outcome.code}"
        raise CommandFailed(said.removeprefix("error: "), where=f"tao {' '.join(arguments)}")
    return lines


def _page(services: Services, flywheel: Flywheel, run_id: str) -> str:
    from urllib.parse import quote

    return f"{services.url}/dags/flywheel_{flywheel.name}/runs/{quote(run_id, safe='')}"


def _say(console: Console, line: str) -> None:
    console.print(line, markup=False, highlight=False, soft_wrap=True)


def login(services: Services) -> str:
    """How a person gets into the UI."""
    from tao_ops.local.credentials import ADMIN, FILE, credentials

    home: Path = services.home
    return f"{services.url}  user {ADMIN}, password {credentials(home).admin_password} (kept in {home / FILE})"
