"""``tao registry``: what it prints, what it moves, and one clear line for each thing that cannot be."""

import json
import secrets
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from tao_ops import champions
from tao_ops.cli import app
from tao_ops.config import load_flywheel
from tao_ops.files import write_json
from tao_ops.models import model_digest
from tao_ops.registry import Registry, Submission, open_registry


class Team:
    """A flywheel of its own name, and versions of it."""

    def __init__(self, shop: Any) -> None:
        self.name, self.settings = f"shop_{secrets.token_hex(4)}", shop.settings
        folder = self.settings.include / "flywheels"
        told = yaml.safe_load((folder / "shop.yaml").read_text(encoding="utf-8"))
        told |= {"name": self.name, "retention": {"versions": 1}}
        (folder / f"{self.name}.yaml").write_text(yaml.safe_dump(told), encoding="utf-8")
        assert self.settings.database_url is not None
        self.registry: Registry = open_registry(self.settings.database_url, self.settings)

    def registered(self, decision: str, *, pending: bool = False) -> Path:
        """One version more; its folder."""
        folder = self.settings.home / "models" / secrets.token_hex(4)
        folder.mkdir(parents=True)
        for name, text in {
            "config.json": '{"architectures": ["Tiny"]}',
            "tokenizer.json": "{}",
            "tokenizer_config.json": '{"chat_template": "x"}',
            "model.safetensors": folder.name,
        }.items():
            (folder / name).write_text(text, encoding="utf-8")
        facts = {"model_version": model_digest(folder), "architecture": "Tiny", "parameters": 6, "dtype": "BF16"}
        base = {"version": 0, "model_version": "b"}
        candidate = {**facts, "path": str(folder), "base": base, "method": "raft", "hyperparameters": {"epochs": 3}}
        write_json(folder / "manifest.json", candidate)
        report = {"benchmarks": [{"name": "exam", "primary": True, "candidate": 0.625, "delta": 0.125}]}
        verdict = {"decision": decision, "reasons": ["exam: +12.5 points"], "champion": {"version": 0}}
        lineage = str(folder / "manifest.json")
        made = Submission(self.name, "2026-11-21T00:00Z", folder.name, candidate, report, verdict, lineage)
        self.registry.register(made, pending=pending)
        return folder

    def tao(self, *words: str) -> Result:
        return CliRunner().invoke(app, [words[0], *words[1:]])

    def ask(self, verb: str, *words: str) -> Result:
        return self.tao("registry", verb, self.name, *words)


@pytest.fixture
def team(shop: Any) -> Team:
    return Team(shop)


WHY = ("--reason", "looks right", "--by", "ana")


def test_versions_are_listed_and_shown_with_all_that_is_known(team: Team) -> None:
    assert "no version of" in team.ask("list").stdout
    team.registered("reject")
    team.registered("promote", pending=True)
    [first, second] = json.loads(team.ask("list", "--json").stdout)
    assert (first["version"], first["verdict"], first["approval"], first["aliases"]) == (1, "reject", None, [])
    assert (second["version"], second["approval"], second["aliases"]) == (2, "pending", ["candidate"])
    assert (second["benchmark"], second["score"], second["delta"], second["method"]) == ("exam", 0.625, 0.125, "raft")
    table = team.ask("list").stdout
    assert "pending" in table and "62.5 %" in table and "+12.5" in table
    shown = json.loads(team.ask("show", "2", "--json").stdout)
    assert shown["documents"]["verdict"]["reasons"] == ["exam: +12.5 points"]
    assert shown["parameters"]["epochs"] == "3"
    assert [event["kind"] for event in shown["events"]] == ["registered", "pending"]
    assert "exam: +12.5 points" in team.ask("show", "2").stdout


def test_a_person_promotes_and_takes_back_and_the_next_turn_starts_from_there(team: Team) -> None:
    team.registered("promote", pending=True)
    done = team.ask("promote", "1", *WHY)
    assert done.exit_code == 0 and "is now version 1 (before: 0)" in done.stdout
    assert "already" in team.ask("promote", "1", *WHY).stdout
    team.registered("reject")
    assert team.ask("promote", "2", *WHY, "--force").exit_code == 0
    assert team.ask("rollback", *WHY).exit_code == 0
    flywheel, url = load_flywheel(team.name, team.settings), team.settings.database_url
    assert url is not None
    assert champions.champion(flywheel, url, team.settings).version == 1
    assert team.ask("rollback", "--to", "0", *WHY).exit_code == 0
    assert champions.champion(flywheel, url, team.settings).version == 0
    moves = [event for event in team.registry.events(team.name) if event.from_version != event.to_version]
    assert [(event.kind, event.who, event.to_version) for event in moves] == [
        ("promote", "ana", 1),
        ("promote", "ana", 2),
        ("rollback", "ana", 1),
        ("rollback", "ana", 0),
    ]


def test_a_person_rejects_under_the_login_name(team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "ben")
    team.registered("promote", pending=True)
    assert team.ask("reject", "1", "--reason", "too terse").exit_code == 0
    assert team.registry.events(team.name)[-1].who == "ben"
    assert "already" in team.ask("reject", "1", *WHY).stdout
    refused = team.ask("promote", "1", *WHY)
    assert refused.exit_code == 1 and "rejected by ben" in refused.stderr


def test_what_cannot_be_is_one_line(team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    team.registered("undecided")
    for words, said in {
        ("show", "7"): "no version 7",
        ("promote", "7", *WHY): "no version 7",
        ("rollback", "--to", "7", *WHY): "no version 7",
        ("promote", "1", *WHY): "verdict on version 1 is undecided",
        ("promote", "1", "--reason", " ", "--by", "ana"): "--reason",
        ("reject", "1", *WHY): "waits for no approval",
        ("rollback", *WHY): "none before it",
        ("rollback", "--to", "1", *WHY): "never was the champion",
    }.items():
        done = team.ask(*words)
        assert (done.exit_code, said in done.stderr, done.stderr.count("\n")) == (1, True, 1), (words, done.stderr)
    unknown = team.tao("registry", "list", "nowhere")
    assert unknown.exit_code == 1 and unknown.stderr.count("\n") == 1
    assert team.ask("rollback").exit_code == 2  # no reason
    monkeypatch.setenv("TAO_DATABASE_URL", "postgresql://tao@127.0.0.1:1/tao")
    down = team.ask("promote", "1", *WHY)
    assert down.exit_code == 75 and "no connection to PostgreSQL" in down.stderr and down.stderr.count("\n") == 1
    assert team.registry.champion_version(team.name) == 0


def test_a_champion_that_was_deleted_in_mlflow_is_one_line_and_can_be_taken_back(team: Team) -> None:
    team.registered("promote")
    assert team.ask("promote", "1", *WHY).exit_code == 0
    with team.registry._versions._server.client() as client:
        client.delete_model_version(team.name, "1")
    with pytest.raises(Exception, match="no version 1"):
        team.registry.champion(team.name)
    assert team.registry.champion_version(team.name) == 1
    assert team.ask("rollback", *WHY).exit_code == 0
    assert team.registry.champion_version(team.name) == 0


def test_maintenance_deletes_the_weights_of_old_versions(team: Team) -> None:
    folders = [team.registered("undecided") for _ in range(3)]
    done = team.tao("lake", "maintain", team.name, "--dry-run", "--json")
    assert done.exit_code == 0, done.stderr
    [line] = [one for one in json.loads(done.stdout) if one["table"] == "versions"]
    assert line["expired"] == 2 and all((folder / "model.safetensors").is_file() for folder in folders)
    assert team.tao("lake", "maintain", team.name).exit_code == 0
    assert [(folder / "model.safetensors").is_file() for folder in folders] == [False, False, True]
    assert [one["expired"] for one in json.loads(team.ask("list", "--json").stdout)] == [True, True, False]
    refused = team.ask("promote", "1", "--force", *WHY)
    assert refused.exit_code == 1 and "weights of version 1 are deleted" in refused.stderr
