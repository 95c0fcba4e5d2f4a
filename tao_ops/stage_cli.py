"""``tao STAGE``: each stage of a turn as a command; and the options by which commands name a turn and a run."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from tao_ops.cli_errors import EXIT_RETRY, readable_errors
from tao_ops.config import Flywheel, load_flywheel
from tao_ops.config.overrides import OPTION
from tao_ops.database import database
from tao_ops.lake import open_lake
from tao_ops.settings import Settings
from tao_ops.stages import Run, Stage
from tao_ops.terminal import say
from tao_ops.turn import Turn, named_turn, new_run_id

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
Changes = Annotated[
    list[str] | None,
    typer.Option(
        OPTION,
        metavar="KEY.PATH=VALUE",
        help="Change the YAML for this run only, update.method=dpo for example; any number of times.",
    ),
]
_SUMMARIES = {
    Stage.INGEST: "Query logs of the interval become `queries`, redacted.",
    Stage.VALIDATE: "`queries` become `prompts`: clean, each once, split, none of them a benchmark item.",
    Stage.GENERATE: "Sample many responses per prompt from the champion, by every strategy.",
    Stage.SCORE: "Give every response a reward in [0, 1], without labels.",
    Stage.UPDATE: "Train a candidate on the best responses, under the production prompt.",
    Stage.EVALUATE: "Champion, control and candidate on the same benchmark items.",
    Stage.GATE: "Promote, reject or undecided, with reasons.",
    Stage.REGISTER: "A version in the registry; the champion moves only on promote.",
}


def add_stages(app: typer.Typer) -> None:
    """Make a command of each stage, in their order."""
    for stage, summary in _SUMMARIES.items():
        _add_stage(app, stage, summary)


def turn_of(flywheel: Flywheel, when: str | None) -> Turn:
    """The turn that ``--turn`` names."""
    return named_turn(flywheel.name, when, schedule=flywheel.schedule, timezone=flywheel.timezone)


@contextmanager
def opened_run(
    name: str,
    when: str | None,
    run_id: str | None,
    *,
    shard: int = 0,
    new: bool = False,
    keep_turn: bool = False,
    changes: Sequence[str] | None = None,
) -> Iterator[Run]:
    """An attempt at a turn, with a database: of ``run_id``, else with ``new`` a new one, else the turn's newest.

    Args:
        name: of the flywheel.
        when: as given to ``--turn``.
        keep_turn: keep the turn for this run afterwards.
        changes: as given to ``--set``.
    """
    from tao_ops import turns

    settings = Settings.from_env()
    flywheel = load_flywheel(name, settings, changes or ())
    turn = turn_of(flywheel, when)
    lake = open_lake(settings.lake)
    run_id = run_id or (None if new else turns.newest_run_id(lake, turn)) or new_run_id()
    with database(settings) as url:
        yield Run(flywheel, turn, run_id, lake, settings, url, shard, keep_turn, say)


def _stage(stage: Stage, name: str, when: str | None, run_id: str | None, report: Path | None, **how: Any) -> None:
    from tao_ops import runner
    from tao_ops.files import write_json

    with readable_errors(EXIT_RETRY), opened_run(name, when, run_id, new=stage is Stage.INGEST, **how) as run:
        done = runner.execute(stage, run)
        if report is not None:
            write_json(report, done.as_dict())


def _add_stage(app: typer.Typer, stage: Stage, summary: str) -> None:
    def plain(
        name: Name,
        turn: When = None,
        run_id: RunId = None,
        report: ReportFile = None,
        keep_turn: KeepTurn = False,
        changes: Changes = None,
    ) -> None:
        _stage(stage, name, turn, run_id, report, keep_turn=keep_turn, changes=changes)

    def sharded(
        name: Name,
        turn: When = None,
        run_id: RunId = None,
        shard: Shard = 0,
        report: ReportFile = None,
        keep_turn: KeepTurn = False,
        changes: Changes = None,
    ) -> None:
        _stage(stage, name, turn, run_id, report, shard=shard, keep_turn=keep_turn, changes=changes)

    command = sharded if stage in (Stage.GENERATE, Stage.SCORE) else plain
    app.command(stage.value, help=summary, rich_help_panel="Stages, in their order")(command)
