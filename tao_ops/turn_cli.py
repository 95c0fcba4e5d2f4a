"""``tao turn``: a whole turn without Airflow, and what turns did."""

import json
import signal
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.table import Column, Table
from typer.core import TyperGroup

from tao_ops.cli_errors import readable_errors
from tao_ops.config import load_flywheel
from tao_ops.database import database
from tao_ops.lake import Lake
from tao_ops.settings import Settings
from tao_ops.stage_cli import Changes, Name, RunId, When, opened_run, turn_of

EXIT_NOT_PROMOTED = 3

Picture = Annotated[
    Path | None, typer.Option("--picture", help="Draw what each strategy cost and found into this file, as PNG.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


class _TurnGroup(TyperGroup):
    """``tao turn tickets`` runs a turn: a first word that is no command is the name of a flywheel."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and args[0] not in self.commands and not args[0].startswith("-"):
            args = ["run", *args]
        return super().resolve_command(ctx, args)


app = typer.Typer(cls=_TurnGroup, no_args_is_help=True, help="Run a turn (tao turn NAME), list turns, show one.")


@app.command("run")
def run_command(name: Name, turn: When = None, run_id: RunId = None, changes: Changes = None) -> None:
    """Run all stages of a turn in order, without Airflow. Exit: 0 promoted, 3 not promoted, 1 an error."""
    from tao_ops import turns
    from tao_ops.launch.turn import run_turn

    with readable_errors(), opened_run(name, turn, run_id, new=True, changes=changes) as run:
        signal.signal(signal.SIGTERM, _interrupt)
        run_turn(run, overrides=changes or ())
        shown = turns.show(run.lake, run.turn)
        _print_turn(shown)
        decision = (shown["verdict"] or {}).get("decision")
    raise typer.Exit(0 if decision == "promote" else EXIT_NOT_PROMOTED)


def _interrupt(number: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt(signal.Signals(number).name)


@app.command("list")
def list_command(name: Name, as_json: AsJson = False) -> None:
    """The turns there were, oldest first."""
    from tao_ops import turns

    with readable_errors():
        settings = Settings.from_env()
        load_flywheel(name, settings)
        found = turns.list_turns(Lake(settings.lake), name)
    if as_json:
        print(json.dumps(found, indent=2))
        return
    whole = [Column(name, no_wrap=True) for name in ("turn", "stages", "finished", "decision", "version")]
    table = Table(*whole, Column("run", overflow="fold"), box=None, pad_edge=False)
    for row in found:
        version = "" if row["version"] is None else str(row["version"])
        table.add_row(
            row["turn"], f"{row['stages']}/8", row["finished_at"], row["decision"] or "", version, row["run_id"]
        )
    Console().print(table if found else f"no turn of {name} yet")


@app.command("show")
def show_command(name: Name, turn: When = None, as_json: AsJson = False, picture: Picture = None) -> None:
    """What one turn did: stages, exploration, rewards, benchmarks, verdict, release."""
    from tao_ops import turns
    from tao_ops.exploration import picture as drawing

    with readable_errors():
        settings = Settings.from_env()
        which = turn_of(load_flywheel(name, settings), turn)
        shown = turns.show(Lake(settings.lake), which)
        if picture is not None:
            drawing.draw(turns.exploration(Lake(settings.lake), which), picture)
    if as_json:
        print(json.dumps(shown, indent=2))
    elif not shown["stages"]:
        print(f"nothing has run of turn {which.key} of {name}")
    else:
        _print_turn(shown)


@app.command("release")
def release_command(name: Name, run_id: Annotated[str, typer.Option("--run-id")], turn: When = None) -> None:
    """Give a failed run's hold on its turn back, so that another run may begin at once."""
    from tao_ops import lease

    with readable_errors():
        settings = Settings.from_env()
        which = turn_of(load_flywheel(name, settings), turn)
        with database(settings) as url:
            lease.release(url, which, run_id)


def _print_turn(shown: dict[str, Any]) -> None:
    from tao_ops.local.summary import print_turn

    print_turn(shown)
