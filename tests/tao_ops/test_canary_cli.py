"""``tao server canary`` and ``tao server wait``: what they print, what they move, and how they end."""

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import typer
import yaml
from typer.testing import CliRunner, Result

from tao_ops import canary_cli
from tao_ops.config.serve import CanaryConfig
from tao_ops.database import connect
from tao_ops.files import write_json
from tao_ops.models import model_digest
from tao_ops.registry import Registry, Submission, open_registry
from tao_ops.serve import servers
from tao_ops.serve.canary import record as canaries
from tao_ops.serve.canary.counts import Counts
from tao_ops.serve.exchange import Arm
from tao_ops.serve.servers import ServerState, Standing

CONFIG = CanaryConfig(time=timedelta(0), requests=10)
GOOD = Counts(requests=20, answers=20, tokens=600, squares=20_000, seconds=Counter({40: 20}))


class Team:
    """A flywheel with a version whose canary runs."""

    def __init__(self, shop: Any) -> None:
        self.url: str = shop.settings.database_url
        self.registry: Registry = open_registry(self.url, shop.settings)
        folder = shop.settings.home / "models" / "one"
        folder.mkdir(parents=True)
        for name, text in {
            "config.json": '{"architectures": ["Tiny"]}',
            "tokenizer.json": "{}",
            "tokenizer_config.json": '{"chat_template": "x"}',
            "model.safetensors": "weights",
        }.items():
            (folder / name).write_text(text, encoding="utf-8")
        facts = {"model_version": model_digest(folder), "architecture": "Tiny", "parameters": 6, "dtype": "BF16"}
        candidate = {**facts, "path": str(folder), "base": {"version": 0, "model_version": "b"}}
        write_json(folder / "manifest.json", candidate)
        verdict = {"decision": "promote", "reasons": ["better"], "champion": {"version": 0}}
        lineage = str(folder / "manifest.json")
        submission = Submission("shop", "2026-11-21T00:00Z", "canaried", candidate, {}, verdict, lineage)
        # All tests of a session share MLflow's database, and others have versions of this flywheel too.
        self.version = self.registry.register(submission)

    def begin(self) -> None:
        self.registry.start_canary(
            "shop", self.version, expected_champion=0, config=CONFIG, who="gate, run r", why="better"
        )

    def count(self, **arms: Counts) -> None:
        running = self.registry.canary("shop")
        assert running is not None
        with connect(self.url) as connection:
            canaries.put_counts(connection, running.id, "a", {Arm(arm): each for arm, each in arms.items()})

    def server(self, name: str, version: int | None, error: str | None = None) -> None:
        state = ServerState.SERVING if error is None else ServerState.KEEPS
        told = Standing(name, "shop", "http://h", "h", 7, state, datetime.now(UTC), version, error=error)
        with connect(self.url) as connection:
            servers.ensure_tables(connection)
            servers.beat(connection, told)

    def ask(self, *words: str) -> Result:
        app = typer.Typer()
        canary_cli.add(app)
        return CliRunner().invoke(app, list(words))


@pytest.fixture
def team(shop: Any) -> Team:
    path = shop.settings.include / "flywheels" / "shop.yaml"
    told = yaml.safe_load(path.read_text(encoding="utf-8"))
    path.write_text(yaml.safe_dump({**told, "serve": {"canary": {}, "deployed": "2s"}}), encoding="utf-8")
    return Team(shop)


def test_a_look_says_what_is_missing_and_makes_what_has_grown_the_champion(team: Team) -> None:
    assert team.ask("canary", "shop").stdout == "no canary of shop ever began\n"
    version = str(team.version)
    assert json.loads(team.ask("canary", "shop", "--version", version, "--json").stdout)["state"] == "none"
    team.begin()
    found = json.loads(team.ask("canary", "shop", "--version", version, "--json").stdout)
    assert (found["flywheel"], found["state"], found["outcome"], found["version"]) == (
        "shop",
        "running",
        "goes_on",
        team.version,
    )
    assert found["why"] == "not enough yet: candidate: 0 of 10 requests; champion: 0 of 10 requests"
    assert found["standing"] == "no server lives; the champion is version 0"
    team.count(champion=GOOD, candidate=GOOD)
    told = team.ask("canary", "shop", "--dry-run").stdout
    assert f"the canary of version {version} of shop against version 0: running; grow: no limit is broken" in told
    assert "30.0 tokens a response, champion 30.0" in told and "1 server counted" in told
    assert team.registry.champion_version("shop") == 0
    assert json.loads(team.ask("canary", "shop", "--json").stdout)["state"] == "grown"
    assert team.registry.champion_version("shop") == team.version
    assert team.ask("canary", "shop").exit_code == 0


def test_a_canary_is_listed_with_the_versions(team: Team) -> None:
    from tao_ops.cli import app

    team.begin()
    listed = json.loads(CliRunner().invoke(app, ["registry", "list", "shop", "--json"]).stdout)
    (one,) = (each for each in listed if each["version"] == team.version)
    assert (one["approval"], one["canary"]) == (None, "running")
    assert "canary running" in CliRunner().invoke(app, ["registry", "list", "shop"]).stdout
    shown = CliRunner().invoke(app, ["registry", "show", "shop", str(team.version)]).stdout
    assert "canary_started" in shown and "10 % of the users, for 0:00:00 and 10 requests" in shown


def test_waiting_ends_with_the_last_server_or_says_which_are_behind(team: Team) -> None:
    alone = team.ask("wait", "shop", "--once")
    assert (alone.exit_code, alone.stdout) == (0, "no server lives; the champion is version 0\n")
    team.server("s1", 0)
    assert json.loads(team.ask("wait", "shop", "--once", "--json").stdout)["done"]
    team.server("s2", 3, error="version 0 cannot be served: no such folder")
    late = team.ask("wait", "shop", "--once", "--json")
    found = json.loads(late.stdout)
    assert late.exit_code == 75 and not found["done"]
    assert [one["server"] for one in found["behind"]] == ["s2"]
    assert "1 of 2 servers serve version 0; s2 keeps version 3 (version 0 cannot be served" in found["told"]
    limited = team.ask("wait", "shop", "--limit", "0")
    assert limited.exit_code == 75 and "s2 keeps version 3" in limited.stdout


def test_an_unknown_flywheel_is_one_line(team: Team) -> None:
    wrong = team.ask("canary", "nosuch")
    assert wrong.exit_code == 1 and wrong.stderr.startswith("error: there is no flywheel 'nosuch'")
