"""``tao serve``: serve the champion; ``tao server``: what servers do, and the API keys."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from tao_ops import canary_cli
from tao_ops.cli_errors import EXIT_RETRY, readable_errors
from tao_ops.config import Flywheel, load_flywheel
from tao_ops.database import connect, database
from tao_ops.errors import ConfigError
from tao_ops.settings import Settings
from tao_ops.stage_cli import Name
from tao_ops.terminal import say

if TYPE_CHECKING:
    from tao_ops.serve.servers import Deployment

EXIT_CALLED_WRONG = 2
"""Starting it again, unchanged, cannot help: a supervisor should leave it."""
_WIDTH = 160

app = typer.Typer(no_args_is_help=True, help="Servers of a flywheel, and their API keys.")
keys_app = typer.Typer(no_args_is_help=True, help="API keys, in the file that serve.keys names.")
app.add_typer(keys_app, name="keys")
canary_cli.add(app)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
KeyName = Annotated[str, typer.Argument(metavar="KEY", help="The key's name: whose it is.")]


def serve_command(
    name: Name,
    host: Annotated[str, typer.Option("--host", help="Address to listen on; any but loopback needs API keys.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Port; 0 takes a free one.")] = 8000,
) -> None:
    """Serve the champion to OpenAI clients, until SIGTERM. Exit: 0 ended, 2 called wrong, 1 an error."""
    from tao_ops.serve import server
    from tao_ops.serve.plan import plan

    with readable_errors(EXIT_RETRY):
        with _called_wrong():
            planned = plan(name, host=host, port=port, settings=Settings.from_env(), environment=os.environ, say=say)
        server.serve(planned)


@app.command("status")
def status_command(name: Name, as_json: AsJson = False) -> None:
    """The servers that live, and what each serves."""
    with readable_errors():
        found = _deployment(name)
    servers = sorted([*found.on, *found.behind], key=lambda one: one.server)
    if as_json:
        print(json.dumps({"champion": found.champion, "servers": [one.as_dict() for one in servers]}, indent=2))
        return
    print(found.describe())
    table = Table("server", "url", "state", "version", "candidate", "wanted", "seen", "error", box=None, pad_edge=False)
    for one in servers:
        versions = ("–" if version is None else str(version) for version in (one.version, one.candidate, one.wanted))
        seen = "–" if one.seen_at is None else f"{one.seen_at:%H:%M:%S}"
        table.add_row(one.server, one.url, one.state.value, *versions, seen, one.error or "")
    if servers:
        (Console() if sys.stdout.isatty() else Console(width=_WIDTH)).print(table)


@keys_app.command("add")
def keys_add_command(
    name: Name,
    key: KeyName,
    admin: Annotated[bool, typer.Option("--admin", help="It opens /tao/status and /tao/reconcile too.")] = False,
) -> None:
    """Make a key and print it, once: the file has its hash alone. Servers that run take it within two seconds."""
    from tao_ops.serve.keys import add_key

    with readable_errors():
        path = _file(name)
        made = add_key(path, key, admin=admin)
    print(made)
    print(f"kept as a hash in {path}; this key is shown only now", file=sys.stderr)


@keys_app.command("list")
def keys_list_command(name: Name) -> None:
    """The names of the keys, and when each was made."""
    from tao_ops.serve.keys import read_keys

    with readable_errors():
        keys = read_keys(_file(name))
    for one in keys:
        print(f"{one.name}\t{one.created_at}\t{'admin' if one.admin else ''}".rstrip())


@keys_app.command("remove")
def keys_remove_command(name: Name, key: KeyName) -> None:
    """Take a key back. Servers that run refuse it within two seconds."""
    from tao_ops.serve.keys import remove_key

    with readable_errors():
        remove_key(_file(name), key)


@contextmanager
def _called_wrong() -> Iterator[None]:
    try:
        yield
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        raise typer.Exit(EXIT_CALLED_WRONG) from None


def _deployment(name: str) -> "Deployment":
    from tao_ops.serve.servers import deployed

    settings = Settings.from_env()
    flywheel = load_flywheel(name, settings)
    with database(settings) as url, connect(url) as connection:
        return deployed(connection, flywheel.name)


def _file(name: str) -> Path:
    from tao_ops.serve.plan import keys_file

    flywheel: Flywheel = load_flywheel(name, Settings.from_env())
    path = keys_file(flywheel)
    if path is None:
        raise ConfigError(
            "the flywheel names no file of API keys", where=f"{name}: serve.keys", mend="set it: ${TAO_HOME}/keys.json"
        )
    return path
