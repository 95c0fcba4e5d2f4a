"""``tao reward fit`` as a user calls it."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tao_ops.reward_cli import app
from tao_ops.scoring import reward_fit
from tests.tao_ops.scoring.reward_lake import RewardLake, reward_lake

REPORT = reward_fit.FitReport("f", "0" * 16, {"verifier": 9}, 9, 4, 0.75, (0.3, 0.95), 0.25, 1.5)


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RewardLake:
    return reward_lake(tmp_path, monkeypatch, model=tmp_path)


@pytest.fixture
def fitted(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What fitting was called with: it is tested elsewhere."""
    calls: list[dict[str, Any]] = []

    def fit(flywheel: Any, turn: Any, *, say: Any, **how: Any) -> reward_fit.FitReport:
        say("training")
        calls.append({"flywheel": flywheel.name, "turn": turn.key, **how})
        return REPORT

    monkeypatch.setattr(reward_fit, "fit", fit)
    return calls


def _call(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["fit", "shop", *arguments])


def test_a_model_is_fitted_and_what_came_of_it_told(
    shop: RewardLake, fitted: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = _call("--task", "tickets", "--turn", "2026-11-21", "--out", "rm", "--window", "3", "--epochs", "5")
    assert done.exit_code == 0, done.output
    [call] = fitted
    assert (call["flywheel"], call["turn"], call["task"]) == ("shop", "2026-11-21T00:00Z", "tickets")
    assert (call["out"], call["window"], call["margin"], call["how"].epochs) == (tmp_path / "rm", 3, 0.5, 5)
    assert (
        "of 4 queries that it never saw it prefers the better response in 75% (95 % interval 30% to 95%)" in done.output
    )


def test_json_stands_alone_on_standard_output(shop: RewardLake, fitted: list[dict[str, Any]]) -> None:
    done = _call("--task", "tickets", "--out", "rm", "--json")
    assert json.loads(done.stdout)["accuracy"] == 0.75 and done.stderr == "training\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--task", "other", "--out", "rm"), "error: there is no task 'other' [--task] — tasks: tickets"),
        (("--task", "tickets", "--out", "rm"), "error: no rewards of this turn or an earlier one"),
        (("--task", "tickets", "--out", os.sep), "error: the folder exists [/] — name another, or remove it"),
        (("--task", "tickets", "--out", "rm", "--turn", "soon"), "error: 'soon' is not a date or an instant"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(shop: RewardLake, arguments: tuple[str, ...], said: str) -> None:
    done = _call(*arguments)
    assert done.exit_code == 1
    assert done.stderr.startswith(said) and done.stderr.count("\n") == 1
