"""``tao local``: Airflow and PostgreSQL on this machine."""

from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, help="Airflow and PostgreSQL on this machine, and a whole turn on them.")

Name = Annotated[str, typer.Argument(help="The flywheel: a file of include/flywheels/, without .yaml.")]


@app.command("up")
def up_command() -> None:
    """Start PostgreSQL and Airflow, and leave them running; says where the UI is and how to log in.

    TAO_HOME names the folder that everything is written to, TAO_PORT the UI's port (8080).
    """
    from tao_ops.errors import TaoError
    from tao_ops.local.flywheel import login
    from tao_ops.local.services import up
    from tao_ops.local.signals import ended_by_signals
    from tao_ops.settings import Settings

    try:
        with ended_by_signals():
            services, started = up(Settings.from_env(), lambda line: print(line, flush=True))
    except TaoError as error:
        raise _fail(error) from None
    print(login(services) if started else f"already up: {login(services)}")


@app.command("down")
def down_command() -> None:
    """Stop what `tao local up` started, and everything that it started in turn."""
    from tao_ops.errors import TaoError
    from tao_ops.local.services import down
    from tao_ops.settings import Settings

    home = Settings.from_env().home
    try:
        print("stopped" if down(home) else f"nothing runs from {home}")
    except TaoError as error:
        raise _fail(error) from None


@app.command("flywheel")
def flywheel_command(name: Name = "tickets") -> None:
    """Run the newest complete turn through Airflow, show its progress, and print what came of it.

    Starts what does not run and stops what it started. Exit: 0 promoted, 3 not promoted, 1 an error.
    """
    from rich.console import Console

    from tao_ops.errors import TaoError
    from tao_ops.local.flywheel import run_flywheel

    try:
        code = run_flywheel(name, Console())
    except TaoError as error:
        raise _fail(error) from None
    raise typer.Exit(code)


def _fail(error: Exception) -> typer.Exit:
    typer.echo(f"error: {error}", err=True)
    return typer.Exit(1)
