"""``tao``: the command line. Each stage is a command; so is a whole turn."""

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.table import Column, Table
from typer.core import TyperGroup

from tao_ops import telemetry
from tao_ops.cli_errors import EXIT_ERROR, EXIT_RETRY, readable_errors
from tao_ops.config import Flywheel, flywheel_names, load_flywheel
from tao_ops.database import database
from tao_ops.errors import ConfigError
from tao_ops.lake import Lake, open_lake
from tao_ops.lake_cli import app as lake_app
from tao_ops.lake_cli import erase_command
from tao_ops.lineage_cli import lineage_command
from tao_ops.local.cli import app as local_app
from tao_ops.registry_cli import app as registry_app
from tao_ops.replay.cli import replay_command
from tao_ops.reward_cli import app as reward_app
from tao_ops.settings import Settings
from tao_ops.stages import Run, Stage
from tao_ops.turn import Turn, named_turn, new_run_id

EXIT_NOT_PROMOTED = 3

Name = Annotated[str, typer.Argument(help="The flywheel: a file of include/flywheels/, without .yaml.")]
When = Annotated[
    str | None, typer.Option("--turn", help="The turn's start: 2026-11-21, or an instant; default: the last complete.")
]
RunId = Annotated[str | None, typer.Option("--run-id", help="Name of this attempt; default: the turn's newest.")]
Shard = Annotated[int, typer.Option("--shard", min=0, help="Part of the turn's prompts.")]
ReportFile = Annotated[Path | None, typer.Option("--report", help="Write what the stage did to this file, as JSON.")]
KeepTurn = Annotated[
    bool, typer.Option("--keep-turn", help="Keep the turn for this run afterwards: more of its stages follow.")
]
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


app = typer.Typer(
    name="tao",
    help="The TAO flywheel: tune a language model from nothing but the queries its users send.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
turn_app = typer.Typer(cls=_TurnGroup, no_args_is_help=True, help="Run a turn (tao turn NAME), list turns, show one.")
config_app = typer.Typer(no_args_is_help=True, help="Flywheels' YAML files.")
model_app = typer.Typer(no_args_is_help=True, help="The models that flywheels start from.")
app.add_typer(turn_app, name="turn")
app.add_typer(config_app, name="config")
app.add_typer(model_app, name="model")
app.add_typer(local_app, name="local")
app.add_typer(lake_app, name="lake")
app.add_typer(reward_app, name="reward")
app.add_typer(registry_app, name="registry")
app.command("erase")(erase_command)
app.command("lineage")(lineage_command)
app.command("replay")(replay_command)


def say(line: str) -> None:
    """One line of the log, at once."""
    print(line, flush=True)


def _turn(flywheel: Flywheel, when: str | None) -> Turn:
    return named_turn(flywheel.name, when, schedule=flywheel.schedule, timezone=flywheel.timezone)


@contextmanager
def _run(
    name: str, when: str | None, run_id: str | None, *, shard: int = 0, new: bool = False, keep_turn: bool = False
) -> Iterator[Run]:
    from tao_ops import turns

    settings = Settings.from_env()
    flywheel = load_flywheel(name, settings)
    turn = _turn(flywheel, when)
    lake = open_lake(settings.lake)
    run_id = run_id or (None if new else turns.newest_run_id(lake, turn)) or new_run_id()
    with database(settings) as url:
        yield Run(flywheel, turn, run_id, lake, settings, url, shard, keep_turn, say)


def _stage(stage: Stage, name: str, when: str | None, run_id: str | None, report: Path | None, **how: Any) -> None:
    from tao_ops import runner
    from tao_ops.files import write_json

    with readable_errors(EXIT_RETRY), _run(name, when, run_id, new=stage is Stage.INGEST, **how) as run:
        done = runner.execute(stage, run)
        if report is not None:
            write_json(report, done.as_dict())


def _add_stage(stage: Stage, summary: str) -> None:
    def plain(
        name: Name, turn: When = None, run_id: RunId = None, report: ReportFile = None, keep_turn: KeepTurn = False
    ) -> None:
        _stage(stage, name, turn, run_id, report, keep_turn=keep_turn)

    def sharded(
        name: Name,
        turn: When = None,
        run_id: RunId = None,
        shard: Shard = 0,
        report: ReportFile = None,
        keep_turn: KeepTurn = False,
    ) -> None:
        _stage(stage, name, turn, run_id, report, shard=shard, keep_turn=keep_turn)

    command = sharded if stage in (Stage.GENERATE, Stage.SCORE) else plain
    app.command(stage.value, help=summary, rich_help_panel="Stages, in their order")(command)


for _each, _summary in {
    Stage.INGEST: "Query logs of the interval become `queries`, redacted.",
    Stage.VALIDATE: "`queries` become `prompts`: clean, each once, split, none of them a benchmark item.",
    Stage.GENERATE: "Sample many responses per prompt from the champion, by every strategy.",
    Stage.SCORE: "Give every response a reward in [0, 1], without labels.",
    Stage.UPDATE: "Train a candidate on the best responses, under the production prompt.",
    Stage.EVALUATE: "Champion, control and candidate on the same benchmark items.",
    Stage.GATE: "Promote, reject or undecided, with reasons.",
    Stage.REGISTER: "A version in the registry; the champion moves only on promote.",
}.items():
    _add_stage(_each, _summary)


@turn_app.command("run")
def turn_run(name: Name, turn: When = None, run_id: RunId = None) -> None:
    """Run all stages of a turn in order, without Airflow. Exit: 0 promoted, 3 not promoted, 1 an error."""
    from tao_ops import turns
    from tao_ops.launch.turn import run_turn

    with readable_errors(), _run(name, turn, run_id, new=True) as run:
        signal.signal(signal.SIGTERM, _interrupt)
        run_turn(run)
        shown = turns.show(run.lake, run.turn)
        _print_turn(shown)
        decision = (shown["verdict"] or {}).get("decision")
    raise typer.Exit(0 if decision == "promote" else EXIT_NOT_PROMOTED)


def _interrupt(number: int, _frame: object) -> NoReturn:
    raise KeyboardInterrupt(signal.Signals(number).name)


@turn_app.command("list")
def turn_list(name: Name, as_json: AsJson = False) -> None:
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


@turn_app.command("show")
def turn_show(name: Name, turn: When = None, as_json: AsJson = False, picture: Picture = None) -> None:
    """What one turn did: stages, exploration, rewards, benchmarks, verdict, release."""
    from tao_ops import turns
    from tao_ops.exploration import picture as drawing

    with readable_errors():
        settings = Settings.from_env()
        which = _turn(load_flywheel(name, settings), turn)
        shown = turns.show(Lake(settings.lake), which)
        if picture is not None:
            drawing.draw(turns.exploration(Lake(settings.lake), which), picture)
    if as_json:
        print(json.dumps(shown, indent=2))
    elif not shown["stages"]:
        print(f"nothing has run of turn {which.key} of {name}")
    else:
        _print_turn(shown)


@turn_app.command("release")
def turn_release(name: Name, run_id: Annotated[str, typer.Option("--run-id")], turn: When = None) -> None:
    """Give a failed run's hold on its turn back, so that another run may begin at once."""
    from tao_ops import lease

    with readable_errors():
        settings = Settings.from_env()
        which = _turn(load_flywheel(name, settings), turn)
        with database(settings) as url:
            lease.release(url, which, run_id)


def _print_turn(shown: dict[str, Any]) -> None:
    from tao_ops.local.summary import print_turn

    print_turn(shown)


@config_app.command("check")
def config_check(name: Annotated[str | None, typer.Argument(help="One flywheel; default: all.")] = None) -> None:
    """Read a flywheel's YAML and every file that it names; say what is wrong, or that nothing is."""
    from tao_ops import expectations
    from tao_ops.config import BenchmarkFormat
    from tao_ops.exploration.checks import check_exploration
    from tao_ops.maintenance import check_retention
    from tao_ops.models import check_model_folder
    from tao_ops.scoring import marks
    from tao_ops.scoring.checks import check_scoring

    with readable_errors():
        for one in [name] if name else flywheel_names():
            flywheel = load_flywheel(one)
            check_retention(flywheel, datetime.now(UTC))
            if flywheel.model != "embedded":
                check_model_folder(Path(flywheel.model).expanduser())
            check_exploration(flywheel)
            check_scoring(flywheel)
            for task in flywheel.tasks.values():
                expectations.load_suite(flywheel.file(task.expectations))
                for benchmark in task.benchmarks:
                    if benchmark.format is not BenchmarkFormat.HOLDOUT:
                        marks.check(benchmark, marks.asked(benchmark, flywheel.file), flywheel.file)
            say(f"{one}: all right (digest {flywheel.digest[:12]})")


@config_app.command("prompt-hash")
def config_prompt_hash(file: Annotated[Path, typer.Argument(help="A file with a system prompt.")]) -> None:
    """The hash of a system prompt, for the rules of a source (sources.tasks.system_prompt)."""
    from tao_ops.routing import prompt_hash

    with readable_errors():
        try:
            print(prompt_hash(file.read_text(encoding="utf-8")))
        except OSError as error:
            raise ConfigError(
                f"the prompt cannot be read: {error.strerror}", where=file, mend="mend the path"
            ) from None
        except UnicodeDecodeError as error:
            raise ConfigError(f"the prompt cannot be read: {error}", where=file, mend="save it as UTF-8") from None


@model_app.command("prepare")
def model_prepare() -> None:
    """Convert the embedded model once, into the cache; prints its folder."""
    from tao_ops.backends import embedded_model

    with readable_errors():
        say(str(embedded_model.prepare(Settings.from_env().cache, say)))


@app.command()
def doctor() -> None:
    """What this machine has and what it lacks for a turn."""
    from tao_ops.doctor import examine

    with readable_errors():
        findings = examine(Settings.from_env())
    table = Table("", "what", "found", "mend", box=None, pad_edge=False)
    for finding in findings:
        table.add_row(
            "[green]ok" if finding.ok else "[red]lacks", finding.what, finding.found, "" if finding.ok else finding.mend
        )
    Console().print(table)
    raise typer.Exit(0 if all(finding.ok for finding in findings) else EXIT_ERROR)


def main() -> None:
    """Entry point: libraries are told to send nothing before any of them is imported."""
    telemetry.quiet()
    app()


if __name__ == "__main__":
    main()
