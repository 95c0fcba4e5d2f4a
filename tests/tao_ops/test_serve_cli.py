"""``tao serve`` and ``tao server``: what a person types, reads and gets back."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from tao_ops.cli import app
from tao_ops.database import connect
from tao_ops.serve import servers
from tao_ops.serve.servers import ServerState, Standing
from tao_ops.settings import PROJECT


@pytest.fixture
def tao(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs a command in an installation whose flywheel names a file of keys."""
    include = tmp_path / "include"
    include.mkdir()
    for one in (PROJECT / "include").iterdir():
        if one.name != "flywheels":
            (include / one.name).symlink_to(one)
    raw = yaml.safe_load((PROJECT / "include/flywheels/tickets.yaml").read_text(encoding="utf-8"))
    (include / "flywheels").mkdir()
    (include / "flywheels/tickets.yaml").write_text(
        yaml.safe_dump({**raw, "serve": {"keys": "${TAO_HOME}/keys.json"}}), encoding="utf-8"
    )
    told = {"TAO_HOME": tmp_path, "TAO_INCLUDE": include, "TAO_DATABASE_URL": database_url, "TAO_HASH_KEY": "secret"}
    for name, value in told.items():
        monkeypatch.setenv(name, str(value))

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(app, list(arguments), env={"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"})

    return run


def _error(result: Result, code: int) -> str:
    assert result.exit_code == code, result.output
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: ")
    return line


def test_keys_are_made_listed_and_taken_back(tao: Any, tmp_path: Path) -> None:
    made = tao("server", "keys", "add", "tickets", "shop")
    key = made.stdout.strip()
    assert made.exit_code == 0 and key.startswith("tao-") and "shown only now" in made.stderr
    assert tao("server", "keys", "add", "tickets", "root", "--admin").exit_code == 0
    listed = tao("server", "keys", "list", "tickets").stdout.splitlines()
    assert [line.split("\t")[0] for line in listed] == ["shop", "root"] and listed[1].endswith("admin")
    assert key not in "".join(listed) and key not in (tmp_path / "keys.json").read_text(encoding="utf-8")
    assert tao("server", "keys", "remove", "tickets", "shop").exit_code == 0
    assert "there is no key 'shop'" in _error(tao("server", "keys", "remove", "tickets", "shop"), 1)


def test_a_server_that_was_called_wrong_ends_at_once_with_one_line(tao: Any) -> None:
    assert "there is no flywheel 'tockets'" in _error(tao("serve", "tockets"), 2)
    assert "the file of API keys is missing" in _error(tao("serve", "tickets"), 2)


def test_status_tells_each_servers_version(tao: Any, database_url: str) -> None:
    assert "no server lives" in tao("server", "status", "tickets").stdout
    now = datetime.now(UTC)
    one = Standing("s1", "tickets", "http://h:1", "h", 1, ServerState.KEEPS, now, version=3, wanted=4, error="too big")
    with connect(database_url) as connection:
        servers.ensure_tables(connection)
        servers.beat(connection, one)
    told = json.loads(tao("server", "status", "tickets", "--json").stdout)
    assert told["champion"] == 0 and told["servers"][0]["state"] == "keeps"
    shown = tao("server", "status", "tickets").stdout
    assert "http://h:1" in shown and "too big" in shown
