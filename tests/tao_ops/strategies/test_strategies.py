"""Every kind is built by its name, with the project's own templates."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tao_ops.config import StrategyKind
from tao_ops.records import Message, Prompt
from tao_ops.strategies import STRATEGIES, Strategy

Built = Callable[..., dict[str, Strategy]]
Example = Callable[..., list[Message]]
Write = Callable[..., str]


@pytest.fixture
def every(built: Built, include: Path, examples_file: Write, example: Example) -> dict[str, Strategy]:
    """One strategy of each kind."""
    (include / "mine.txt").write_text("{{ prompt }} Go.", encoding="utf-8")
    (include / "s.json").write_text("{}", encoding="utf-8")
    keys: dict[str, dict[str, Any]] = {kind.value: {"name": kind.value} for kind in StrategyKind}
    keys["demonstrations"]["file"] = examples_file(example("hi"))
    keys["template"]["templates"] = {"ask": "mine.txt"}
    return built(*keys.values(), json_schema="s.json")


def test_there_is_one_of_every_kind(every: dict[str, Strategy]) -> None:
    assert set(STRATEGIES) == set(StrategyKind)
    assert list(every) == [kind.value for kind in StrategyKind] == [strategy.name for strategy in every.values()]
    assert len({strategy.version for strategy in every.values()}) == len(every)


def test_every_call_of_every_kind_ends_with_a_user_and_is_plain_text(every: dict[str, Strategy], query: Prompt) -> None:
    for strategy in every.values():
        said: list[str] = []
        for call in range(strategy.calls):
            asked = strategy.conversation(query, 1, said)
            assert asked[-1]["role"] == "user" and all(set(m) == {"role", "content"} for m in asked), strategy.name
            assert asked == strategy.conversation(query, 1, tuple(said)), "the same asks the same"
            assert "{{" not in json.dumps(asked), strategy.name
            said.append(f"words of call {call}")


def test_examples_of_earlier_turns_alone_need_an_earlier_turn(built: Built, example: Example) -> None:
    strategies = ({"name": "plain"}, {"name": "shown", "kind": "demonstrations", "bootstrap": {}})
    assert list(built(*strategies)) == ["plain"]
    assert list(built(*strategies, bootstrapped={"shown": [example("hi")]})) == ["plain", "shown"]
