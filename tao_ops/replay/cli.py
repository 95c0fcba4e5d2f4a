"""``tao replay``: run a version's turn again, and say whether it comes out the same."""

import json
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tao_ops.cli_errors import readable_errors

if TYPE_CHECKING:
    from tao_ops.stages import Stage

EXIT_DIFFERS = 3

Name = Annotated[str, typer.Argument(help="The flywheel: a file of include/flywheels/, without .yaml.")]
Version = Annotated[int, typer.Argument(help="A version of the registry.")]
From = Annotated[str | None, typer.Option("--from", help="The first stage; default: the first whose input is left.")]
Until = Annotated[
    str, typer.Option("--until", help="The last stage: validate, generate, score, update, evaluate or gate.")
]
Keep = Annotated[
    Path | None, typer.Option("--keep", help="An empty folder to work in, which stays; default: a temporary one.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on standard output, and the log on standard error.")]


def replay_command(
    name: Name,
    version: Version,
    start: From = None,
    until: Until = "gate",
    keep: Keep = None,
    as_json: AsJson = False,
) -> None:
    """Run a version's turn again in a home of its own, and hold each stage against what is stored.

    Exit: 0 it agrees, 3 it differs, 1 an error.
    """
    from tao_ops.database import database
    from tao_ops.lake import Lake
    from tao_ops.lineage.versions import Manifests
    from tao_ops.replay.again import replay
    from tao_ops.replay.stored import STAGES
    from tao_ops.settings import Settings

    def say(line: str) -> None:
        print(line, file=sys.stderr if as_json else sys.stdout, flush=True)

    with readable_errors(), ExitStack() as stack:
        first = None if start is None else _stage(start, "--from", STAGES[:-1])
        last = _stage(until, "--until", STAGES)
        folder = keep or Path(stack.enter_context(_temporary()))
        settings = Settings.from_env()
        url = stack.enter_context(database(settings))
        found = replay(
            Manifests(name, url, settings),
            version,
            lake=Lake(settings.lake),
            settings=settings,
            folder=folder.absolute(),
            start=first,
            until=last,
            say=say,
        )
    if keep is None:
        found.folder = None
    if as_json:
        print(json.dumps(found.as_dict(), indent=2))
    else:
        for one in found.stages:
            say(one.sentence())
        say(found.verdict())
    raise typer.Exit(0 if found.agrees else EXIT_DIFFERS)


def _temporary() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="tao-replay-", ignore_cleanup_errors=True)


def _stage(name: str, option: str, stages: "Sequence[Stage]") -> "Stage":
    from tao_ops.errors import ConfigError

    for stage in stages:
        if stage.value == name:
            return stage
    known = ", ".join(stage.value for stage in stages)
    begun = " from" if option == "--from" else ""
    raise ConfigError(f"{name!r} is no stage that is replayed{begun}", where=option, mend=f"name one of {known}")
