"""``tao server canary`` and ``tao server wait``: how far the servers are with what the registry decided."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tao_ops.cli_errors import EXIT_RETRY, readable_errors

if TYPE_CHECKING:
    from tao_ops.registry import Registry
    from tao_ops.registry.canaries import Seen
    from tao_ops.serve.servers import Deployment

Name = Annotated[str, typer.Argument(help="The flywheel: a file of include/flywheels/, without .yaml.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, in one line.")]
_POLL_S = 2.0


def add(server: typer.Typer) -> None:
    """Add both commands to the group ``tao server``."""
    server.command("canary")(canary_command)
    server.command("wait")(wait_command)


def canary_command(
    name: Name,
    version: Annotated[int | None, typer.Option("--version", min=1, help="Its candidate; default: the newest.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only look.")] = False,
    as_json: AsJson = False,
) -> None:
    """Look at a canary, and do what its figures say: take it back, end it, or make it the champion."""
    from tao_ops.registry.looks import look, told

    with readable_errors(EXIT_RETRY), _opened(name) as (url, registry):
        seen = registry.see_canary(name, version) if dry_run else look(name, version, registry=registry)
        found = {"flywheel": name, "state": "none"} if seen is None else {"flywheel": name, **told(seen)}
        found["standing"] = _deployment(url, name).describe()
    print(json.dumps(found) if as_json else _lines(name, version, seen, str(found["standing"])), flush=True)


def wait_command(
    name: Name,
    limit: Annotated[
        int | None, typer.Option("--limit", min=0, help="Seconds; default: serve.deployed of the flywheel.")
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="Look once; status 75 where a server is behind.")] = False,
    as_json: AsJson = False,
) -> None:
    """Wait until every live server answers with the champion; nothing is moved."""
    from tao_ops.config import load_flywheel

    with readable_errors(EXIT_RETRY), _opened(name) as (url, _):
        longest = load_flywheel(name).serve.deployed.total_seconds() if limit is None else limit
        until = time.monotonic() + (0.0 if once else longest)
        while not (found := _deployment(url, name)).done and time.monotonic() < until:
            time.sleep(_POLL_S)
    print(json.dumps(_standing(found)) if as_json else found.describe(), flush=True)
    raise typer.Exit(0 if found.done else EXIT_RETRY)


@contextmanager
def _opened(name: str) -> Iterator[tuple[str, "Registry"]]:
    from tao_ops.config import load_flywheel
    from tao_ops.database import database
    from tao_ops.registry import open_registry
    from tao_ops.settings import Settings

    settings = Settings.from_env()
    load_flywheel(name, settings)
    with database(settings) as url:
        yield url, open_registry(url, settings)


def _deployment(url: str, name: str) -> "Deployment":
    from tao_ops.database import connect
    from tao_ops.serve.servers import deployed

    with connect(url) as connection:
        return deployed(connection, name)


def _standing(found: "Deployment") -> dict[str, Any]:
    return {
        "champion": found.champion,
        "done": found.done,
        "told": found.describe(),
        "on": [one.as_dict() for one in found.on],
        "behind": [one.as_dict() for one in found.behind],
    }


def _lines(name: str, version: int | None, seen: "Seen | None", standing: str) -> str:
    from tao_ops.serve.canary.decide import figures

    if seen is None:
        return f"no canary of {name if version is None else f'version {version} of {name}'} ever began"
    canary = seen.canary
    why = canary.why if seen.look is None else f"{seen.look.outcome.value.replace('_', ' ')}: {seen.look.why}"
    state = canary.state.value.replace("_", " ")
    return "\n".join(
        (
            f"the canary of version {canary.version} of {name} against version {canary.champion}: {state}; {why}",
            f"  {figures(seen.champion, seen.candidate)}",
            f"  {seen.servers} server{'' if seen.servers == 1 else 's'} counted; {standing}",
        )
    )
