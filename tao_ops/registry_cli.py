"""``tao registry``: versions and the champion, by hand."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Column, Table

from tao_ops.cli_errors import EXIT_RETRY, readable_errors
from tao_ops.evaluate_cli import evaluate_command
from tao_ops.figures import percent, points
from tao_ops.terminal import say, who

if TYPE_CHECKING:
    from tao_ops.config import Flywheel
    from tao_ops.lake import Lake
    from tao_ops.registry import Registry

app = typer.Typer(
    no_args_is_help=True, help="Versions and the champion: list, show, evaluate, promote, reject, roll back."
)
app.command("evaluate")(evaluate_command)

Name = Annotated[str, typer.Argument(help="The flywheel: a file of include/flywheels/, without .yaml.")]
Version = Annotated[int, typer.Argument(min=0, help="The version's number; 0 is the base model.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; kept in the registry's history.")]
By = Annotated[str | None, typer.Option("--by", help="Who decides; default: the login name.")]
_WIDTH = 160
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


@dataclass(frozen=True)
class _Opened:
    flywheel: "Flywheel"
    registry: "Registry"
    lake: "Lake"


@app.command("list")
def list_command(name: Name, as_json: AsJson = False) -> None:
    """The versions there are, oldest first."""
    from tao_ops.registry.view import listed

    with readable_errors(), _opened(name) as opened:
        found = listed(opened.registry, opened.flywheel.name)
    if as_json:
        print(json.dumps(found, indent=2))
        return
    right = ("version", "score", "difference")
    titles = ("version", "turn", "verdict", "approval", "aliases", "score", "difference", "method", "registered")
    columns = [Column(title, justify="right" if title in right else "left", overflow="fold") for title in titles]
    table = Table(*columns, box=None, pad_edge=False)
    for one in found:
        table.add_row(*_row(one))
    _console().print(table if found else f"no version of {name} yet: its champion is the base model")


@app.command("show")
def show_command(name: Name, version: Version, as_json: AsJson = False) -> None:
    """All that is known of a version, and the events that touch it."""
    from tao_ops.registry.view import shown

    with readable_errors(), _opened(name) as opened:
        found = shown(opened.registry, opened.flywheel.name, version)
    if as_json:
        print(json.dumps(found, indent=2))
        return
    _print_version(name, found)


@app.command("promote")
def promote_command(
    name: Name,
    version: Version,
    reason: Reason,
    by: By = None,
    force: Annotated[
        bool, typer.Option("--force", help="At once, whatever the gate's verdict, as a decision of your own.")
    ] = False,
) -> None:
    """The answer yes to a version that waits: it becomes the champion, where serve.canary is set after a canary."""
    from tao_ops.registry.answers import Person, promote

    with readable_errors(EXIT_RETRY), _opened(name) as opened:
        person = Person(who(by), reason)
        rest: dict[str, Any] = {"registry": opened.registry, "lake": opened.lake, "say": say, "force": force}
        promote(opened.flywheel, version, person, now=datetime.now(UTC), **rest)


@app.command("reject")
def reject_command(name: Name, version: Version, reason: Reason, by: By = None) -> None:
    """Answer a version that is pending with no, or end its canary; the champion stays."""
    from tao_ops.registry.answers import Person, reject

    with readable_errors(EXIT_RETRY), _opened(name) as opened:
        reject(opened.flywheel, version, Person(who(by), reason), registry=opened.registry, say=say)


@app.command("rollback")
def rollback_command(
    name: Name,
    reason: Reason,
    to: Annotated[
        int | None,
        typer.Option("--to", min=0, help="A former champion, 0 for the base model; default: the one before."),
    ] = None,
    by: By = None,
) -> None:
    """Make an earlier champion the champion again, in one step; the next turn starts from it."""
    from tao_ops.registry.answers import Person, rollback

    with readable_errors(), _opened(name) as opened:
        rollback(opened.flywheel, to, Person(who(by), reason), registry=opened.registry, say=say)


@contextmanager
def _opened(name: str) -> Iterator[_Opened]:
    from tao_ops.config import load_flywheel
    from tao_ops.database import database
    from tao_ops.lake import Lake
    from tao_ops.registry import open_registry
    from tao_ops.settings import Settings

    settings = Settings.from_env()
    flywheel = load_flywheel(name, settings)
    with database(settings) as url:
        yield _Opened(flywheel, open_registry(url, settings), Lake(settings.lake))


def _console() -> Console:
    """A terminal's width, or in a pipe or a file one that holds a whole row."""
    return Console() if sys.stdout.isatty() else Console(width=_WIDTH)


def _row(one: dict[str, Any]) -> list[str]:
    verdict = f"{one['verdict'] or '–'}{' (expired)' if one['expired'] else ''}"
    when = datetime.fromisoformat(one["at"]).strftime("%Y-%m-%d %H:%M")
    aliases = ", ".join(one["aliases"])
    stands = ", ".join(filter(None, [one["approval"], one["canary"] and f"canary {one['canary']}".replace("_", " ")]))
    first = (str(one["version"]), one["turn"] or "–", verdict, stands, aliases)
    return [*first, percent(one["score"]), points(one["delta"]), one["method"] or "–", when]


def _print_version(name: str, found: dict[str, Any]) -> None:
    facts = Table(f"version {found['version']} of {name}", "", box=None, pad_edge=False)
    rest = {"documents", "events", "parameters", "metrics", "version"}
    told = {key: value for key, value in found.items() if key not in rest and value not in (None, [])}
    for key, value in {**told, **found["parameters"]}.items():
        facts.add_row(key, ", ".join(value) if isinstance(value, list) else str(value))
    verdict = found["documents"]["verdict"] or {"reasons": ["the verdict's reasons are lost"]}
    for reason in verdict["reasons"]:
        facts.add_row("reason", reason)
    history = Table("when", "event", "from", "to", "who", "why", box=None, pad_edge=False)
    for event in found["events"]:
        moved = (str(event["from"]), str(event["to"]))
        history.add_row(event["at"], event["kind"], *moved, event["who"], event["why"])
    _console().print(facts, "", history)
