"""A wrong entry of ``update`` ends in one line that names it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tao_ops.config import Method, UpdateConfig, load_flywheel
from tao_ops.errors import ConfigError
from tao_ops.settings import Settings

Write = Callable[[dict[str, Any]], Settings]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a flywheel with this ``update``."""
    (tmp_path / "flywheels").mkdir()
    (tmp_path / "b").mkdir()
    for name in ("p.txt", "e.json", "b/items.jsonl"):
        (tmp_path / name).write_text(name, encoding="utf-8")
    task = {
        "prompt": "p.txt",
        "expectations": "e.json",
        "strategies": [{"name": "plain", "samples": 1}],
        "scorers": [{"name": "json_schema", "keys": ["city"]}],
        "benchmarks": [{"name": "orders", "path": "b", "primary": True}],
    }
    rest = {"name": "orders", "sources": [{"path": "x"}], "tasks": {"orders": task}, "evaluate": {"control": None}}

    def change(update: dict[str, Any]) -> Settings:
        text = yaml.safe_dump({**rest, "update": update})
        (tmp_path / "flywheels" / "orders.yaml").write_text(text, encoding="utf-8")
        return Settings(tmp_path, tmp_path, str(tmp_path), None, tmp_path, None)

    return change


@pytest.mark.parametrize(
    ("told", "key", "said"),
    [
        ({"method": "magic"}, "update.method", "'raft', 'dpo', 'kto', 'grpo_offline' or 'grpo'"),
        ({"method": "grpo", "then": "grpo"}, "update", "'then' goes with an offline method"),
        ({"then": "raft"}, "update.then", "'grpo'"),
        ({"start": "zero"}, "update.start", "'champion' or 'base'"),
        ({"balance": "fair"}, "update.balance", "'need', 'equal' or 'none'"),
        ({"method": "kto", "margin": 0.6}, "update", "no bad responses where 'min_reward' is below 'margin'"),
        ({"method": "kto", "batch_size": 1}, "update", "'batch_size' is at least 2"),
        ({"method": "grpo", "learning_rate": 1e-4}, "update", "set 'sampler.learning_rate', not 'learning_rate'"),
        ({"method": "grpo", "epochs": 5}, "update", "set 'sampler.steps', not 'epochs'"),
        ({"group": 1}, "update.group", "greater than or equal to 2"),
        ({"sampler": {"engine": "server"}}, "update.sampler", "'engine: server' needs 'server', its address"),
        ({"sampler": {"server": "http://a:8000"}}, "update.sampler", "'engine: server' needs 'server'"),
        ({"watch": {"limits": {"length": 0.5}}}, "update.watch.limits.length", "greater than 1"),
        ({"lora": 8}, "update.lora", "unknown key"),
    ],
)
def test_a_wrong_entry_is_named(write: Write, told: dict[str, Any], key: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_flywheel("orders", write(told))
    line = str(caught.value)
    assert "\n" not in line and f"orders.yaml: {key}]" in line and said in line, line


def test_the_configuration_of_accelerate_must_be_there_and_shapes_the_digest(write: Write, tmp_path: Path) -> None:
    settings = write({"accelerate": "accelerate/two.yaml"})
    with pytest.raises(ConfigError, match=r"a file is missing .*orders\.yaml: update\.accelerate.* make .*two\.yaml"):
        load_flywheel("orders", settings)
    (tmp_path / "accelerate").mkdir()
    (tmp_path / "accelerate" / "two.yaml").write_text("num_processes: 2", encoding="utf-8")
    before = load_flywheel("orders", settings).digest
    (tmp_path / "accelerate" / "two.yaml").write_text("num_processes: 4", encoding="utf-8")
    assert load_flywheel("orders", settings).digest != before


def test_every_method_has_defaults_that_are_right_for_it(write: Write) -> None:
    for method in Method:
        assert load_flywheel("orders", write({"method": method.value})).update == UpdateConfig(method=method)
