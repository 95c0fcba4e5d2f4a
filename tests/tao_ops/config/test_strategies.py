"""A strategy of the YAML: its kind by its name, what it needs, and the one line where something is wrong."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tao_ops.config import Flywheel, StrategyConfig, StrategyKind, load_flywheel
from tao_ops.config.strategies import TEMPLATES
from tao_ops.errors import ConfigError
from tao_ops.settings import PROJECT, Settings

Load = Callable[..., Flywheel]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Loads a flywheel whose task has these strategies: ``load({"name": "plain"})``; keys of the task follow."""
    (tmp_path / "flywheels").mkdir()
    for name in ("mine.txt", "s.json", "items.jsonl"):
        (tmp_path / name).touch()

    def loaded(*strategies: dict[str, Any], control: str | None = None, **task: Any) -> Flywheel:
        task |= {
            "prompt": "mine.txt",
            "expectations": "mine.txt",
            "strategies": [{"samples": 1, **strategy} for strategy in strategies],
            "scorers": [{"name": "consensus"}],
            "benchmarks": [{"name": "exam", "path": ".", "primary": True}],
        }
        raw = {"name": "shop", "sources": [{"path": "x"}], "tasks": {"mail": task}, "evaluate": {"control": control}}
        (tmp_path / "flywheels" / "shop.yaml").write_text(yaml.safe_dump(raw), encoding="utf-8")
        return load_flywheel("shop", Settings(tmp_path, tmp_path, "", None, tmp_path, None))

    return loaded


def _refused(load: Load, *strategies: dict[str, Any], **task: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        load(*strategies, **task)
    line = str(caught.value)
    assert "\n" not in line and "flywheels/shop.yaml: " in line and " — " in line
    return line


def _strategy(**keys: Any) -> StrategyConfig:
    return StrategyConfig.model_validate({"samples": 1, **keys})


def test_a_strategy_has_defaults() -> None:
    plain = _strategy(name="plain")
    assert (plain.kind, plain.temperature, plain.top_p, plain.max_tokens) == (StrategyKind.PLAIN, (0.8,), 0.95, None)
    assert plain.marker is None and plain.template_files == {}


@pytest.mark.parametrize("kind", sorted(set(StrategyKind) - {StrategyKind.DEMONSTRATIONS, StrategyKind.TEMPLATE}))
def test_a_kinds_name_is_enough(kind: StrategyKind) -> None:
    assert _strategy(name=kind.value).kind is kind


def test_another_name_says_its_kind_or_has_a_template() -> None:
    assert _strategy(name="careful", kind="plan").kind is StrategyKind.PLAN
    assert _strategy(name="careful", templates={"ask": "mine.txt"}).kind is StrategyKind.TEMPLATE
    assert _strategy(name="plan", kind="plain").kind is StrategyKind.PLAIN


def test_a_response_that_reasons_first_may_be_longer_than_the_tasks_answers() -> None:
    assert [_strategy(name=name).longest(64) for name in ("plain", "rephrase", "plan")] == [64, 64, 320]
    assert _strategy(name="plan", max_tokens=80).longest(64) == 80


def test_a_ladder_of_temperatures() -> None:
    assert _strategy(name="plain", temperature=[0.2, 0.6, 1.0]).temperature == (0.2, 0.6, 1.0)


@pytest.mark.parametrize("kind", ["chain_of_thought", "plan", "decompose"])
def test_what_reasons_says_its_answer_last(kind: str) -> None:
    assert _strategy(name=kind).marker == "Answer:"
    assert _strategy(name=kind, answer_after="So:").marker == "So:"
    assert _strategy(name="plain", answer_after="</think>").marker == "</think>"


def test_a_template_of_ones_own_takes_the_place_of_that_step_alone() -> None:
    files = _strategy(name="decompose", templates={"parts": "mine.txt"}).template_files
    assert files == {"parts": "mine.txt", "ask": TEMPLATES[StrategyKind.DECOMPOSE]["ask"]}


def test_the_projects_own_templates_are_there() -> None:
    files = [file for steps in TEMPLATES.values() for file in steps.values() if file is not None]
    assert files and all((PROJECT / "include" / file).is_file() for file in files)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"name": "beam"}, "unknown strategy 'beam': name one of plain, demonstrations, "),
        ({"name": "beam"}, "or say its 'kind', or its 'templates.ask'"),
        ({"name": "Plain"}, "unknown strategy 'Plain'"),
        ({"name": "my plan", "kind": "plan"}, "should match pattern"),
        ({"name": "x", "kind": "beam"}, "'plain', 'demonstrations'"),
        ({"name": "demonstrations"}, "'demonstrations' needs a 'file' of worked examples, or 'bootstrap'"),
        ({"name": "plain", "file": "mine.txt"}, "'plain' takes no worked examples"),
        ({"name": "plan", "bootstrap": {}}, "'plan' takes no worked examples"),
        ({"name": "demonstrations", "bootstrap": {"examples": 0}}, "greater than or equal to 1"),
        ({"name": "demonstrations", "bootstrap": {"min_reward": 2}}, "less than or equal to 1"),
        ({"name": "decompose", "templates": {"split": "mine.txt"}}, "has no template 'split': it has parts, ask"),
        ({"name": "plain", "templates": {"ask": "mine.txt"}}, "'plain' has no template 'ask': it has none"),
        ({"name": "x", "kind": "template"}, "'template' needs 'templates.ask', a file"),
        ({"name": "plain", "temperature": []}, "at least 1 item"),
        ({"name": "plain", "temperature": [0.5, 9]}, "strategies.0.temperature.1"),
        ({"name": "plain", "temperature": -1}, "greater than or equal to 0"),
        ({"name": ["plain"]}, "strategies.0"),
        (
            {"name": "plain", "samples": 2, "temperature": 0},
            "the same response each time: alone, with 'samples' at most 1",
        ),
        ({"name": "plain", "temperature": [0, 1]}, "the same response each time"),
        ({"name": "demonstrations", "bootstrap": {}}, "a first turn has no examples to bootstrap"),
        ({"name": "plain", "samples": 0}, "greater than or equal to 1"),
        ({"name": "plain", "max_tokens": 0}, "greater than or equal to 1"),
        ({"name": "structured"}, "strategy 'structured' needs the task's 'json_schema' or 'grammar', a file"),
    ],
)
def test_a_wrong_strategy_is_named_by_its_path(load: Load, keys: dict[str, Any], said: str) -> None:
    line = _refused(load, keys)
    assert said in line and "tasks.mail" in line


def test_a_task_has_one_structure(load: Load) -> None:
    line = _refused(load, {"name": "structured"}, json_schema="s.json", grammar="s.json")
    assert "a task has a 'json_schema' or a 'grammar', not both" in line
    assert load({"name": "structured"}, grammar="s.json").tasks["mail"].grammar == "s.json"


def test_two_strategies_of_a_name_are_refused(load: Load) -> None:
    assert "'strategies' of a task need different names" in _refused(load, {"name": "plain"}, {"name": "plain"})
    assert len(load({"name": "plain"}, {"name": "hot", "kind": "plain"}).tasks["mail"].strategies) == 2


def test_a_missing_template_is_named_with_the_key_that_names_it(load: Load) -> None:
    line = _refused(load, {"name": "plain"}, {"name": "careful", "templates": {"ask": "no.txt"}})
    assert "a file is missing" in line and "tasks.mail.strategies.1.templates.ask]" in line and "no.txt" in line


def test_a_missing_schema_is_named_with_the_key_that_names_it(load: Load) -> None:
    assert "tasks.mail.json_schema]" in _refused(load, {"name": "plain"}, json_schema="no.json")


def test_the_digest_counts_what_a_strategy_names(load: Load, tmp_path: Path) -> None:
    def digest() -> str:
        return load({"name": "careful", "templates": {"ask": "own.txt"}}, json_schema="s.json").digest

    seen = set()
    for file, text in (("own.txt", "a"), ("own.txt", "b"), ("s.json", "{}")):
        (tmp_path / file).write_text(text, encoding="utf-8")
        seen.add(digest())
    assert len(seen) == 3


def test_a_control_asks_in_one_call_and_the_same_in_every_turn(load: Load) -> None:
    bootstrapped = {"name": "demonstrations", "bootstrap": {}}
    thinking = {"name": "think", "kind": "plain", "answer_after": "</think>"}
    for strategy in ({"name": "critique_revise"}, bootstrapped, thinking):
        line = _refused(load, {"name": "plain"}, strategy, control=strategy["name"])
        assert "a control is 'plain', or 'demonstrations' with a 'file'" in line
    assert load({"name": "plain"}, control="plain").evaluate.control == "plain"
