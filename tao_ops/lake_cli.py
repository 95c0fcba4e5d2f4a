"""``tao lake``: upkeep of the tables, and migration."""

import json
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Column, Table

from tao_ops.cli_errors import EXIT_RETRY, readable_errors
from tao_ops.errors import ConfigError
from tao_ops.terminal import aside, say

app = typer.Typer(no_args_is_help=True, help="The tables: retention, compaction, migration.")

DryRun = Annotated[bool, typer.Option("--dry-run", help="Count what would go, and change nothing.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on standard output, and the log on standard error.")]


@app.command("maintain")
def maintain_command(
    name: Annotated[str | None, typer.Argument(help="One flywheel; default: all.")] = None,
    keep_files: Annotated[
        str, typer.Option("--keep-files", help="How long files of older versions stay: 7d, 36h; a day at least.")
    ] = "7d",
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Expire rows and versions past their retention, make one file of many small ones, delete dead files."""
    from pydantic import TypeAdapter, ValidationError

    from tao_ops.config import Duration, flywheel_names, load_flywheel
    from tao_ops.database import database
    from tao_ops.lake import open_lake
    from tao_ops.maintenance import expire_versions, maintain
    from tao_ops.registry import open_registry
    from tao_ops.settings import Settings

    with readable_errors(EXIT_RETRY):
        settings = Settings.from_env()
        try:
            keep = TypeAdapter(Duration).validate_python(keep_files)
        except ValidationError:
            raise ConfigError(
                f"{keep_files!r} is not a duration", where="--keep-files", mend="write 7d or 36h"
            ) from None
        flywheels = [load_flywheel(one, settings) for one in ([name] if name else flywheel_names(settings))]
        tell = aside if as_json else say
        done = maintain(
            flywheels, open_lake(settings.lake), now=datetime.now(UTC), say=tell, keep_files=keep, dry_run=dry_run
        )
        if any(one.retention.versions is not None for one in flywheels):
            with database(settings) as url:
                done += expire_versions(flywheels, open_registry(url, settings), say=tell, dry_run=dry_run)
    if as_json:
        print(json.dumps([one.as_dict() for one in done], indent=2))
        return
    numbers = ("expired", "files before", "after", "bytes before", "after", "dead files deleted")
    table = Table("table", *(Column(name, justify="right") for name in numbers), box=None, pad_edge=False)
    for one in done:
        name_of, *rest = one.as_dict().values()
        table.add_row(name_of, *(f"{number:,}" for number in rest))
    Console().print(table if done else "the lake is empty")


@app.command("migrate")
def migrate_command() -> None:
    """Bring the tables of an earlier release up to date; run it once, while no turn is at work."""
    from tao_ops.lake import open_lake
    from tao_ops.migrate import migrate
    from tao_ops.settings import Settings

    with readable_errors(EXIT_RETRY):
        settings = Settings.from_env()
        if not migrate(open_lake(settings.lake), settings.require_hash_key, say):
            say("every table is up to date")
