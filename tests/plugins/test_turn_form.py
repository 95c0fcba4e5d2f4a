"""The form of a flywheel's DAG, and what of it reaches the stages."""

import copy
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import ParamsDict
from airflow.sdk.exceptions import ParamValidationError
from tao_airflow import turn_form
from tao_airflow.turn import turn_of

from tao_ops.config import Flywheel, Method, load_flywheel
from tao_ops.errors import ConfigError
from tao_ops.settings import PROJECT, Settings

Context = Callable[..., dict[str, Any]]
EMPTY: dict[str, Any] = {"turn": None, "budget": None, "method": None, "approval": None, "dry_run": False}


@pytest.fixture
def tickets() -> Flywheel:
    return load_flywheel("tickets")


def changed(*changes: str) -> Flywheel:
    return load_flywheel("tickets", Settings.from_env(), changes)


def fill_in(flywheel: Flywheel, **fields: Any) -> Any:
    form = ParamsDict(copy.deepcopy(turn_form.form(flywheel)))
    form.update(fields)
    return form.validate()


def test_left_as_it_comes_it_changes_nothing(tickets: Flywheel, context: Context) -> None:
    assert fill_in(tickets) == EMPTY
    assert turn_form.overrides(context(params=EMPTY)) == [] == turn_form.overrides(context())


def test_its_fields_come_in_the_order_of_a_decision_and_say_what_they_do(tickets: Flywheel) -> None:
    form = turn_form.form(tickets)
    assert list(form) == ["turn", "budget", "method", "approval", "dry_run"]
    assert all(each.schema["title"] and each.description for each in form.values())
    assert "40,000 tokens" in str(form["budget"].description)
    assert form["method"].schema["values_display"]["null"] == "as the YAML says: raft"


@pytest.mark.parametrize(
    "right",
    [
        {"turn": "2026-11-21"},
        {"turn": "2026-11-21T00:00Z"},
        {"turn": "2026-11-21T00:00:00+01:00"},
        {"budget": 1},
        {"method": "dpo"},
        {"approval": "manual"},
        {"dry_run": True},
    ],
)
def test_a_form_that_is_filled_in_is_taken(tickets: Flywheel, right: dict[str, Any]) -> None:
    assert fill_in(tickets, **right) == EMPTY | right


@pytest.mark.parametrize(
    "wrong",
    [
        {"turn": "yesterday"},
        {"turn": "21.11.2026"},
        {"budget": 0},
        {"budget": -5},
        {"budget": 1.5},
        {"budget": "many"},
        {"method": "magic"},
        {"approval": "nobody"},
        {"dry_run": "yes"},
    ],
)
def test_a_wrong_form_starts_no_run(tickets: Flywheel, wrong: dict[str, Any]) -> None:
    with pytest.raises(ParamValidationError):
        fill_in(tickets, **wrong)


def test_the_form_does_not_raise_a_number_to_a_minimum_without_a_word(tickets: Flywheel) -> None:
    assert "minimum" not in turn_form.form(tickets)["budget"].schema


def test_it_offers_the_methods_that_the_rest_of_the_yaml_goes_with() -> None:
    assert turn_form.methods(changed()) == list(Method)
    # grpo has a rate of its own, and refuses the other one.
    offered = turn_form.form(changed("update.learning_rate=0.00001"))["method"].schema["enum"]
    assert offered == [None, "raft", "dpo", "kto", "grpo_offline"]


def test_what_is_filled_in_is_what_the_stages_are_told(context: Context) -> None:
    asked = {"turn": "2026-11-21", "budget": 5000, "method": "dpo", "approval": "manual", "dry_run": True}
    told = turn_form.overrides(context(params=asked))
    assert told == ["generate.budget.tokens=5000", "update.method=dpo", "gate.approval=manual", "dry_run=true"]
    flywheel = changed(*told)
    assert flywheel.generate.budget is not None and flywheel.generate.budget.tokens == 5000
    assert (flywheel.update.method, flywheel.gate.approval, flywheel.dry_run) == ("dpo", "manual", True)


def test_what_the_yaml_says_already_is_no_change(context: Context) -> None:
    same = {"budget": 40_000, "method": "raft", "approval": "auto", "dry_run": False}
    assert turn_form.overrides(context(params=same)) == []


def test_a_flywheel_that_is_dry_by_its_yaml_can_run_once_for_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, context: Context
) -> None:
    shutil.copytree(PROJECT / "include", tmp_path / "include")
    with (tmp_path / "include" / "flywheels" / "tickets.yaml").open("a", encoding="utf-8") as file:
        file.write("dry_run: true\n")
    monkeypatch.setenv("TAO_INCLUDE", str(tmp_path / "include"))
    assert fill_in(load_flywheel("tickets")) == EMPTY | {"dry_run": True}
    assert turn_form.overrides(context(params={"dry_run": True})) == []
    assert turn_form.overrides(context(params={"dry_run": False})) == ["dry_run=false"]


def test_one_turn_for_all_days_of_a_backfill_is_refused(tickets: Flywheel, context: Context) -> None:
    with pytest.raises(ConfigError, match="a backfill's runs have a day each, .* the field left empty"):
        turn_of(context(run_type="backfill", params={"turn": "2026-11-02"}), tickets)
    assert turn_of(context(run_type="backfill", params={"turn": None}), tickets).key == "2026-11-21T00:00Z"
