"""``tao``: the command line, put together. Each stage is a command; the others stand in groups.

A group is a ``typer.Typer`` in a module of its own, ``tao_ops/…_cli.py``, and is added here; a single command likewise.
"""

import typer
from rich.console import Console
from rich.table import Table

from tao_ops import telemetry
from tao_ops.cli_errors import EXIT_ERROR, readable_errors
from tao_ops.config_cli import app as config_app
from tao_ops.erase_cli import erase_command
from tao_ops.lake_cli import app as lake_app
from tao_ops.lineage_cli import lineage_command
from tao_ops.local.cli import app as local_app
from tao_ops.registry_cli import app as registry_app
from tao_ops.replay.cli import replay_command
from tao_ops.reward_cli import app as reward_app
from tao_ops.serve_cli import app as server_app
from tao_ops.serve_cli import serve_command
from tao_ops.settings import Settings
from tao_ops.stage_cli import add_stages
from tao_ops.terminal import say
from tao_ops.turn_cli import app as turn_app

app = typer.Typer(
    name="tao",
    help="The TAO flywheel: tune a language model from nothing but the queries its users send.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
model_app = typer.Typer(no_args_is_help=True, help="The models that flywheels start from.")
app.add_typer(turn_app, name="turn")
app.add_typer(config_app, name="config")
app.add_typer(model_app, name="model")
app.add_typer(local_app, name="local")
app.add_typer(lake_app, name="lake")
app.add_typer(reward_app, name="reward")
app.add_typer(registry_app, name="registry")
app.add_typer(server_app, name="server")
app.command("serve")(serve_command)
app.command("erase")(erase_command)
app.command("lineage")(lineage_command)
app.command("replay")(replay_command)
add_stages(app)


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
