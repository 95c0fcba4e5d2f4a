"""A wrong YAML ends in one line that names the file, the key and the mend."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tao_ops.config import Flywheel, expand, flywheel_names, load_flywheel
from tao_ops.errors import ConfigError
from tao_ops.settings import PROJECT, Settings

GOOD: dict[str, Any] = {
    "name": "orders",
    "sources": [{"path": "${TAO_HOME}/logs/*.jsonl"}],
    "tasks": {
        "orders": {
            "prompt": "p.txt",
            "expectations": "e.json",
            "strategies": [{"name": "demonstrations", "samples": 4, "file": "d.jsonl"}],
            "scorers": [{"name": "json_schema", "keys": ["city"]}],
            "benchmarks": [{"name": "orders", "path": "b", "primary": True}],
        }
    },
}
Write = Callable[..., Settings]
DELETE = object()


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes the good YAML with one key changed: ``write("tasks.orders.prompt", "x")``."""
    (tmp_path / "flywheels").mkdir()
    (tmp_path / "b").mkdir()
    for name in ("p.txt", "e.json", "d.jsonl", "b/items.jsonl"):
        (tmp_path / name).write_text(name, encoding="utf-8")

    def change(key: str | None = None, value: Any = None, *, file: str = "orders") -> Settings:
        raw = yaml.safe_load(yaml.safe_dump(GOOD))
        if key is not None:
            *parents, last = [int(part) if part.isdigit() else part for part in key.split(".")]
            place: Any = raw
            for parent in parents:
                place = place.setdefault(parent, {}) if isinstance(place, dict) else place[parent]
            if value is DELETE:
                del place[last]
            else:
                place[last] = value
        (tmp_path / "flywheels" / f"{file}.yaml").write_text(yaml.safe_dump(raw), encoding="utf-8")
        return Settings(tmp_path, tmp_path, str(tmp_path), None, tmp_path, None)

    return change


def _error(settings: Settings, name: str = "orders") -> str:
    with pytest.raises(ConfigError) as caught:
        load_flywheel(name, settings)
    line = str(caught.value)
    assert "\n" not in line and f"flywheels/{name}.yaml" in line
    assert " — " in line, "it says how to mend it"
    return line


def test_a_good_file_loads_with_its_defaults(write: Write) -> None:
    flywheel = load_flywheel("orders", write())
    assert (flywheel.name, flywheel.schedule, flywheel.timezone) == ("orders", "0 0 * * *", "UTC")
    assert flywheel.prompt("orders") == "p.txt"
    assert flywheel.validate_.holdout == 0.1 and flywheel.update.method == "raft"
    assert flywheel_names(write()) == ["orders"]


def test_the_projects_own_flywheels_load() -> None:
    settings = Settings(PROJECT, PROJECT, "", None, PROJECT / "include", None)
    assert "tickets" in flywheel_names(settings)
    for name in flywheel_names(settings):
        assert load_flywheel(name, settings).name == name


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("speed", 3),
        ("update.epoch", 3),
        ("tasks.orders.tempo", 1),
        ("tasks.orders.strategies.0.beams", 2),
        ("validate.share", 0.1),
    ],
)
def test_a_wrong_key_is_named_by_its_path(write: Write, key: str, value: Any) -> None:
    line = _error(write(key, value))
    assert "unknown key" in line and f"orders.yaml: {key}]" in line and "mend its spelling" in line


@pytest.mark.parametrize("key", ["name", "sources", "tasks.orders.prompt", "tasks.orders.benchmarks.0.name"])
def test_a_missing_key_is_named_by_its_path(write: Write, key: str) -> None:
    line = _error(write(key, DELETE))
    assert "missing key" in line and f"orders.yaml: {key}]" in line


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("schedule", "nightly", "'nightly' is not a cron expression of five fields"),
        ("schedule", "0 0 * * * *", "not a cron expression"),
        ("schedule", "99 0 * * *", "not a cron expression"),
        ("timezone", "Europe/Berln", "'Europe/Berln' is not a time zone"),
        ("timezone", "", "is not a time zone"),
        ("timezone", "Europe", "'Europe' is not a time zone"),
        ("timezone", "../etc", "is not a time zone"),
        ("update.method", "magic", "'raft'"),
        ("update.min_reward", 1.5, "less than or equal to 1"),
        ("generate.shards", 0, "greater than or equal to 1"),
        ("seed", "one", "valid integer"),
        ("tasks.orders.strategies.0.name", "beam", "unknown strategy 'beam': name one of plain, demonstrations"),
        ("tasks.orders.scorers.0.name", "luck", "unknown scorer 'luck': name one of json_schema, grounding"),
        ("tasks.orders.scorers.0.name", "strict_json", "'strict_json' is 'json_schema' now, with the same 'keys'"),
        ("tasks", {"a/b": {}}, "should match pattern"),
        ("tasks.orders.strategies.0.file", DELETE, "'demonstrations' needs a 'file'"),
        ("tasks.orders.strategies", [], "at least 1 item"),
        ("tasks", {}, "at least 1 item"),
    ],
)
def test_a_wrong_value_is_named_by_its_path(write: Write, key: str, value: Any, said: str) -> None:
    line = _error(write(key, value))
    assert said in line
    assert f"orders.yaml: {key.removesuffix('.file').removesuffix('.name').removesuffix('.0')}" in line


def test_several_mistakes_are_counted(write: Write) -> None:
    assert "(and 1 more)" in _error(write("update", {"epochs": 0, "speed": 1}))


def test_one_mistake_in_a_list_is_one(write: Write) -> None:
    assert "more)" not in _error(write("sources", [{"path": "x", "formt": "otel"}]))


def test_a_control_that_is_no_strategy_is_named(write: Write) -> None:
    line = _error(write("evaluate.control", "plain"))
    assert "'plain' is no strategy of task" in line and "evaluate" in line
    assert load_flywheel("orders", write("evaluate.control", None)).evaluate.control is None


def test_a_flywheel_has_exactly_one_primary_benchmark(write: Write) -> None:
    two = [{"name": name, "path": "b", "primary": True} for name in ("a", "b")]
    line = _error(write("tasks.orders.benchmarks", two))
    assert "exactly one benchmark must be 'primary: true'" in line and "'strategies'" not in line
    assert "exactly one benchmark" in _error(write("tasks.orders.benchmarks.0.primary", False))
    same = [{"name": "a", "path": "b", "primary": primary} for primary in (True, False)]
    assert "different names" in _error(write("tasks.orders.benchmarks", same))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("tasks.orders.prompt", "no.txt"),
        ("tasks.orders.expectations", "no.json"),
        ("tasks.orders.strategies.0.file", "no.jsonl"),
        ("tasks.orders.benchmarks.0.path", "no"),
        ("tasks.orders.benchmarks.0.template", "no.txt"),
    ],
)
def test_a_missing_file_is_named_with_the_key_that_names_it(write: Write, tmp_path: Path, key: str, value: str) -> None:
    line = _error(write(key, value))
    assert "a file is missing" in line and f"orders.yaml: {key}]" in line and str(tmp_path / value) in line


def test_the_path_of_a_benchmark_that_a_variable_names_is_looked_at_when_it_is_read(write: Write) -> None:
    flywheel = load_flywheel("orders", write("tasks.orders.benchmarks.0.path", "${EXAMS_OF_NOBODY}/orders"))
    assert flywheel.tasks["orders"].benchmarks[0].path == "${EXAMS_OF_NOBODY}/orders"


def test_the_digest_follows_the_files_of_a_benchmark(write: Write, tmp_path: Path) -> None:
    (tmp_path / "ask.txt").write_text("$question", encoding="utf-8")
    settings = write("tasks.orders.benchmarks.0.template", "ask.txt")
    before = load_flywheel("orders", settings).digest
    (tmp_path / "ask.txt").write_text("$question?", encoding="utf-8")
    assert load_flywheel("orders", settings).digest != before


def test_a_name_that_is_not_the_files(write: Write) -> None:
    line = _error(write(file="other"), "other")
    assert "name is 'orders'" in line and "name it 'other'" in line


def test_no_such_flywheel_names_those_there_are(write: Write) -> None:
    line = _error(write(), "ordrs")
    assert "there is no flywheel 'ordrs'" in line and "known flywheels: orders" in line


@pytest.mark.parametrize("content", [b"name: [", b"- a\n- b\n", b"", b"\xff\xfe\x00"])
def test_a_file_that_is_no_mapping(write: Write, tmp_path: Path, content: bytes) -> None:
    settings = write()
    (tmp_path / "flywheels" / "orders.yaml").write_bytes(content)
    assert "YAML" in _error(settings) or "mapping" in _error(settings)


def test_a_prompt_that_is_not_text_is_named(write: Write, tmp_path: Path) -> None:
    settings = write()
    (tmp_path / "p.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match=r"p\.txt"):
        load_flywheel("orders", settings).prompt("orders")


@pytest.mark.parametrize("name", ["p.txt", "e.json", "d.jsonl"])
def test_the_digest_is_of_the_yaml_and_of_what_it_names(write: Write, tmp_path: Path, name: str) -> None:
    before = load_flywheel("orders", write()).digest
    assert load_flywheel("orders", write()).digest == before
    (tmp_path / name).write_text("another", encoding="utf-8")
    changed = load_flywheel("orders", write()).digest
    assert changed != before
    assert load_flywheel("orders", write("seed", 7)).digest not in (before, changed)


def test_variables_are_replaced_or_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TAO_HOME", str(tmp_path))
    monkeypatch.setenv("SHOP", "north")
    assert expand("${TAO_HOME}/${SHOP}/*.jsonl") == f"{tmp_path}/north/*.jsonl"
    assert expand("${A}", {"A": "b"}) == "b"
    monkeypatch.delenv("TAO_HOME")
    assert expand("${TAO_HOME}") == str(PROJECT / ".tao")
    with pytest.raises(ConfigError, match=r"\$\{NO_SHOP\} is not set .* export NO_SHOP"):
        expand("x/${NO_SHOP}")


def test_a_task_has_one_consensus(write: Write) -> None:
    twice = [{"name": "consensus"}, {"name": "again", "kind": "consensus"}]
    assert "a task has one 'consensus'" in _error(write("tasks.orders.scorers", twice))


JUDGED = {"name": "orders", "path": "b", "primary": True, "metric": "judge", "judge": {"model": "m", "rubric": "p.txt"}}


@pytest.mark.parametrize(
    ("scorer", "said"),
    [
        (
            {"kind": "judge", "name": "tone", "model": "m", "rubric": "e.json"},
            "'m', which the update's reward asks too",
        ),
        ({"kind": "reward_model", "name": "rm", "model": "./m/"}, "'m', which the update's reward asks too"),
    ],
)
def test_the_gates_judge_is_another_one_than_the_rewards(write: Write, scorer: dict[str, Any], said: str) -> None:
    raw = yaml.safe_load((write("tasks.orders.benchmarks", [JUDGED]).include / "flywheels" / "orders.yaml").read_text())
    raw["tasks"]["orders"]["scorers"].append(scorer)
    with pytest.raises(ValueError, match=said):
        Flywheel.model_validate(raw)
    raw["tasks"]["orders"]["scorers"][-1] = {**scorer, "model": "another"}
    assert Flywheel.model_validate(raw).tasks["orders"].benchmarks[0].judge is not None


@pytest.mark.parametrize(
    ("benchmark", "said"),
    [
        ({**JUDGED, "judge": {"model": "./embedded", "rubric": "p.txt"}}, "is 'embedded', which is judged itself"),
        ({**JUDGED, "judge": {"model": "champion", "rubric": "p.txt"}}, "is 'champion', which is judged itself"),
        ({**JUDGED, "metric": "exact_json"}, "no other metric takes one"),
        ({"name": "orders", "path": "b", "primary": True, "metric": "judge"}, "'metric: judge' needs a 'judge'"),
        ({**JUDGED, "judge": {"model": "m", "rubric": "p.txt", "mode": "group"}}, "one answer at a time"),
    ],
)
def test_a_benchmarks_judge_that_cannot_be_is_refused(write: Write, benchmark: dict[str, Any], said: str) -> None:
    assert said in _error(write("tasks.orders.benchmarks", [benchmark]))
