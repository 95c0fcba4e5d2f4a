"""``tao reward``: responses to label, and reward models from a flywheel's own outcomes."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from tao_ops.cli_errors import readable_errors
from tao_ops.errors import ConfigError

app = typer.Typer(no_args_is_help=True, help="Rewards: responses to label, reward models of your own.")

Name = Annotated[str, typer.Argument(help="The flywheel: a file of include/flywheels/, without .yaml.")]


@app.callback()
def _group() -> None: ...


@app.command("anchors")
def anchors_command(
    name: Name,
    task: Annotated[str | None, typer.Option("--task", help="The task; default: the flywheel's only one.")] = None,
    turn: Annotated[
        str | None, typer.Option("--turn", help="The turn whose responses are labelled; default: the last complete.")
    ] = None,
    queries: Annotated[int, typer.Option("--queries", min=1, help="How many queries are drawn.")] = 30,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Another seed draws other queries.")] = 1,
) -> None:
    """Print responses of a turn as lines of a file of anchors: put true or false in the place of each null."""
    from tao_ops.config import load_flywheel
    from tao_ops.lake import open_lake
    from tao_ops.scoring.to_label import to_label
    from tao_ops.settings import Settings
    from tao_ops.turn import named_turn

    with readable_errors():
        settings = Settings.from_env()
        flywheel = load_flywheel(name, settings)
        if task is None and len(flywheel.tasks) > 1:
            raise ConfigError("which task?", where=name, mend=f"--task: {', '.join(flywheel.tasks)}")
        which = named_turn(flywheel.name, turn, schedule=flywheel.schedule, timezone=flywheel.timezone)
        chosen = task or next(iter(flywheel.tasks))
        lake = open_lake(settings.lake)
        for line in to_label(lake, flywheel, which, task=chosen, queries=queries, seed=seed):
            print(json.dumps(line, ensure_ascii=False))


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
    from tao_ops.scoring.reward_fit import fit
    from tao_ops.settings import Settings
    from tao_ops.turn import named_turn

    def say(line: str) -> None:
        print(line, file=sys.stderr if as_json else sys.stdout, flush=True)

    with readable_errors():
        settings = Settings.from_env()
        flywheel = load_flywheel(name, settings)
        newest = named_turn(flywheel.name, turn, schedule=flywheel.schedule, timezone=flywheel.timezone)
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
