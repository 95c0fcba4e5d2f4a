"""``--set KEY.PATH=VALUE`` changes one reading of the YAML, is checked as it is, and its errors name the key."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from tao_ops.config import Approval, Flywheel, Method, load_flywheel
from tao_ops.config.overrides import apply, parse
from tao_ops.errors import ConfigError
from tao_ops.settings import Settings

YAML: dict[str, Any] = {
    "name": "orders",
    "sources": [{"path": "${TAO_HOME}/logs/*.jsonl"}],
    "tasks": {
        "orders.v2": {
            "prompt": "p.txt",
            "expectations": "e.json",
            "strategies": [
                {"name": "plain", "samples": 4},
                {"name": "demonstrations", "samples": 4, "file": "d.jsonl"},
            ],
            "scorers": [{"name": "json_schema", "keys": ["city"]}],
            "benchmarks": [{"name": "orders", "path": "b", "primary": True}],
        }
    },
    "update": {"epochs": 5},
}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "flywheels").mkdir()
    (tmp_path / "b").mkdir()
    for name in ("p.txt", "e.json", "d.jsonl", "b/items.jsonl"):
        (tmp_path / name).write_text(name, encoding="utf-8")
    (tmp_path / "flywheels" / "orders.yaml").write_text(yaml.safe_dump(YAML), encoding="utf-8")
    return Settings(tmp_path, tmp_path, str(tmp_path), None, tmp_path, None)


def read(settings: Settings, *changes: str) -> Flywheel:
    return load_flywheel("orders", settings, changes)


def error(settings: Settings, *changes: str) -> str:
    with pytest.raises(ConfigError) as caught:
        read(settings, *changes)
    line = str(caught.value)
    assert "\n" not in line and " — " in line, "one line, that says how to mend it"
    return line


def test_values_are_read_as_the_yaml_would_and_reach_what_it_does_not_say(settings: Settings) -> None:
    asked = ("generate.budget.tokens=5000", "update.method=dpo", "update.learning_rate=1e-5", "dry_run=true")
    changed = read(settings, *asked, "gate.approval=manual", "evaluate.control=null", "ingest.lateness=12h")
    assert changed.generate.budget is not None and changed.generate.budget.tokens == 5000
    assert (changed.update.method, changed.update.learning_rate, changed.update.epochs) == (Method.DPO, 1e-5, 5)
    assert (changed.dry_run, changed.gate.approval, changed.evaluate.control) == (True, Approval.MANUAL, None)
    assert changed.ingest.lateness.total_seconds() == 12 * 3600
    # Of this one reading: the file stays as it is.
    assert read(settings).update.method is Method.RAFT and not read(settings).dry_run


def test_the_digest_tells_a_changed_run_from_the_yaml(settings: Settings) -> None:
    plain = read(settings).digest
    digests = {read(settings, one).digest for one in ("update.method=dpo", "generate.budget.tokens=5", "dry_run=true")}
    assert plain not in digests and len(digests) == 3
    assert read(settings, "update.epochs=5").digest == plain, "what the YAML says already changes nothing"


def test_how_the_dag_is_operated_makes_no_other_turn(settings: Settings) -> None:
    before = read(settings).digest
    path = settings.include / "flywheels" / "orders.yaml"
    path.write_text(yaml.safe_dump(YAML | {"operation": {"owner": "ana", "deadline": "6h"}}), encoding="utf-8")
    assert read(settings).operation.owner == "ana" and read(settings).digest == before


def test_where_its_stages_run_makes_no_other_turn(settings: Settings) -> None:
    before = read(settings).digest
    path = settings.include / "flywheels" / "orders.yaml"
    path.write_text(yaml.safe_dump(YAML | {"launch": {"model": {"queue": "gpu"}}}), encoding="utf-8")
    assert read(settings).launch.model.queue == "gpu" and read(settings).digest == before


def test_elements_of_lists_and_names_with_dots_are_reached(settings: Settings) -> None:
    changed = read(settings, "tasks.orders.v2.strategies.1.samples=9", "tasks.orders.v2.max_tokens=32")
    task = changed.tasks["orders.v2"]
    assert ([one.samples for one in task.strategies], task.max_tokens) == ([4, 9], 32)


def test_the_later_of_two_wins(settings: Settings) -> None:
    assert read(settings, "seed=2", "seed=3").seed == 3


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("update.method=magic", "--set update.method"),
        ("update.method=grpo", "--set update.method"),  # it has no epochs, and the YAML sets them
        ("generate.budget.tokens=many", "--set generate.budget.tokens"),
        ("generate.budget.tokens=0", "--set generate.budget.tokens"),
        ("generate.budget.token=5", "unknown key [--set generate.budget.token]"),
        ("speed=3", "unknown key [--set speed]"),
        ("generate={shards: 0}", "--set generate: generate.shards"),
        ("dry_run=perhaps", "--set dry_run"),
        ("tasks.orders.v2.prompt=gone.txt", "a file is missing [--set tasks.orders.v2.prompt]"),
        ("tasks.orders.v2.strategies.7.samples=1", "'tasks.orders.v2.strategies' has no element '7'"),
        ("seed.of.all=1", "--set seed.of.all"),
        ("evaluate.control=none", "evaluate.control"),
    ],
)
def test_a_wrong_change_is_named_as_it_was_given(settings: Settings, change: str, said: str) -> None:
    line = error(settings, "validate.holdout=0.2", change)
    assert said in line and "orders.yaml" not in line


@pytest.mark.parametrize(
    "text",
    [
        "update.method",
        "=dpo",
        "update..method=dpo",
        "",
        "seed=[1",
        "description=2026-02-30",
        "update={method: dpo, method: raft}",
    ],
)
def test_what_is_no_change_is_refused(settings: Settings, text: str) -> None:
    assert "[--set" in error(settings, text)


@pytest.mark.parametrize("key", ["name", "schedule", "timezone", "operation.owner", "launch.model.queue"])
def test_what_belongs_to_no_single_run_is_changed_in_the_yaml(settings: Settings, key: str) -> None:
    line = error(settings, f"{key}=x")
    assert f"[--set {key}]" in line and "change it in the YAML" in line


def test_an_error_of_the_yaml_itself_is_told_as_such(settings: Settings) -> None:
    path = settings.include / "flywheels" / "orders.yaml"
    path.write_text(yaml.safe_dump(YAML | {"speed": 3}), encoding="utf-8")
    assert "orders.yaml: speed]" in error(settings, "update.method=dpo")


def test_what_was_read_stays_as_it_is() -> None:
    shared = {"samples": 1}
    raw = {"a": shared, "b": shared}
    assert apply(raw, parse(["a.samples=2"])) == {"a": {"samples": 2}, "b": {"samples": 1}}
    assert raw == {"a": {"samples": 1}, "b": {"samples": 1}}
