"""What the tests of strategies share: one query, and a flywheel with the strategies that a test wants."""

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from tao_ops.config import load_flywheel
from tao_ops.records import Message, Prompt
from tao_ops.settings import PROJECT, Settings
from tao_ops.strategies import Strategy, build

Make = Callable[..., Strategy]
Built = Callable[..., dict[str, Strategy]]


@pytest.fixture
def query() -> Prompt:
    """A query of two turns."""
    earlier: tuple[Message, ...] = ({"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"})
    return Prompt("q", "orders", (*earlier, {"role": "user", "content": "Anna here"}))


@pytest.fixture
def include(tmp_path: Path) -> Path:
    """A folder with a task's files and the project's own templates."""
    (tmp_path / "flywheels").mkdir()
    shutil.copytree(PROJECT / "include" / "prompts" / "strategies", tmp_path / "prompts" / "strategies")
    (tmp_path / "prompt.txt").write_text("Read it.\n", encoding="utf-8")
    for name in ("expectations.json", "items.jsonl"):
        (tmp_path / name).touch()
    return tmp_path


@pytest.fixture
def built(include: Path) -> Built:
    """Builds the strategies of a task: ``built({"name": "plain"}, seed=2)``; keys of the task follow."""

    def build_all(
        *strategies: Mapping[str, Any],
        seed: int = 1,
        bootstrapped: Mapping[str, Sequence[Sequence[Message]]] | None = None,
        **task: Any,
    ) -> dict[str, Strategy]:
        task |= {
            "prompt": "prompt.txt",
            "expectations": "expectations.json",
            "strategies": [{"samples": 1, **strategy} for strategy in strategies],
            "scorers": [{"name": "consensus"}],
            "benchmarks": [{"name": "exam", "path": ".", "primary": True}],
        }
        raw = {"name": "orders", "sources": [{"path": "x"}], "tasks": {"orders": task}, "evaluate": {"control": None}}
        (include / "flywheels" / "orders.yaml").write_text(yaml.safe_dump(raw), encoding="utf-8")
        flywheel = load_flywheel("orders", Settings(include, include, "", None, include, None))
        return build(flywheel, "orders", seed=seed, bootstrapped=bootstrapped or {})

    return build_all


@pytest.fixture
def make(built: Built) -> Make:
    """Builds one strategy: ``make("plan", answer_after="So:")``; ``task`` holds keys of the task."""

    def one(name: str, *, task: Mapping[str, Any] | None = None, seed: int = 1, **strategy: Any) -> Strategy:
        bootstrapped = {name: strategy.pop("bootstrapped", ())}
        # Beside it one that needs no examples: a task has one at least.
        beside = {"name": "beside", "kind": "plain"}
        return built({"name": name, **strategy}, beside, seed=seed, bootstrapped=bootstrapped, **(task or {}))[name]

    return one


@pytest.fixture
def example() -> Callable[..., list[Message]]:
    """A worked example from a user to an assistant."""

    def made(text: str, answer: str = "{}") -> list[Message]:
        return [{"role": "user", "content": text}, {"role": "assistant", "content": answer}]

    return made


@pytest.fixture
def examples_file(include: Path) -> Callable[..., str]:
    """Writes worked examples, or lines as they are; the file's name in the YAML."""

    def written(*examples: Sequence[Message] | str) -> str:
        lines = [one if isinstance(one, str) else json.dumps({"messages": one}, ensure_ascii=False) for one in examples]
        (include / "examples.jsonl").write_text("\n".join([*lines, "", ""]), encoding="utf-8")
        return "examples.jsonl"

    return written
