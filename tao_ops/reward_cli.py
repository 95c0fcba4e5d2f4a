"""``tao reward``: reward models from a flywheel's own outcomes."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from tao_ops.cli_errors import readable_errors

app = typer.Typer(no_args_is_help=True, help="Reward models: train one on what the flywheel has found.")

Name = Annotated[str, typer.Argument(help="The flywheel: a file of include/flywheels/, without .yaml.")]


@app.callback()
def _group() -> None: ...


@app.command("fit")
def fit_command(
    name: Name,
    task: Annotated[str, typer.Option("--task", help="The task whose responses are compared.")],
    out: Annotated[Path, typer.Option("--out", help="The folder to write; it must not exist.")],
    turn: Annotated[
        str | None, typer.Option("--turn", help="The newest turn to learn from; default: the last complete.")
    ] = None,
    window: Annotated[int, typer.Option("--window", min=1, help="Turns to learn from, the newest among them.")] = 7,
    margin: Annotated[
        float, typer.Option("--margin", min=0.01, max=1.0, help="Least difference of rewards, where no verifier tells.")
    ] = 0.5,
    epochs: Annotated[int, typer.Option("--epochs", min=1)] = 2,
    learning_rate: Annotated[float, typer.Option("--learning-rate", min=1e-8, max=1.0)] = 5e-4,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON on standard output, and the log on standard error.")
    ] = False,
) -> None:
    """Train a reward model on which responses were better, by users, verifiers and rewards; name it in `scorers`."""
    from tao_ops.backends.reward_trainer import RewardTraining
    from tao_ops.config import load_flywheel
    from tao_ops.lake import open_lake
    from tao_ops.reward_fit import fit
    from tao_ops.settings import Settings
    from tao_ops.turn import last_complete_turn, parse_instant, turn_at

    def say(line: str) -> None:
        print(line, file=sys.stderr if as_json else sys.stdout, flush=True)

    with readable_errors():
        settings = Settings.from_env()
        flywheel = load_flywheel(name, settings)
        schedule, zone = flywheel.schedule, flywheel.timezone
        newest = (
            last_complete_turn(flywheel.name, schedule=schedule, timezone=zone)
            if turn is None
            else turn_at(flywheel.name, parse_instant(turn, zone), schedule=schedule, timezone=zone)
        )
        done = fit(
            flywheel,
            newest,
            task=task,
            lake=open_lake(settings.lake),
            settings=settings,
            out=out.absolute(),
            window=window,
            margin=margin,
            how=RewardTraining(epochs=epochs, learning_rate=learning_rate),
            say=say,
        )
    if as_json:
        print(json.dumps(done.as_dict(), indent=2))
        return
    low, high = done.interval
    say(
        f"{done.folder}: of {done.held_out} queries that it never saw it prefers the better response in "
        f"{done.accuracy:.0%} (95 % interval {low:.0%} to {high:.0%}); it is the longer in {done.longer:.0%}"
    )
