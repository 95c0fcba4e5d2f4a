"""``tao erase``: a person's rows, or a query's, go for good; who asked for it, and why, is recorded."""

import json
import re
from typing import Annotated

import typer

from tao_ops.cli_errors import EXIT_RETRY, readable_errors
from tao_ops.errors import ConfigError
from tao_ops.terminal import aside, say, who

_HASH = re.compile(r"[0-9a-f]{32}")


def erase_command(
    name: Annotated[str, typer.Argument(help="The flywheel: a file of include/flywheels/, without .yaml.")],
    user: Annotated[str | None, typer.Option("--user", help="The user as the logs name it.")] = None,
    user_hash: Annotated[str | None, typer.Option("--user-hash", help="The user's hash as the tables hold it.")] = None,
    query: Annotated[str | None, typer.Option("--query", help="A query_id: whoever sent it.")] = None,
    reason: Annotated[str, typer.Option("--reason", help="Why; recorded. Name a case, and no person.")] = "",
    by: Annotated[str | None, typer.Option("--by", help="Who asks for it; default: the login name.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count what would go, and change nothing.")] = False,
    history: Annotated[
        bool, typer.Option("--history", help="Erase nothing, but print as JSON who erased what, when and why.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON on standard output, and the log on standard error.")
    ] = False,
) -> None:
    """Remove a person's rows, or a query's, from every table and file, and name the releases they had touched.

    The raw logs are not touched: what is erased is not taken from them again.
    """
    from tao_ops import erasure_events
    from tao_ops.config import load_flywheel
    from tao_ops.database import database
    from tao_ops.erasure import erase
    from tao_ops.erasure_plan import Subject
    from tao_ops.lake import open_lake
    from tao_ops.privacy import keyed_hash
    from tao_ops.settings import Settings

    tell = aside if as_json else say
    with readable_errors(EXIT_RETRY):
        settings = Settings.from_env()
        flywheel = load_flywheel(name, settings).name
        if [user, user_hash, query].count(None) != (3 if history else 2):
            asked = "give none of" if history else "give exactly one of"
            raise ConfigError(f"{asked} --user, --user-hash and --query", where="tao erase")
        _see_hash("a hash of a user", user_hash, "--user-hash")
        _see_hash("the id of a query", query, "--query")
        if history:
            with database(settings) as url:
                print(json.dumps([one.as_dict() for one in erasure_events.events(url, flywheel)], indent=2))
            return
        if user is not None:
            user_hash = keyed_hash(settings.require_hash_key(), "user", user)
        subject, lake = Subject(user_hash, query), open_lake(settings.lake)
        with database(settings) as url:
            event = None if dry_run else erasure_events.begin(url, flywheel, subject, who=who(by), why=reason)
            done = erase(flywheel, subject, lake=lake, settings=settings, url=url, dry_run=dry_run, say=tell)
            if event is not None:
                erasure_events.end(url, event, sum(done.rows.values()) + done.training_rows)
    if as_json:
        print(json.dumps(done.as_dict(), indent=2))


def _see_hash(what: str, given: str | None, option: str) -> None:
    """A name in a hash's place would find nothing, and be recorded; the message does not repeat it either."""
    if given is not None and _HASH.fullmatch(given) is None:
        raise ConfigError(f"{what} is 32 digits, 0 to 9 and a to f", where=option, mend="give a name by --user")
